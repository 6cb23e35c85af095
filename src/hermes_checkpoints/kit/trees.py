"""Most of a backend, for those who have a place for bytes.

:class:`TreeBackend` takes, lists, compares and reads snapshots; a subclass says
where contents, nodes and headers are kept. ``docs/write-a-backend.md`` has one
in seventy-five lines. What purges and repairs is imported when it is asked for.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hermes_checkpoints.contract import (
    Capability,
    Change,
    Entry,
    Growing,
    Mended,
    Note,
    Place,
    Progress,
    Reason,
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
from hermes_checkpoints.kit.store.batch import Batch, Unstored
from hermes_checkpoints.kit.store.home import noted_homes
from hermes_checkpoints.kit.store.nodes import decode_node, encode_header
from hermes_checkpoints.kit.stored import StoredTrees
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.capture import Capture, left_out
from hermes_checkpoints.kit.walk.memory import Learned, Memory, MemoryFile
from hermes_checkpoints.kit.walk.recall import doubt, doubt_since, recalled, same_bytes, stamp_at
from hermes_checkpoints.kit.walk.seen import Seen
from hermes_checkpoints.kit.walk.watching import Watch

if TYPE_CHECKING:
    from hermes_checkpoints.kit.purging import Parts

log = logging.getLogger("hermes_checkpoints")


class TreeBackend(StoredTrees):
    """A backend whose snapshots are trees of nodes that share structure."""

    def __init__(self, place: Place, home: Path | None = None) -> None:
        super().__init__(place, home)
        self._memory = MemoryFile(self.home / "seen" / place.workspace_id)
        self._watch: Watch | None = None
        self._watchable = True

    # What a subclass supplies.

    @abstractmethod
    def _begin(self, scope: Scope) -> Batch:
        """A batch for one snapshot of this workspace."""

    def _put_back(self, entry: Entry, content: BinaryIO, *, dry_run: bool = False) -> bool:
        """Store a file's content, or the bytes of a directory's node, again under the key of ``entry``.

        Durably. ``False``, with nothing stored, when these are not the bytes
        that were stored; in a ``dry_run`` only that is found out. Called with
        the store's lock, shared. Raises ``StoreError``.
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
                # What a restore leans on is looked at whole.
                watch = None if note.restoring is not None or scope.anyway else self._watch
                capture = Capture(self.place.workspace, self._stores(), scope, batch, progress, learned, watch)
                tree = capture.run(memory.tree if memory else None)
                snapshot = None
                # Without a memory nothing of the newest can be leaned on, whatever it holds.
                if latest is None or memory is None or capture.tally.changed or note.restoring is not None:
                    capture.nodes()
                    entry, files = tree.own_entry(), capture.stats(tree).files
                    snapshot = self._publish(batch, note, entry, files, tree.size, capture.tally.changed)
            finally:
                batch.abandon()
            now = snapshot or latest
            assert now is not None
            if memory is None or snapshot is not None or capture.tally.opened or capture.tally.directories:
                doubt(tree, scope.anyway)  # next time by the rules of then
                memory = Memory(tree, now.id, self._header(now.id), scope.max_file_size)
                self._memory.store(memory)
            if watch is not None:
                watch.done(memory.tree)
            stats = capture.stats(tree)
            return Saved(snapshot, now, left_out(tree), stats, lambda path: stamp_at(tree, path))

    def watch(self) -> None:
        if self._watch is None and self._watchable:
            try:
                self._watch = Watch(self.place.workspace)
            except (ImportError, OSError) as error:
                self._watchable = False
                log.warning("every snapshot looks at all of %s: %s", self.place.workspace, error)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        super().close()

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
                self._dates[snapshot] = created_ns
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
        for one in self.snapshots():
            try:
                self._header(one.id)  # the list may know it from before it was damaged
            except StoreDamaged as damage:  # which must not keep new ones from being taken
                log.warning("passed over: %s", damage)
            else:
                return one
        return None

    def _remember(self, latest: Snapshot | None, scope: Scope) -> Memory | None:
        """What is known of the tree, made anew from the newest snapshot when the cache is lost or too old."""
        if latest is None:
            return None
        memory = self._memory.load()
        try:
            root = self._snapshot(latest.id)[1]
            self._load_node(root.key)  # not from what is kept in memory: somebody may have emptied the store
            if memory is not None and memory.believed(latest.id, self._ids(), scope.max_file_size):
                doubt(memory.tree, scope.anyway)
                if memory.boot != clock.boot():
                    doubt_since(memory.tree, latest.created_ns - clock.WRITTEN_BACK_NS)
                return memory
            tree = recalled(root, lambda key: decode_node(self._load_node(key)))
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
        from hermes_checkpoints.kit.purging import Replacing, held_at

        parts = split_path(path)

        def doomed(root: Entry) -> Collection[Parts]:
            return (parts,) if held_at(root, parts, self._node) is not None else ()

        with self._store_lock(shared=True):
            self._memory.forget()
            return Replacing(doomed, self._snapshot, self._purge_one, self.forget).run(self._ids(), progress)

    def _purge_one(self, snapshot: str, paths: Collection[Parts], new_ids: Mapping[str, str]) -> str | None:
        from hermes_checkpoints.kit.purging import held_at, weigh

        old, root = self._snapshot(snapshot)
        gone = [entry for parts in paths if (entry := held_at(root, parts, self._node)) is not None]
        files, size = weigh(gone, self._node)
        return self._replace(snapshot, paths, Reason.PURGED, new_ids, old.files - files, old.size - size)

    def _replace(
        self,
        snapshot: str,
        paths: Collection[Parts],
        reason: Reason,
        new_ids: Mapping[str, str],
        files: int,
        size: int,
    ) -> str | None:
        """Publish a snapshot again without these paths, and with so much in it; its new id."""
        from hermes_checkpoints.kit.purging import renamed, without

        old, root = self._snapshot(snapshot)
        note = renamed(old.note, new_ids)
        if not paths and note == old.note:
            return None
        batch = self._begin(Scope())
        try:
            left = without(root, paths, reason, self._node, batch.node)
            return self._publish(batch, note, left, files, size, old.changed, old.created_ns).id
        finally:
            batch.abandon()

    def mend(self, progress: Progress = silent, *, give_up: bool, dry_run: bool = False) -> Iterator[Mended]:
        from hermes_checkpoints.kit.mending import Salvage, Sources
        from hermes_checkpoints.kit.purging import weigh

        with nullcontext() if dry_run else self._store_lock(shared=True):
            for kept in (self._headers, self._decoded, self._dates, self._nodes):
                kept.clear()  # the store is the matter, not what was once read from it
            check = partial(self._check, full=True)
            salvage = Salvage(self._ids(), self._snapshot, self._load_node, check, progress)
            memory = self._memory.load()
            known = memory.tree if memory else None
            sources = Sources(self.place.workspace, known, self._look, self._digest, self._digest_of, progress)
            yield from salvage.heal(sources, partial(self._put_back, dry_run=dry_run))
            if salvage.hopeless and not dry_run:
                self._memory.forget()  # it names what is lost, and the next snapshot would lean on that
            if give_up and dry_run:
                yield from salvage.give_up(lambda *_: "", lambda _: None, lambda _: "quarantine")
            elif give_up:

                def replace_one(snapshot: str, paths: Collection[Parts], new_ids: Mapping[str, str]) -> str | None:
                    files, size = weigh([self._snapshot(snapshot)[1]], self._node, salvage.damaged)
                    return self._replace(snapshot, paths, Reason.DAMAGED, new_ids, files, size)

                yield from salvage.give_up(replace_one, self.forget, self._put_aside)
            salvage.could_not_store()

    def _look(self) -> Seen:
        """The workspace as it is now, whatever the sizes of its files; nothing is stored."""
        memory = self._memory.load()
        capture = Capture(self.place.workspace, self._stores(), Scope(max_file_size=0), Unstored(takes_any_size=True))
        return capture.run(memory.tree if memory else None)

    def restored(self, snapshot: str, stamps: Mapping[str, Stamp]) -> None:
        memory = self._memory.load()
        if memory is None or not clock.stamps_are_exact(self.place.workspace):
            return
        learned: dict[str, Learned] = {}
        root = self._root(snapshot)
        here, inside = "", self._node(root.entry.key)
        for path, (mode, size, mtime_ns, ctime_ns, inode) in stamps.items():
            above, _, name = path.rpartition("/")
            if above != here:  # in path order, a directory is looked up once for all that is in it
                here, inside = above, self._node((self._find(root, snapshot, above) if above else root.entry).key)
            if (entry := inside.get(name)) is None:
                continue
            learned[path] = ((mode, size, mtime_ns, ctime_ns, inode), entry.key, entry.xattrs)
        self._memory.store(replace(memory, restored=snapshot, learned=learned))
