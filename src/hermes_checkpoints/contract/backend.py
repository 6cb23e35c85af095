"""The interface that every storage backend implements."""

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ClassVar, Self

from hermes_checkpoints.contract.errors import StoreDamaged
from hermes_checkpoints.contract.snapshots import (
    Capability,
    Damage,
    Fitness,
    Growing,
    Mended,
    Note,
    Place,
    Progress,
    Saved,
    Scope,
    Snapshot,
    Usage,
    silent,
    unbounded,
)
from hermes_checkpoints.contract.trees import Change, Entry, Kind, NewFile, Stamp


class Backend(ABC):
    """Keeps the snapshots of one workspace in one store.

    The interface sits at the tree, not at bytes under a key: a clone needs the
    source file, and git needs trees. Most backends need not implement it from
    nothing: :class:`hermes_checkpoints.kit.TreeBackend` does, given a place for
    bytes. What every backend promises (each is a test in
    :mod:`hermes_checkpoints.testing`):

    1.  A snapshot is listed whole or not at all, whatever crashed.
    2.  Taking never changes the workspace; later edits never change a snapshot.
    3.  "Nothing changed" is an answer, and costs no write that grows with the tree.
    4.  What was left out is told, path and reason; one unreadable file never costs the rest.
    5.  An id never changes and is never reused; an unknown or foreign id is refused.
    6.  Forgetting is immediate; reclaiming can be killed, or run twice at once, without loss.
    7.  Only :class:`CheckpointError` leaves a backend, with its cause chained.
    8.  No setting of the user's machine changes the bytes.
    9.  Content comes back byte for byte.
    10. Nothing outside the workspace is read, and nothing outside the store is
        written, through symlinks or names.

    Whoever calls ``save`` holds the workspace's lock (the engine does); readers need none.
    """

    name: ClassVar[str]
    """Equals the name of the entry point that offers it."""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    @abstractmethod
    def probe(cls, place: Place) -> Fitness:
        """Whether this backend can serve the place. Never raises, never writes to the workspace."""

    @classmethod
    @abstractmethod
    def open(cls, place: Place) -> Self:
        """The backend at that place, its part of the store created if absent.

        Idempotent, and safe for two processes at once. Raises ``StoreRefused``
        for a store of another owner or an unknown format version.
        """

    @abstractmethod
    def save(self, scope: Scope, note: Note, progress: Progress = silent, growing: Growing = unbounded) -> Saved:
        """Save the state of the workspace.

        Takes no snapshot when nothing changed since the newest one, unless
        ``note.restoring`` is set. ``growing`` is told beforehand by how much
        the store is going to grow; it may raise, and then nothing stays stored.
        Raises ``WorkspaceError`` when the workspace itself cannot be read.
        """

    @abstractmethod
    def snapshots(self) -> Iterator[Snapshot]:
        """This workspace's snapshots, newest first. Reads no tree."""

    @abstractmethod
    def changes(self, since: str, until: str | None = None, *, scope: Scope = Scope()) -> Iterator[Change]:
        """What differs between two snapshots, or a snapshot and the live workspace (``None``).

        In path order, a directory before what is in it. Stores nothing.
        ``scope`` says what belongs to the live workspace.
        """

    @abstractmethod
    def entry(self, snapshot: str, path: str) -> Entry:
        """What the snapshot knows of one path. Raises ``PathNotFound``."""

    @abstractmethod
    def entries(self, snapshot: str) -> Iterator[tuple[str, Entry]]:
        """Everything the snapshot knows, a directory before what is in it.

        Includes what was left out (``entry.held`` is false for those). The
        first pair is the workspace itself, with the path ``""``.
        """

    @abstractmethod
    def read(self, entry: Entry) -> BinaryIO:
        """The content of a file; ``entry`` comes from this backend. Raises ``StoreDamaged``."""

    @abstractmethod
    def materialise(self, entry: Entry, dir_fd: int, name: str) -> None:
        """Create the new file ``name`` (mode 0600 or less) in a directory, with a file's content.

        A clone where the backend can. Raises ``FileExistsError`` when the name
        is taken; on any other failure nothing is left under that name.
        """

    def materialise_all(self, files: Iterable[NewFile]) -> Iterator[int]:
        """Make many new files, in order; of each, a descriptor of it that whoever takes it closes.

        Override it where many at once cost less. A file has mode 0600, the
        permission bits of its entry, or fewer. Raises like ``materialise``, and may then
        leave files of those that it has taken, and has not given, half made.
        """
        for entry, dir_fd, name in files:
            self.materialise(entry, dir_fd, name)
            yield os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)

    @abstractmethod
    def forget(self, snapshots: Collection[str]) -> None:
        """Remove snapshots from the list, at once. Ids that are gone already are passed over."""

    @abstractmethod
    def purge(self, path: str, progress: Progress = silent) -> Mapping[str, str]:
        """Take a path, and all below it, out of every snapshot of this workspace.

        Snapshots that held it are replaced by ones that say it was left out
        (``Reason.PURGED``), with the same date, note and order and a new id; so
        are safety snapshots that name a replaced one. The answer has the new id
        by the old one. ``reclaim(thorough=True)`` then removes the content,
        unless something else holds it. Killed at any moment, it can be repeated.
        """

    @property
    def home(self) -> Path:
        """The directory of this backend's part of the store.

        What follows is about the whole of it: about every workspace whose
        backend has the same home.
        """
        return self.place.store / self.name

    @abstractmethod
    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        """Give back the space of what was forgotten, and what killed processes left; whether that is done.

        Slow, in bounded steps, each of which needs little extra space. Stops
        soon after ``until`` (of ``time.monotonic``), and can be killed at any
        moment. Spares what is being saved meanwhile, and keeps no save waiting
        but for moments. A little garbage may stay where getting it out costs
        more than it is worth, unless ``thorough``. Raises ``StoreBusy`` when
        somebody is saving all the time.
        """

    @abstractmethod
    def usage(self) -> Usage:
        """The disk space of this part of the store, measured; slow."""

    @abstractmethod
    def shares(self) -> Mapping[frozenset[str], int]:
        """How the space divides: bytes by the set of snapshots that lean on them.

        Forgetting all snapshots of a set gives its bytes back; ids are those of
        every workspace. Reads every directory of every snapshot; slow. What no
        snapshot leans on is not in it.
        """

    @abstractmethod
    def all_snapshots(self) -> Iterator[Snapshot]:
        """Every snapshot of every workspace in this part of the store, in no order; damaged ones are passed over."""

    def workspaces(self) -> Iterator[Path]:
        """Every workspace that has snapshots in this part of the store."""
        yield from dict.fromkeys(snapshot.workspace for snapshot in self.all_snapshots())

    def verify(self, snapshot: str) -> Iterator[Damage]:
        """Read everything a snapshot holds and name what does not come back. Slow but right."""
        for path, entry in self.entries(snapshot):
            if entry.kind is not Kind.FILE:
                continue
            try:
                with self.read(entry) as content:
                    size = 0
                    while block := content.read(1 << 20):
                        size += len(block)
            except StoreDamaged as damage:
                yield Damage(snapshot, path, str(damage))
                continue
            if size != entry.size:
                yield Damage(snapshot, path, f"has {size} bytes instead of {entry.size}")

    def examine(self, progress: Progress = silent, *, full: bool = True) -> Iterator[Damage]:
        """Look for damage in the whole of this part of the store, and name what it costs.

        ``full`` reads every byte; without it, only directories are read, and
        contents have to be there with their size. Each stored thing is read
        once, whatever the number of snapshots that lean on it. Changes nothing.
        """
        for snapshot in self.all_snapshots():
            with type(self).open(Place(self.place.store, snapshot.workspace)) as backend:
                yield from backend.verify(snapshot.id)

    def rebuild(self, progress: Progress = silent, *, dry_run: bool = False) -> Iterator[Mended]:
        """Make anew what is damaged in the whole of this part and can be made from the rest of it.

        The caller holds no lock. Killed at any moment, it can be repeated.
        """
        yield from ()

    def mend(self, progress: Progress = silent, *, give_up: bool, dry_run: bool = False) -> Iterator[Mended]:
        """Save what can be saved of this workspace's damaged snapshots, whose lock the caller holds.

        Stores again what the workspace's own files, or anything else, still
        have byte for byte. With ``give_up``, a snapshot of which something is
        lost is then replaced by one that says so (with the same date, note and
        order, as ``purge`` does it), and one of which nothing can be read is
        put aside: afterwards no listed snapshot leans on anything damaged.
        Killed at any moment, it can be repeated. A ``dry_run`` changes nothing.
        """
        yield from ()

    def restored(self, snapshot: str, stamps: Mapping[str, Stamp]) -> None:
        """Told after a restore: these paths now hold what ``snapshot`` has there.

        A stat cache may learn from it, so that nothing is stored again.
        """
        return

    def watch(self) -> None:
        """From now on ``save`` may pass over directories in which, as the kernel tells, nothing has changed.

        A wish: the answers are the same without it. Asked before each ``save`` by those who want it.
        """
        return

    def examined(self) -> None:
        """Told after an examination of which something may be kept: what was read for the first time, perhaps.

        Not told in a dry run.
        """
        return

    def close(self) -> None:
        """Let go of files and processes. The backend may be closed twice."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
