"""Snapshots for coding agents: saved before each turn, put back on demand, exactly.

The Python interface is :class:`Engine`, with what keeps a store small in
``Engine.upkeep``; what it answers is in :mod:`hermes_checkpoints.results`, what
a backend must do in :mod:`hermes_checkpoints.contract`.
"""

from typing import TYPE_CHECKING

from hermes_checkpoints.contract import CheckpointError

if TYPE_CHECKING:
    from hermes_checkpoints.engine import Engine
    from hermes_checkpoints.policy.retention import Limits

__all__ = ["CheckpointError", "Engine", "Limits"]


def __getattr__(name: str) -> object:
    """``Engine`` and ``Limits`` are imported when they are asked for: backends import this package too."""
    if name == "Engine":
        from hermes_checkpoints.engine import Engine

        return Engine
    if name == "Limits":
        from hermes_checkpoints.policy.retention import Limits

        return Limits
    raise AttributeError(name)
