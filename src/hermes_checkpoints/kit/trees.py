"""Most of a backend, for those who have a place for bytes.

:class:`TreeBackend` takes, lists, compares and reads snapshots; a subclass says
where contents, nodes and headers are kept. ``docs/write-a-backend.md`` has one
in seventy lines.
"""

import logging
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from hermes_checkpoints.contract import (
    Backend,
    Capability,
    Change,
    Entry,
    Growing,
    Kind,
    Note,
    PathNotFound,
    Place,
    Progress,
    Saved,
    Scope,
    Snapshot,
    SnapshotNotFound,
    Stamp,
    StoreDamaged,
    Usage,
    silent,
    split_path,
    unbounded,
)
from hermes_checkpoints.kit.compare import LiveTree, StoredTree, compare, walk
from hermes_checkpoints.kit.purging import Purged, Purging, renamed, without
from hermes_checkpoints.kit.store.batch import Batch, Unstored
from hermes_checkpoints.kit.store.home import noted_homes
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.nodes import decode_header, decode_node, encode_header
from hermes_checkpoints.kit.store.shares import divide, reachable, while_listed
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.capture import Capture, left_out
from hermes_checkpoints.kit.walk.memory import Learned, Memory, MemoryFile
from hermes_checkpoints.kit.walk.recall import doubt, recalled, same_bytes, stamp_at
from hermes_checkpoints.kit.writing import workspace_errors, write_new_file

log = logging.getLogger("hermes_checkpoints")
# Decoded directories kept; a restore asks for the same ones again and again.
_NODES_KEPT = 4096


class TreeBackend(Backend):
    """A backend whose snapshots are trees of nodes that share structure."""

    def __init__(self, place: Place, home: Path | None = None) -> None:
        super().__init__(place)
        self._home = home or place.store / self.name
        self._memory = MemoryFile(self.home / "seen" / place.workspace_id)
        self._headers: dict[str, bytes] = {}
        self._decoded: dict[str, tuple[Snapshot, Entry]] = {}
        self._nodes: dict[bytes, dict[str, Entry]] = {}

    # What a subclass supplies.

    @abstractmethod
    def _begin(self, scope: Scope) -> Batch:
        """A batch for one snapshot of this workspace."""

    @abstractmethod
    def _ids(self) -> dict[str, int]:
        """This workspace's snapshots: id and ``created_ns``. Cheap; reads no header."""

    @abstractmethod
    def _load_header(self, snapshot: str) -> bytes:
        """The header as it was given to ``Batch.publish``. Raises ``StoreDamaged``."""

    @abstractmethod
    def _load_node(self, key: bytes) -> bytes:
        """A directory's bytes as ``encode_node`` made them. Raises ``StoreDamaged``."""

    @abstractmethod
    def _everything(self) -> Iterator[tuple[str, bytes]]:
        """Every snapshot of every workspace in this part of the store: id and header, damaged ones as they are."""

    def _stored_size(self, entry: Entry) -> int:
        """What a file's content, or a directory's own node, takes in the store; no other entry is asked for."""
        return entry.size if entry.kind is Kind.FILE else len(self._load_node(entry.key))

    def _store_lock(self, *, shared: bool) -> AbstractContextManager[int]:
        """Held shared while a snapshot is being stored, alone while garbage is being deleted."""
        return locked(self.home / "lock", shared=shared)

    def _stores(self) -> tuple[Path, ...]:
        """What no snapshot may hold: the store, our home, and the homes that other backends noted elsewhere."""
        return (self.place.store, self.home, *noted_homes(self.place))

    def _reachable(self, headers: Iterable[bytes]) -> set[bytes]:
        """The key of every content and directory that snapshots lean on, given their headers: for ``reclaim``."""
        roots = [decode_header(header, "", self.name)[1] for header in headers]
        return reachable(roots, lambda key: decode_node(self._load_node(key)))

    # What follows from it.

    @property
    def home(self) -> Path:
        return self._home

    def save(self, scope: Scope, note: Note, progress: Progress = silent, growing: Growing = unbounded) -> Saved:
        with self._store_lock(shared=True):
            latest = self._latest()
            memory = self._remember(latest, scope)
            batch = self._begin(scope)
            batch.growing = growing
            try:
                learned = memory.learned if memory else {}
                capture = Capture(self.place.workspace, self._stores(), scope, batch, progress, learned)
                tree = capture.run(memory.tree if memory else None)
                snapshot = None
                if latest is None or capture.tally.changed or note.restoring is not None:
                    capture.nodes()
                    entry, files = tree.own_entry(), capture.stats(tree).files
                    snapshot = self._publish(batch, note, entry, files, tree.size, capture.tally.changed)
            finally:
                batch.abandon()
            now = snapshot or latest
            assert now is not None
            if snapshot is not None or capture.tally.opened:
                doubt(tree, scope.anyway)  # next time by the rules of then
                self._memory.store(Memory(tree, now.id, self._header(now.id), scope.max_file_size))
            stats = capture.stats(tree)
            return Saved(snapshot, now, tuple(left_out(tree)), stats, lambda path: stamp_at(tree, path))

    def _publish(
        self, batch: Batch, note: Note, root: Entry, files: int, size: int, changed: int, created_ns: int = 0
    ) -> Snapshot:
        created_ns = created_ns or max([time.time_ns(), *(created + 1 for created in self._ids().values())])
        for nonce in range(1000):
            header = encode_header(
                self.place.workspace, created_ns, note, root, files=files, size=size, changed=changed, nonce=nonce
            )
            snapshot = batch.publish(header, created_ns, root.key)
            if snapshot is not None:
                self._headers[snapshot] = header
                return self._snapshot(snapshot)[0]
        raise AssertionError("a thousand digests in a row without a letter")

    def _latest(self) -> Snapshot | None:
        ids = self._ids()
        if not ids:
            return None
        newest = max(ids, key=lambda snapshot: ids[snapshot])
        memory = self._memory.load()
        if memory is not None and memory.latest == newest:
            self._headers.setdefault(newest, memory.header)
        # One that is damaged must not keep new ones from being taken.
        return next(self.snapshots(), None)

    def _remember(self, latest: Snapshot | None, scope: Scope) -> Memory | None:
        """What is known of the tree, made anew from the newest snapshot when the cache is lost or too old."""
        if latest is None:
            return None
        memory = self._memory.load()
        if memory is not None and memory.believed(latest.id, self._ids(), scope.max_file_size):
            doubt(memory.tree, scope.anyway)
            return memory
        try:
            tree = recalled(self._snapshot(latest.id)[1], self._node)
        except StoreDamaged as damage:
            log.warning("everything is stored anew: %s", damage)
            return None
        return Memory(tree, latest.id, self._header(latest.id), scope.max_file_size)

    def _header(self, snapshot: str) -> bytes:
        if snapshot not in self._headers:
            self._headers[snapshot] = self._load_header(snapshot)
        return self._headers[snapshot]

    def _snapshot(self, snapshot: str) -> tuple[Snapshot, Entry]:
        if snapshot not in self._decoded:
            self._decoded[snapshot] = decode_header(self._header(snapshot), snapshot, self.name)
        return self._decoded[snapshot]

    def _root(self, snapshot: str) -> StoredTree:
        if snapshot not in self._ids():
            raise SnapshotNotFound(f"{self.place.workspace} has no snapshot {snapshot!r}. Nothing was changed.")
        return StoredTree(self._snapshot(snapshot)[1], self._node)

    def _node(self, key: bytes) -> dict[str, Entry]:
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= _NODES_KEPT:
                self._nodes.clear()
            node = self._nodes[key] = decode_node(self._load_node(key))
        return node

    def snapshots(self) -> Iterator[Snapshot]:
        ids = self._ids()
        for snapshot in sorted(ids, key=lambda snapshot: ids[snapshot], reverse=True):
            try:
                yield self._snapshot(snapshot)[0]
            except StoreDamaged as damage:
                log.warning("passed over: %s", damage)

    def changes(self, since: str, until: str | None = None, *, scope: Scope = Scope()) -> Iterator[Change]:
        before = self._root(since)
        if until is not None:
            yield from compare(before, self._root(until), self._same_content)
            return
        memory = self._remember(self._latest(), scope)
        unstored = Unstored(takes_any_size=Capability.STORES_LARGE_FILES_FREELY in self.capabilities)
        learned = memory.learned if memory else {}
        capture = Capture(self.place.workspace, self._stores(), scope, unstored, learned=learned)
        yield from compare(before, LiveTree(capture.run(memory.tree if memory else None)), self._same_as_live)

    def _same_content(self, before: Entry, after: Entry, path: str) -> bool:
        """Whether two keys hold the same bytes; a backend whose equal contents have equal keys says no."""
        return False

    def _same_as_live(self, before: Entry, after: Entry, path: str) -> bool:
        if after.key:
            return self._same_content(before, after, path)
        with self.read(before) as stored:
            return same_bytes(self.place.workspace, split_path(path), stored)

    def entry(self, snapshot: str, path: str) -> Entry:
        return self._find(self._root(snapshot), snapshot, path)

    @staticmethod
    def _find(root: StoredTree, snapshot: str, path: str) -> Entry:
        tree: StoredTree | None = root
        found: tuple[Entry, StoredTree | None] | None = None
        for part in split_path(path):
            found = tree.child(part) if tree is not None else None
            if found is None:
                raise PathNotFound(f"snapshot {snapshot[:10]} has nothing at {path!r}.")
            tree = found[1]
        assert found is not None
        return found[0]

    def entries(self, snapshot: str) -> Iterator[tuple[str, Entry]]:
        return walk(self._root(snapshot))

    def materialise(self, entry: Entry, dir_fd: int, name: str) -> None:
        assert entry.kind is Kind.FILE
        with self.read(entry) as content, workspace_errors(name):
            write_new_file(dir_fd, name, content)

    def usage(self) -> Usage:
        return space_of(self.home)

    def shares(self) -> Mapping[frozenset[str], int]:
        return while_listed(lambda: dict(self._everything()), self._shares)

    def _shares(self, headers: Mapping[str, bytes]) -> Mapping[frozenset[str], int]:
        roots = ((snapshot, decode_header(header, snapshot, self.name)[1]) for snapshot, header in headers.items())
        return divide(roots, self._node, self._stored_size)

    def all_snapshots(self) -> Iterator[Snapshot]:
        for snapshot, header in self._everything():
            try:
                yield decode_header(header, snapshot, self.name)[0]
            except StoreDamaged as damage:
                log.warning("passed over: %s", damage)

    def purge(self, path: str, progress: Progress = silent) -> Mapping[str, str]:
        purging = Purging(split_path(path), self._snapshot, self._node)
        with self._store_lock(shared=True):
            self._memory.forget()
            return purging.run(self._ids(), self._purge_one, self.forget, progress)

    def _purge_one(self, snapshot: str, parts: tuple[str, ...], new_ids: Mapping[str, str]) -> str | None:
        old, root = self._snapshot(snapshot)
        batch = self._begin(Scope())
        try:
            left = without(root, parts, self._node, batch.node) or Purged(root, 0, 0)
            note = renamed(old.note, new_ids)
            if left.root == root and note == old.note:
                return None
            files, size = old.files - left.files, old.size - left.size
            return self._publish(batch, note, left.root, files, size, old.changed, old.created_ns).id
        finally:
            batch.abandon()

    def restored(self, snapshot: str, stamps: Mapping[str, Stamp]) -> None:
        memory = self._memory.load()
        if memory is None or not clock.stamps_are_exact(self.place.workspace):
            return
        learned: dict[str, Learned] = {}
        root = self._root(snapshot)
        for path, (mode, size, mtime_ns, ctime_ns, inode) in stamps.items():
            entry = self._find(root, snapshot, path)
            learned[path] = ((mode, size, mtime_ns, ctime_ns, inode), entry.key, entry.xattrs)
        self._memory.store(replace(memory, restored=snapshot, learned=learned))
