"""Looking for damage in the repository: in its files, and in what only git reads."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged, StoreError
from hermes_checkpoints.kit.store.nodes import Listed, decode_header, decode_node
from hermes_checkpoints.kit.store.plain import is_damage, open_plain
from hermes_checkpoints_shadow_git.objects import ID_SIZE, PACK_HEADER, object_id
from hermes_checkpoints_shadow_git.packindex import Index
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.refs import altered_refs, misnamed_refs, no_refs
from hermes_checkpoints_shadow_git.repository import Repository
from hermes_checkpoints_shadow_git.storing import Node, store_node, top_tree

_BLOCK = 1 << 20
_TRIES = 5
MISSING = "is missing"


class Presence:
    """Tells whether objects are in the store, without reading those whose pack and index end as they were written."""

    def __init__(self, indexes: PackIndexes, reader: PackReader) -> None:
        self._indexes = indexes
        self._reader = reader
        self._ends: dict[tuple[str, int, int], bool] = {}

    def check(self, oid: bytes) -> None:
        """Raises ``StoreDamaged`` when it is not there."""
        index = self._indexes.find(oid)
        if index is None or not self._is_whole(index):
            self._reader.stream(oid).close()

    def has(self, oid: bytes) -> bool:
        try:
            self.check(oid)
        except StoreDamaged:
            return False
        return True

    def _is_whole(self, index: Index) -> bool:
        try:
            status = os.stat(index.pack)
            state = index.pack, status.st_size, status.st_mtime_ns
            if state not in self._ends:
                self._ends[state] = index.sound() and _trailer(Path(index.pack)) == index.pack_checksum
        except OSError:  # rewritten since it was listed
            return False
        return self._ends[state]


@dataclass(frozen=True, slots=True)
class Faulty:
    """A pack of which something is not what was written."""

    name: str
    pack: str = ""
    """What is the matter with the pack itself; empty when it is whole."""
    index: str = ""
    """Likewise."""

    def words(self) -> Iterator[str]:
        if self.pack:
            yield f"{self.name}.pack {self.pack}"
        if self.index:
            yield f"{self.name}.idx {self.index}"


def faulty_packs(repository: Repository, tick: Callable[[], None], *, full: bool, lone: bool) -> Iterator[Faulty]:
    """Without ``full``, packs are not read. ``lone``: one without an index counts, too; a killed save leaves some."""
    names = set(os.listdir(repository.packs)) if repository.packs.is_dir() else set()
    for name in sorted({Path(name).stem for name in names if name.endswith((".pack", ".idx"))}):
        tick()
        pack, index = repository.packs / f"{name}.pack", repository.packs / f"{name}.idx"
        if index.name not in names and not lone:
            continue
        found = Faulty(name, _fault_in_pack(pack, full=full), _fault_in_index(index))
        # Only now is asked which of them are there: reclaimed meanwhile, the index goes first.
        if not os.path.lexists(index):
            found = Faulty(name, found.pack, MISSING) if lone and os.path.lexists(pack) else Faulty(name)
        elif not os.path.lexists(pack):
            found = Faulty(name, pack=MISSING)
        if found.pack or found.index:
            yield found


def _fault_in_pack(path: Path, *, full: bool) -> str:
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            left = os.fstat(file.fileno()).st_size - ID_SIZE
            if left < PACK_HEADER.size:
                return "is cut short"
            digest = hashlib.sha1(usedforsecurity=False)
            while full and left and (block := file.read(min(left, _BLOCK))):
                digest.update(block)
                left -= len(block)
            return "has other bytes than were stored" if full and digest.digest() != file.read(ID_SIZE) else ""
    except OSError as error:
        return _unreadable(path, error)


def _fault_in_index(path: Path) -> str:
    try:
        index = Index(os.fspath(path))
    except OSError as error:
        return _unreadable(path, error)
    except ValueError as error:
        return f"cannot be read: {error}"
    if not index.sound():
        return "has other bytes than were written"
    with suppress(OSError):  # that is the pack's fault
        return "" if _trailer(path.with_suffix(".pack")) == index.pack_checksum else "does not fit its pack"
    return ""


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return MISSING
    if not is_damage(error):
        raise StoreError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error
    return f"cannot be read: {error.strerror}"


def _trailer(pack: Path) -> bytes:
    with os.fdopen(open_plain(pack), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - ID_SIZE))
        return file.read()


@dataclass(slots=True)
class Derived:
    """What git needs, and we do not: trees, and links' texts. They follow from the snapshots' own directories."""

    lost: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    """Kind and bytes of each object that is not there, by its id."""
    complete: bool = True
    """Whether everything that snapshots lean on themselves is there."""

    def look(
        self,
        everything: Callable[[], Iterable[Listed]],
        read: Callable[[bytes], tuple[str, bytes]],
        presence: Presence,
        tick: Callable[[], None],
        *,
        full: bool,
    ) -> None:
        """``full``: objects are read, and not only looked up. Again when snapshots were forgotten meanwhile."""
        for _ in range(_TRIES):
            self.lost, self.complete = {}, True
            looked_at = self._look(everything(), read, presence, tick, full=full)
            if (self.complete and not self.lost) or looked_at <= {snapshot for snapshot, *_ in everything()}:
                return

    def _look(
        self,
        everything: Iterable[Listed],
        read: Callable[[bytes], tuple[str, bytes]],
        presence: Presence,
        tick: Callable[[], None],
        *,
        full: bool,
    ) -> set[str]:
        """The snapshots that there were."""
        looked_at: set[str] = set()
        known: set[bytes] = set()

        def add(kind: bytes, data: bytes) -> bytes:
            oid = object_id(kind, data)
            if oid not in known:
                known.add(oid)
                if not (_readable(read, oid) if full else presence.has(oid)):
                    self.lost[oid] = kind, data
            return oid

        nodes: set[bytes] = set()
        for snapshot, _, _, header in everything:
            looked_at.add(snapshot)
            try:
                todo = [decode_header(header, snapshot, "shadow-git")[1].key]
                add(b"tree", top_tree(todo[0]))
            except StoreDamaged:
                self.complete = False
                continue
            while todo:
                key = todo.pop()
                if key in nodes:
                    continue
                tick()
                nodes.add(key)
                try:
                    entries = decode_node(read(Node(key).meta_blob)[1])
                    store_node(entries, add)
                except StoreDamaged:
                    self.complete = False
                    continue
                for entry in entries.values():
                    if entry.kind is Kind.DIR:
                        todo.append(entry.key)
                    elif entry.kind is Kind.FILE and entry.key not in known:
                        known.add(entry.key)
                        self.complete = presence.has(entry.key) and self.complete
        return looked_at


def _readable(read: Callable[[bytes], tuple[str, bytes]], oid: bytes) -> bool:
    try:
        read(oid)
    except StoreDamaged:
        return False
    return True


def damaged_files(repository: Repository, derived: Derived, tick: Callable[[], None], *, full: bool) -> Iterator[str]:
    """What is damaged besides what costs snapshots something, for people."""
    for path, snapshot in altered_refs(repository.path):
        yield f"{path} does not say {snapshot}"
    for path, snapshot in misnamed_refs(repository.path):
        yield f"{path} is not called as {snapshot} is"
    yield from no_refs(repository.path)
    for faulty in faulty_packs(repository, tick, full=full, lone=not derived.complete):
        yield from faulty.words()
    for oid, (kind, _) in derived.lost.items():
        yield f"{kind.decode()} {oid.hex()}, which only git needs, is missing or damaged"
