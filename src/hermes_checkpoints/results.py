"""What the engine answers. Answers are values; only failures are exceptions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hermes_checkpoints.contract import Fitness, LeftOut, Snapshot, Stats, Usage
from hermes_checkpoints.policy.retention import Limits

if TYPE_CHECKING:
    from hermes_checkpoints.policy.budget import Archive, Removal, Standing


class Taken(NamedTuple):
    """A snapshot was taken."""

    snapshot: Snapshot
    left_out: Sequence[LeftOut] = ()
    stats: Stats = Stats()
    notice: str = ""
    """For people to read: the backend that was asked for falls short here (said once a workspace), or
    something went for room that nobody would expect to go."""


class Unchanged(NamedTuple):
    """Nothing a restore would bring back has changed since ``latest``; none was needed."""

    latest: Snapshot
    left_out: Sequence[LeftOut] = ()
    stats: Stats = Stats()


class AlreadyThisTurn(NamedTuple):
    """The workspace was looked at in this turn before; the tree was not walked again."""

    workspace: Path


class Declined(NamedTuple):
    """The directory is not one we protect; nothing was read."""

    workspace: Path
    reason: str


SnapshotOutcome = Taken | Unchanged | AlreadyThisTurn | Declined


class Failure(NamedTuple):
    """A path and what was the matter with it."""

    path: str
    reason: str


class Restored(NamedTuple):
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
    left_out: Sequence[LeftOut] = ()
    """What was there and is in no snapshot, so it stayed."""
    stopped: str = ""
    """Why it ended before everything was tried (a full disk, say): then it can be finished later, or aborted."""


class Interrupted(NamedTuple):
    """A restore that was begun, and neither finished nor taken back."""

    workspace: Path
    action: str
    """``restore``, ``undo`` or ``redo``."""
    target: str
    """Id of the snapshot it was going to."""
    safety: str
    """Id of the snapshot that holds the state before."""
    paths: Sequence[str]
    """The selection; empty for the whole workspace."""
    begun: float
    """Seconds since the epoch."""
    why: str = ""
    """Why it stopped; empty when it was killed."""


class Shown(NamedTuple):
    """One snapshot in figures."""

    snapshot: Snapshot
    files: int
    directories: int
    links: int
    size: int
    """Bytes of the files held."""
    left_out: Sequence[LeftOut] = ()


class FileDiff(NamedTuple):
    """How one path differs, from the snapshot to the workspace."""

    path: str
    text: bytes
    """A piece of a unified diff that ``patch -p1`` and ``git apply`` take; for a binary file the
    line that names it."""
    added: int
    removed: int
    binary: bool = False


class BackendReport(NamedTuple):
    """An installed backend, as ``backends`` lists it."""

    name: str
    distribution: str
    """The package and version it comes from, e.g. ``hermes-checkpoints 0.1.0``."""
    error: str | None = None
    """Why it does not load."""
    fitness: Fitness | None = None
    """Whether it can serve the directory asked about; ``None`` when it does not load."""


class Choice(NamedTuple):
    """Which backend new snapshots of a workspace go to, and why."""

    name: str
    why: str
    notice: str = ""
    """What a person should know: the backend works here, but not as it is meant to."""


class SnapshotStatus(NamedTuple):
    """What one snapshot takes."""

    snapshot: Snapshot
    gives_back: int
    """Bytes that forgetting it alone gives back."""
    label: str | None = None
    """Of the pin that keeps it; ``None`` when it is not pinned."""


class WorkspaceStatus(NamedTuple):
    """A workspace that the store knows."""

    workspace: Path
    standing: "Standing"
    backends: Sequence[str]
    snapshots: Sequence[SnapshotStatus]
    """Newest first."""
    last_touch: float
    """Seconds since the epoch."""
    gives_back: int
    """Bytes that forgetting all of its snapshots gives back."""


class Forgotten(NamedTuple):
    """Snapshots of one workspace that were forgotten for one reason."""

    when: float
    """Seconds since the epoch."""
    subject: str
    """The workspace, or the archive."""
    snapshots: tuple[str, ...]
    reason: str
    loud: bool = False
    """Nobody would expect it."""


class Status(NamedTuple):
    """The store as a whole, measured."""

    store: Path
    limits: Limits
    usage: dict[str, Usage]
    """By backend."""
    workspaces: Sequence[WorkspaceStatus] = ()
    """The one that holds the most first."""
    archives: "Sequence[Archive]" = ()
    """Old checkpoints of Hermes that were moved aside."""
    forgotten: Sequence[Forgotten] = ()
    """What was forgotten for room lately, oldest first."""
    beside: int = 0
    """Bytes of the store's own records, pins, locks and counts."""

    @property
    def real(self) -> int:
        """Bytes that would come back if all of it were removed: what the budget is about."""
        return sum(used.real for used in self.usage.values()) + self._kept

    @property
    def apparent(self) -> int:
        """Bytes of everything that is stored, whoever shares their blocks."""
        return sum(used.apparent for used in self.usage.values()) + self._kept

    @property
    def _kept(self) -> int:
        return self.beside + sum(archive.size for archive in self.archives)


class Pruned(NamedTuple):
    """What came of a plan to prune."""

    done: "Sequence[Removal]"
    failed: Sequence[Failure] = ()
    """What stayed, and why: somebody is at work in the workspace."""


class Reclaimed(NamedTuple):
    """What getting space back came to."""

    before: int
    """Bytes on disk, counted or measured before."""
    after: int
    """Bytes on disk, measured."""
    complete: bool
    """Whether all garbage that is worth it is gone; else the next one goes on."""
    troubles: Sequence[str] = ()
    """Parts of the store that could not be reclaimed, and why."""
    forgotten: int = 0
    """Snapshots that were forgotten for it; ``Status.forgotten`` says which."""


class Purged(NamedTuple):
    """What taking a path out of every snapshot came to."""

    path: str
    replaced: Mapping[str, str]
    """New ids by old ones."""
    still_in: Sequence[Failure] = ()
    """Snapshots that still hold it, and why."""
    also_at: Sequence[str] = ()
    """Other paths at which snapshots hold the same content."""
    in_workspace: bool = False
    """Whether it is in the workspace: then the next snapshot will hold it again, unless a rule leaves it out."""


class Exported(NamedTuple):
    """What an export laid out."""

    files: int
    failed: Sequence[Failure] = ()
