"""What the engine answers. Answers are values; only failures are exceptions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Fitness, LeftOut, Snapshot, Stats, Usage


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot was taken."""

    snapshot: Snapshot
    left_out: Sequence[LeftOut] = ()
    stats: Stats = field(default=Stats())
    notice: str = ""
    """Said once a workspace: the backend that was asked for falls short here."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing a restore would bring back has changed since ``latest``; none was needed."""

    latest: Snapshot
    left_out: Sequence[LeftOut] = ()
    stats: Stats = field(default=Stats())


@dataclass(frozen=True, slots=True)
class AlreadyThisTurn:
    """The workspace was looked at in this turn before; the tree was not walked again."""

    workspace: Path


@dataclass(frozen=True, slots=True)
class Declined:
    """The directory is not one we protect; nothing was read."""

    workspace: Path
    reason: str


SnapshotOutcome = Taken | Unchanged | AlreadyThisTurn | Declined


@dataclass(frozen=True, slots=True)
class Failure:
    """A path and what was the matter with it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did; paths are relative to the workspace."""

    snapshot: Snapshot
    """The snapshot that was restored."""
    safety: Snapshot
    """The state before, saved first; ``undo`` goes back to it."""
    written: Sequence[str] = ()
    deleted: Sequence[str] = ()
    kept: Sequence[Failure] = ()
    """Differs from the snapshot and was left as it is, with the reason."""
    failed: Sequence[Failure] = ()
    """Should have been changed and could not be; as it was before."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot in figures."""

    snapshot: Snapshot
    files: int
    directories: int
    links: int
    size: int
    """Bytes of the files held."""
    left_out: Sequence[LeftOut] = ()


@dataclass(frozen=True, slots=True)
class FileDiff:
    """How one path differs, from the snapshot to the workspace."""

    path: str
    text: bytes
    """A piece of a unified diff that ``patch -p1`` and ``git apply`` take; for a binary file the
    line that names it."""
    added: int
    removed: int
    binary: bool = False


@dataclass(frozen=True, slots=True)
class BackendReport:
    """An installed backend, as ``backends`` lists it."""

    name: str
    distribution: str
    """The package and version it comes from, e.g. ``hermes-checkpoints 0.1.0``."""
    error: str | None = None
    """Why it does not load."""
    fitness: Fitness | None = None
    """Whether it can serve the directory asked about; ``None`` when it does not load."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which backend new snapshots of a workspace go to, and why."""

    name: str
    why: str
    notice: str = ""
    """What a person should know: the backend works here, but not as it is meant to."""


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """A workspace that the store knows."""

    workspace: Path
    exists: bool
    backends: Sequence[str]
    snapshots: int
    last_touch: float | None
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Status:
    """The store as a whole."""

    store: Path
    usage: dict[str, Usage]
    """By backend."""
    workspaces: Sequence[WorkspaceStatus] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export laid out."""

    files: int
    failed: Sequence[Failure] = ()
