"""The hermes-v2 backend: reads the snapshots that Hermes Agent itself made, in its own store, and takes none."""

from hermes_checkpoints.contract import Backend
from hermes_checkpoints.contract.hooks import hookimpl


@hookimpl
def hermes_checkpoints_backend() -> type[Backend]:
    from hermes_checkpoints_hermes_v2.backend import HermesV2

    return HermesV2
