"""The shadow-git backend: content in one bare git repository of our own."""

from hermes_checkpoints.contract import Backend
from hermes_checkpoints.contract.hooks import hookimpl


@hookimpl
def hermes_checkpoints_backend() -> type[Backend]:
    from hermes_checkpoints_shadow_git.backend import ShadowGit

    return ShadowGit
