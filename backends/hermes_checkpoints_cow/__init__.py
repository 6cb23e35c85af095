"""The copy-on-write backend: content cloned by the filesystem."""

from hermes_checkpoints.contract import Backend
from hermes_checkpoints.contract.hooks import hookimpl


@hookimpl
def hermes_checkpoints_backend() -> type[Backend]:
    from hermes_checkpoints_cow.backend import CopyOnWrite

    return CopyOnWrite
