"""Most of a backend, for those who have a place for bytes.

:class:`TreeBackend` takes, lists, compares and reads snapshots; a subclass says
where contents, nodes and headers are kept. ``docs/write-a-backend.md`` has one
in seventy lines.
"""

import logging
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import (
    Capability,
    Change,
    Entry,
    Growing,
    Note,
    Place,
    Progress,
    Saved,
    Scope,
    Snapshot,
    Stamp,
    StoreDamaged,
    StoreError,
    silent,
    split_path,
    unbounded,
)
from hermes_checkpoints.kit.compare import LiveTree, compare
from hermes_checkpoints.kit.purging import Purged, Purging, renamed, without
from hermes_checkpoints.kit.store.batch import Batch, Unstored
from hermes_checkpoints.kit.store.home import noted_homes
from hermes_checkpoints.kit.store.nodes import encode_header
from hermes_checkpoints.kit.stored import StoredTrees
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.capture import Capture, left_out
from hermes_checkpoints.kit.walk.memory import Learned, Memory, MemoryFile
from hermes_checkpoints.kit.walk.recall import doubt, recalled, same_bytes, stamp_at

log = logging.getLogger("hermes_checkpoints")


class TreeBackend(StoredTrees):
    """A backend whose snapshots are trees of nodes that share structure."""

    def __init__(self, place: Place, home: Path | None = None) -> None:
        super().__init__(place, home)
        self._memory = MemoryFile(self.home / "seen" / place.workspace_id)

    # What a subclass supplies.

    @abstractmethod
    def _begin(self, scope: Scope) -> Batch:
        """A batch for one snapshot of this workspace."""

    def _put_back(self, entry: Entry, content: BinaryIO) -> bool:
        """Store a file's content, or the bytes of a directory's node, again under the key of ``entry``.

        Durably. ``False``, with nothing stored, when these are not the bytes
        that were stored. Called with the store's lock, shared. Raises ``StoreError``.
        """
        return False

    def _put_aside(self, snapshot: str) -> str:
        """Take a snapshot of which nothing can be read off the list; where it is kept. Raises ``StoreError``."""
        raise StoreError(f"{self.name} cannot put a damaged snapshot aside. Nothing was changed.")

    def _stores(self) -> tuple[Path, ...]:
        """What no snapshot may hold: the store, our home, and the homes that other backends noted elsewhere."""
        return (self.place.store, self.home, *noted_homes(self.place))

    # What follows from it.

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

    def _same_as_live(self, before: Entry, after: Entry, path: str) -> bool:
        if after.key:
            return self._same_content(before, after, path)
        with self.read(before) as stored:
            return same_bytes(self.place.workspace, split_path(path), stored)

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
