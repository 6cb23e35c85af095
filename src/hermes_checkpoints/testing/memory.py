"""A backend in memory: the reference that the suite is tried on, and strict with whoever calls it."""

import math
import os
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, ClassVar, Self

from hermes_checkpoints.contract import (
    Capability,
    Entry,
    Fitness,
    Kind,
    Place,
    Progress,
    Scope,
    StoreDamaged,
    Suitability,
    Usage,
    silent,
)
from hermes_checkpoints.kit import Batch, BytesBatch, TreeBackend, checked, id_of, key_of, private_directory
from hermes_checkpoints.kit.store.nodes import Listed


@dataclass(slots=True)
class Shelf:
    """One store: what is kept, and what callers have been promised."""

    things: dict[bytes, bytes] = field(default_factory=dict)
    """Contents and directories under their keys."""
    snapshots: dict[str, dict[str, tuple[int, bytes]]] = field(default_factory=dict)
    """By workspace id and snapshot id: ``created_ns`` and header."""
    issued: set[bytes] = field(default_factory=set)
    """Every key ever handed out; asking for another one is the caller's mistake."""
    taking: set[str] = field(default_factory=set)
    """Workspaces that have a batch neither published nor abandoned."""


class MemoryBackend(TreeBackend):
    """Keeps snapshots as long as the process lives; all instances of one store path share them.

    Asserts that its callers keep the contract: only keys that it gave out, one
    batch at a time for a workspace, each published or abandoned. Locks and the
    stat cache are the kit's, in files.
    """

    name = "memory"
    capabilities = frozenset({Capability.DEDUPLICATES})
    shelves: ClassVar[dict[Path, Shelf]] = {}

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._shelf = self.shelves.setdefault(place.store, Shelf())

    @classmethod
    def probe(cls, place: Place) -> Fitness:
        return Fitness(Suitability.ON_REQUEST, "keeps snapshots only as long as the process lives")

    @classmethod
    def open(cls, place: Place) -> Self:
        assert place.store.is_absolute()
        assert place.workspace.is_absolute()
        private_directory(place.store / cls.name)
        return cls(place)

    def _mine(self) -> dict[str, tuple[int, bytes]]:
        return self._shelf.snapshots.setdefault(self.place.workspace_id, {})

    def _begin(self, scope: Scope) -> Batch:
        return MemoryBatch(self._shelf, self.place.workspace_id)

    def _ids(self) -> dict[str, int]:
        return {snapshot: created_ns for snapshot, (created_ns, _) in self._mine().items()}

    def _load_header(self, snapshot: str) -> bytes:
        return self._mine()[snapshot][1]

    def _load_node(self, key: bytes) -> bytes:
        return self._thing(key)

    def _thing(self, key: bytes) -> bytes:
        assert key in self._shelf.issued, f"{key!r} is no key that this store gave out"
        if key not in self._shelf.things:
            raise StoreDamaged(f"{key.hex()[:10]} has been reclaimed. Nothing was changed.")
        return checked(key, self._shelf.things[key])

    def spoil(self, content: bytes) -> None:
        """Have a stored content come back with one byte that is another."""
        key = key_of(content)
        self._shelf.things[key] = bytes([content[0] ^ 1]) + content[1:]

    def _put_back(self, entry: Entry, content: BinaryIO, *, dry_run: bool = False) -> bool:
        data = content.read()
        if key_of(data) != entry.key:
            return False
        if not dry_run:
            self._shelf.things[entry.key] = data
        return True

    def read(self, entry: Entry) -> BinaryIO:
        assert entry.kind is Kind.FILE
        return BytesIO(self._thing(entry.key))

    def materialise(self, entry: Entry, dir_fd: int, name: str) -> None:
        assert name not in ("", ".", "..")
        assert "/" not in name
        super().materialise(entry, dir_fd, name)

    def forget(self, snapshots: Collection[str]) -> None:
        assert not isinstance(snapshots, str), "a collection of ids, not one id"
        for snapshot in snapshots:
            self._mine().pop(snapshot, None)

    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        with self._store_lock(shared=False):
            assert not self._shelf.taking, "the lock is held alone, and yet somebody is taking"
            live = self._reachable(self._all_headers().values())
            for done, key in enumerate(self._shelf.things.keys() - live):
                progress(done)
                if time.monotonic() > until:
                    return False
                del self._shelf.things[key]
        return True

    def usage(self) -> Usage:
        size = sum(map(len, self._shelf.things.values()))
        return Usage(size, size)

    def _everything(self) -> Iterator[Listed]:
        for workspace_id, mine in self._shelf.snapshots.items():
            yield from ((snapshot, workspace_id, *stored) for snapshot, stored in mine.items())


class MemoryBatch(BytesBatch):
    """What one snapshot adds; on the shelf only once it is published."""

    def __init__(self, shelf: Shelf, workspace_id: str) -> None:
        super().__init__()
        assert workspace_id not in shelf.taking, "two batches at once for one workspace: its lock is not held"
        shelf.taking.add(workspace_id)
        self._shelf = shelf
        self._workspace_id = workspace_id
        self._new: dict[bytes, bytes] = {}
        self._droppable = False
        self._closed = False

    def put(self, key: bytes, data: bytes) -> bool:
        assert not self._closed, "the batch was published or abandoned"
        self._shelf.issued.add(key)
        if self._holds(key):
            return False
        self._new[key] = data
        return True

    def _holds(self, key: bytes) -> bool:
        return key in self._new or key in self._shelf.things

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        assert os.lseek(fd, 0, os.SEEK_CUR) == 0, "to be read from its beginning"
        assert before is None or before.kind is not Kind.FILE or before.key in self._shelf.issued
        super().add(fd, size, before)
        self._droppable = True

    def drop(self) -> None:
        assert self._droppable, "there is no add to take back"
        super().drop()
        self._droppable = False

    def keys(self) -> list[bytes]:
        self._droppable = False
        return super().keys()

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        for entry in entries.values():
            if entry.kind in (Kind.FILE, Kind.DIR):
                assert self._holds(entry.key), "names what is not stored"
        return super().node(entries)

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        assert not self._closed, "published or abandoned already"
        assert self._holds(root), "names what is not stored"
        mine = self._shelf.snapshots.setdefault(self._workspace_id, {})
        dates = {older for older, _ in mine.values()}
        assert created_ns in dates or created_ns > max(dates, default=0), "dates of a workspace only grow"
        snapshot = id_of(header)
        if snapshot is None:
            return None
        assert snapshot not in mine
        self._shelf.things.update(self._new)
        mine[snapshot] = (created_ns, header)
        self._closed = True
        return snapshot

    def abandon(self) -> None:
        self._closed = True
        self._shelf.taking.discard(self._workspace_id)
