"""Snapshots for coding agents: saved before each turn, put back on demand, exactly.

The Python interface is :class:`Engine`, with what keeps a store small in
``Engine.upkeep``; what it answers is in :mod:`hermes_checkpoints.results`, what
a backend must do in :mod:`hermes_checkpoints.contract`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hermes_checkpoints.contract import CheckpointError
    from hermes_checkpoints.engine import Engine
    from hermes_checkpoints.policy.retention import Limits

__all__ = ["CheckpointError", "Engine", "Limits"]


def __getattr__(name: str) -> object:
    """Each is imported when it is asked for: backends import this package too, and so does every command."""
    if name == "CheckpointError":
        from hermes_checkpoints.contract import CheckpointError

        return CheckpointError
    if name == "Engine":
        from hermes_checkpoints.engine import Engine

        return Engine
    if name == "Limits":
        from hermes_checkpoints.policy.retention import Limits

        return Limits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
