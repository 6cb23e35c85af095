"""Reading snapshots that are trees of nodes: the half of a backend that changes nothing."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import (
    Backend,
    Damage,
    Entry,
    Kind,
    NewFile,
    PathNotFound,
    Place,
    Progress,
    Snapshot,
    SnapshotNotFound,
    StoreDamaged,
    Usage,
    silent,
    split_path,
)
from hermes_checkpoints.kit.compare import StoredTree, walk
from hermes_checkpoints.kit.store.batch import key_of
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.nodes import Listed, decode_header, decode_listed, decode_node
from hermes_checkpoints.kit.store.remembered import MANY, remember, remembered
from hermes_checkpoints.kit.store.shares import divide, reachable, while_listed
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.kit.write.making import make_file, workspace_errors, write_new_file

log = logging.getLogger("hermes_checkpoints")
# Contents of up to so many bytes are made from memory.
_AT_ONCE = 1 << 20
# Decoded directories kept; a restore asks for the same ones again and again.
_NODES_KEPT = 4096


class StoredTrees(Backend):
    """Lists, reads and measures; :class:`~hermes_checkpoints.kit.TreeBackend` adds all that writes."""

    _keeps_lists = True
    """Whether long lists may be kept in the store, to be read faster the next time."""

    def __init__(self, place: Place, home: Path | None = None) -> None:
        super().__init__(place)
        self._home = home or place.store / self.name
        self._headers: dict[str, bytes] = {}
        self._decoded: dict[str, tuple[Snapshot, Entry]] = {}
        self._dates: dict[str, int] = {}
        self._nodes: dict[bytes, dict[str, Entry]] = {}

    # What a subclass supplies.

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
    def _everything(self) -> Iterator[Listed]:
        """Every snapshot of every workspace in this part of the store, as it is listed; damaged ones as they are."""

    def _stored_size(self, entry: Entry) -> int:
        """What a file's content, or a directory's own node, takes in the store; no other entry is asked for."""
        return entry.size if entry.kind is Kind.FILE else len(self._load_node(entry.key))

    def _store_lock(self, *, shared: bool) -> AbstractContextManager[int]:
        """Held shared while a snapshot is being stored, alone while garbage is being deleted."""
        return locked(self.home / "lock", shared=shared)

    def _content(self, entry: Entry) -> bytes:
        """All bytes of a small content. Raises ``StoreDamaged``."""
        with self.read(entry) as content:
            return content.read()

    def _check(self, entry: Entry, *, full: bool) -> None:
        """Raise ``StoreDamaged`` unless a file's content, or a directory's own node, is in the store as it was stored.

        Without ``full`` no content is read: it has to be there, with its size.
        Asked once for each key; a directory's node could be loaded.
        """
        if entry.kind is Kind.DIR:
            self._load_node(entry.key)
        elif full:
            with self.read(entry) as content:
                size = sum(map(len, iter(lambda: content.read(1 << 20), b"")))
            if size != entry.size:
                raise StoreDamaged(f"has {size} bytes instead of {entry.size}")

    def _digest(self, file: Entry) -> bytes:
        """What ``_digest_of`` gives for the bytes that were stored as a file's content; empty when nobody knows."""
        return file.key

    def _digest_of(self, content: BinaryIO, size: int) -> bytes:
        """A digest of all ``size`` bytes of a content: so those that were lost are looked for, each read once."""
        return key_of(content.read())

    def _check_files(self, progress: Progress, *, full: bool) -> Iterator[str]:
        """What is damaged in this part of the store and costs no snapshot anything, for people."""
        yield from ()

    # What follows from it.

    @property
    def home(self) -> Path:
        return self._home

    def snapshots(self) -> Iterator[Snapshot]:
        ids = self._ids()
        kept = self._home / "listed" / self.place.workspace_id
        if self._keeps_lists and len(ids) - len(self._decoded) >= MANY:
            for one in remembered(kept, self.place.workspace, self.name, ids):
                self._decoded.setdefault(one[0].id, one)
        known = len(self._decoded)
        for snapshot in sorted(ids, key=ids.__getitem__, reverse=True):
            try:
                yield self._snapshot(snapshot)[0]
            except StoreDamaged as damage:
                log.warning("passed over: %s", damage)
        if self._keeps_lists and len(self._decoded) - known >= MANY:
            remember(kept, {snapshot: self._decoded[snapshot] for snapshot in ids if snapshot in self._decoded})

    def entry(self, snapshot: str, path: str) -> Entry:
        return self._find(self._root(snapshot), snapshot, path)

    def _find(self, root: StoredTree, snapshot: str, path: str) -> Entry:
        found: Entry | None = root.entry
        for part in split_path(path):
            found = self._node(found.key).get(part) if found is not None and found.kind is Kind.DIR else None
        if found is None:
            raise PathNotFound(f"snapshot {snapshot[:10]} has nothing at {path!r}.")
        return found

    def entries(self, snapshot: str) -> Iterator[tuple[str, Entry]]:
        return walk(self._root(snapshot))

    def materialise(self, entry: Entry, dir_fd: int, name: str) -> None:
        assert entry.kind is Kind.FILE
        with self.read(entry) as content, workspace_errors(name):
            write_new_file(dir_fd, name, content)

    def materialise_all(self, files: Iterable[NewFile]) -> Iterator[int]:
        for file in files:
            entry, dir_fd, name = file
            if entry.size > _AT_ONCE:
                yield from super().materialise_all([file])
                continue
            yield make_file(dir_fd, name, self._content(entry), entry.mode & 0o777 | 0o200)

    def usage(self) -> Usage:
        return space_of(self.home)

    def shares(self) -> Mapping[frozenset[str], int]:
        return while_listed(self._all_headers, self._shares)

    def _all_headers(self) -> dict[str, bytes]:
        return {snapshot: header for snapshot, _, _, header in self._everything()}

    def _shares(self, headers: Mapping[str, bytes]) -> Mapping[frozenset[str], int]:
        roots = ((snapshot, decode_header(header, snapshot, self.name)[1]) for snapshot, header in headers.items())
        return divide(roots, self._node, self._stored_size)

    def all_snapshots(self) -> Iterator[Snapshot]:
        for listed in self._everything():
            try:
                yield decode_listed(listed, self.name)[0]
            except StoreDamaged as damage:
                log.warning("passed over: %s", damage)

    def examine(self, progress: Progress = silent, *, full: bool = True) -> Iterator[Damage]:
        check = partial(self._check, full=full)
        from hermes_checkpoints.kit.examining import Examination, examined  # a turn needs none of it

        examination = Examination(lambda key: decode_node(self._load_node(key)), check, progress)
        yield from examined(self._everything, self.name, examination)
        yield from (Damage("", "", what) for what in self._check_files(progress, full=full))

    def _reachable(self, headers: Iterable[bytes]) -> set[bytes]:
        """The key of every content and directory that snapshots lean on, given their headers: for ``reclaim``."""
        roots = [decode_header(header, "", self.name)[1] for header in headers]
        return reachable(roots, lambda key: decode_node(self._load_node(key)))

    def _same_content(self, before: Entry, after: Entry, path: str) -> bool:
        """Whether two keys hold the same bytes; a backend whose equal contents have equal keys says no."""
        return False

    def _header(self, snapshot: str) -> bytes:
        if snapshot not in self._headers:
            self._headers[snapshot] = self._load_header(snapshot)
        return self._headers[snapshot]

    def _snapshot(self, snapshot: str) -> tuple[Snapshot, Entry]:
        if snapshot not in self._decoded:
            if snapshot not in self._dates:
                self._dates = dict(self._ids())
            header = self._header(snapshot)
            created_ns = self._dates.get(snapshot, -1)
            self._decoded[snapshot] = decode_listed((snapshot, self.place.workspace_id, created_ns, header), self.name)
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
