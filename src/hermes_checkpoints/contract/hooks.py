"""The pluggy hook by which a package offers a backend."""

import pluggy

from hermes_checkpoints.contract.backend import Backend

ENTRY_POINT_GROUP = "hermes_checkpoints.backends"

hookspec = pluggy.HookspecMarker("hermes_checkpoints")
hookimpl = pluggy.HookimplMarker("hermes_checkpoints")


@hookspec(firstresult=True)
def hermes_checkpoints_backend() -> type[Backend] | None:
    """The backend class that this plugin offers.

    The plugin is the module that an entry point of group
    ``hermes_checkpoints.backends`` names; the class's ``name`` must equal the
    entry point's name.
    """
