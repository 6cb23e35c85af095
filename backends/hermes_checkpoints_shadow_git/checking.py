"""Looking for damage in the repository: in its files, and in what only git reads."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged
from hermes_checkpoints.kit.store.names import created_name, listed
from hermes_checkpoints.kit.store.nodes import decode_header, decode_node
from hermes_checkpoints_shadow_git.objects import ID_SIZE, PACK_HEADER, object_id
from hermes_checkpoints_shadow_git.packindex import Index
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.repository import REFS, Repository
from hermes_checkpoints_shadow_git.storing import Node, store_node, top_tree

_BLOCK = 1 << 20
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
        if pack.name not in names:
            found = Faulty(name, pack=MISSING)
        elif index.name not in names:
            found = Faulty(name, _fault_in_pack(pack, full=full), MISSING) if lone else Faulty(name)
        else:
            found = Faulty(name, _fault_in_pack(pack, full=full), _fault_in_index(index))
        if (found.pack or found.index) and (pack.exists() or index.exists()):  # else it was reclaimed meanwhile
            yield found


def _fault_in_pack(path: Path, *, full: bool) -> str:
    try:
        with path.open("rb") as file:
            left = os.fstat(file.fileno()).st_size - ID_SIZE
            if left < PACK_HEADER.size:
                return "is cut short"
            digest = hashlib.sha1(usedforsecurity=False)
            while full and left and (block := file.read(min(left, _BLOCK))):
                digest.update(block)
                left -= len(block)
            return "has other bytes than were stored" if full and digest.digest() != file.read(ID_SIZE) else ""
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _fault_in_index(path: Path) -> str:
    try:
        index = Index(os.fspath(path))
        if not index.sound():
            return "has other bytes than were written"
        return "" if _trailer(path.with_suffix(".pack")) == index.pack_checksum else "does not fit its pack"
    except (OSError, ValueError) as error:
        return f"cannot be read: {error}"


def _trailer(pack: Path) -> bytes:
    with pack.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - ID_SIZE))
        return file.read()


def altered_refs(repository: Repository) -> Iterator[tuple[Path, str]]:
    """The refs in which there is something else than the id in their name, and that id."""
    with suppress(FileNotFoundError):
        for directory in sorted((repository.path / REFS).iterdir()):
            for snapshot, created in listed(directory).items() if directory.is_dir() else ():
                path = directory / created_name(created, snapshot)
                try:
                    altered = path.read_bytes() != f"{snapshot}\n".encode()
                except FileNotFoundError:
                    continue  # forgotten since it was listed
                except OSError:
                    altered = True
                if altered:
                    yield path, snapshot


@dataclass(slots=True)
class Derived:
    """What git needs, and we do not: trees, and links' texts. They follow from the snapshots' own directories."""

    lost: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    """Kind and bytes of each object that is not there, by its id."""
    complete: bool = True
    """Whether everything that snapshots lean on themselves is there."""

    def look(
        self,
        headers: Iterable[tuple[str, bytes]],
        read: Callable[[bytes], tuple[str, bytes]],
        presence: Presence,
        tick: Callable[[], None],
        *,
        full: bool,
    ) -> None:
        """``full``: objects are read, and not only looked up."""
        known: set[bytes] = set()

        def add(kind: bytes, data: bytes) -> bytes:
            oid = object_id(kind, data)
            if oid not in known:
                known.add(oid)
                if not (_readable(read, oid) if full else presence.has(oid)):
                    self.lost[oid] = kind, data
            return oid

        nodes: set[bytes] = set()
        for snapshot, header in headers:
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


def _readable(read: Callable[[bytes], tuple[str, bytes]], oid: bytes) -> bool:
    try:
        read(oid)
    except StoreDamaged:
        return False
    return True


def damaged_files(repository: Repository, derived: Derived, tick: Callable[[], None], *, full: bool) -> Iterator[str]:
    """What is damaged besides what costs snapshots something, for people."""
    for path, snapshot in altered_refs(repository):
        yield f"{path} does not say {snapshot}"
    for faulty in faulty_packs(repository, tick, full=full, lone=not derived.complete):
        yield from faulty.words()
    for oid, (kind, _) in derived.lost.items():
        yield f"{kind.decode()} {oid.hex()}, which only git needs, is missing or damaged"
