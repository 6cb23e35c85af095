"""What verifying and repairing a store answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints.contract import Damage, Mended, Mending, Snapshot
from hermes_checkpoints.results import Failure


@dataclass(frozen=True, slots=True)
class Damaged:
    """Something damaged in a store, and the snapshot that it costs something."""

    part: str
    """Of the store: a backend's, or ``projects``, ``pins``, ``config.toml``."""
    damage: Damage
    workspace: Path | None = None
    snapshot: Snapshot | None = None
    """``None`` when it costs none anything, or the snapshot cannot be read at all."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What looking for damage came to."""

    full: bool
    """Whether every byte was read."""
    workspaces: int
    """Of the snapshots that were looked at."""
    snapshots: int
    damaged: Sequence[Damaged] = ()
    unseen: Sequence[Failure] = ()
    """Parts of the store that could not be looked at, and why."""
    interrupted: Sequence[Path] = ()
    """Workspaces with a restore that neither ended nor was taken back; that is no damage."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that a repair did, or would do."""

    part: str
    mended: Mended
    workspace: Path | None = None
    snapshot: Snapshot | None = None
    """As it was before."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What repairing a store came to; of a dry run, what it would come to."""

    before: Verified
    done: Sequence[Repair] = ()
    undone: Sequence[Failure] = ()
    """Workspaces and parts in which something could not be done now, and why."""
    absent: Sequence[Path] = ()
    """Workspaces that are not there, or empty (not mounted, perhaps), so that their own files could not help."""
    after: Verified | None = None
    """What is found now; ``None`` for a dry run, and where there was nothing to repair."""

    @property
    def pessimistic(self) -> bool:
        """Of a dry run: whether making something anew may bring more back than ``done`` says."""
        return any(repair.mended.what is Mending.REBUILT and not repair.workspace for repair in self.done)
