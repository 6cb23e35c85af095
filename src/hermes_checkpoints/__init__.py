"""Snapshots for coding agents: saved before each turn, put back on demand, exactly.

The Python interface is :class:`Engine`; what it answers is in
:mod:`hermes_checkpoints.results`, what a backend must do in
:mod:`hermes_checkpoints.contract`.
"""

from typing import TYPE_CHECKING

from hermes_checkpoints.contract import CheckpointError

if TYPE_CHECKING:
    from hermes_checkpoints.engine import Engine

__all__ = ["CheckpointError", "Engine"]


def __getattr__(name: str) -> object:
    """``Engine`` is imported when it is asked for: backends import this package too."""
    if name == "Engine":
        from hermes_checkpoints.engine import Engine

        return Engine
    raise AttributeError(name)
