"""Making anew what is derived, saving what a damaged pack still has, and putting objects back."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Entry, Kind, Mended, Mending, Progress, StoreDamaged, StoreError
from hermes_checkpoints.kit import locked, private_directory, sync_path
from hermes_checkpoints.kit.git import run
from hermes_checkpoints.kit.store.nodes import decode_node
from hermes_checkpoints.kit.store.scratch import clean_scratch, empty_scratch
from hermes_checkpoints_shadow_git.checking import MISSING, Derived, Faulty, Presence, altered_refs, faulty_packs
from hermes_checkpoints_shadow_git.objects import object_id, object_prefix
from hermes_checkpoints_shadow_git.packfile import MemoryPack, pack_object, publish_packs, write_stream
from hermes_checkpoints_shadow_git.packindex import Index, Span
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import OpenPack, PackReader
from hermes_checkpoints_shadow_git.repository import Repository, sync_directory
from hermes_checkpoints_shadow_git.rewriting import Source, intact, is_difference, rewrite
from hermes_checkpoints_shadow_git.scanning import scanned
from hermes_checkpoints_shadow_git.storing import STREAMED, store_node

_PIECE = 8 << 20  # a new pack has about this many bytes, or one object
_BLOCK = 1 << 20
_OF_A_PACK = (".pack", ".idx", ".rev", ".bitmap", ".mtimes", ".keep")


class Rebuild:
    """One run, as the only one that moves packs: it holds what ``reclaim`` holds, and uses its directory."""

    def __init__(
        self,
        repository: Repository,
        indexes: PackIndexes,
        reader: PackReader,
        headers: Callable[[], Iterable[tuple[str, bytes]]],
        progress: Progress,
        *,
        dry_run: bool,
    ) -> None:
        self._repository = repository
        self._indexes = indexes
        self._reader = reader
        self._headers = headers
        self._progress = progress
        self._dry_run = dry_run
        self._scratch = repository.tmp / "reclaiming"
        self._done = 0

    def run(self) -> Iterator[Mended]:
        """Raises ``StoreBusy`` while somebody reclaims."""
        try:
            with locked(self._repository.reclaim_lock):
                if not self._dry_run:
                    clean_scratch(self._scratch)
                try:
                    yield from self._refs()
                    yield from self._packs()
                    yield from self._derived()
                finally:
                    if not self._dry_run:
                        empty_scratch(self._scratch)
        except OSError as error:
            raise StoreError(f"{self._repository.path} could not be mended: {error}.") from error

    def _tick(self) -> None:
        self._done += 1
        self._progress(self._done)

    def _refs(self) -> Iterator[Mended]:
        for path, snapshot in altered_refs(self._repository):
            if not self._dry_run:
                _write_in_place(path, f"{snapshot}\n".encode())
            yield Mended(Mending.REBUILT, snapshot, "", "what git reads of it, from its name")

    def _look(self, *, full: bool) -> Derived:
        self._indexes.reread()
        self._reader.close()
        derived = Derived()
        presence = Presence(self._indexes, self._reader)
        derived.look(self._headers(), self._reader.read, presence, self._tick, full=full)
        return derived

    def _packs(self) -> Iterator[Mended]:
        lone = not self._look(full=False).complete
        for faulty in faulty_packs(self._repository, self._tick, full=True, lone=lone):
            if faulty.pack:
                yield self._put_aside(faulty)
            else:
                if not self._dry_run:
                    self._index(faulty.name)
                yield Mended(Mending.REBUILT, "", f"{faulty.name}.idx", "from its pack")

    def _index(self, name: str) -> None:
        """Have git make a pack's index: it knows differences, too, which a git run by hand makes."""
        made, target = self._scratch / f"{name}.idx", self._repository.packs / f"{name}.idx"
        pack = self._repository.packs / f"{name}.pack"
        # Outside the repository: there it compares with what other, damaged indexes say is stored already.
        run(self._scratch, "index-pack", "-o", os.fspath(made), os.fspath(pack))
        made.chmod(0o400)
        sync_path(made)
        made.rename(target)
        sync_directory(target.parent)

    # -- damaged packs

    def _put_aside(self, faulty: Faulty) -> Mended:
        """Save what can be read of a pack in others, and take it out of the way."""
        spans, saved = self._spans(faulty), []
        path = self._repository.packs / f"{faulty.name}.pack"
        if spans:
            pack = OpenPack(os.fspath(path))
            saved = [span for span in spans if intact(pack, span) and self._is_whole(pack, span)]
        how = f"{len(saved)} objects saved, {len(spans) - len(saved)} lost"
        if faulty.index:
            how = f"{len(saved)} objects saved; its index is damaged, too"
        if not self._dry_run:
            source = Source(faulty.name, os.fspath(path), saved)
            packs = rewrite([source], _PIECE, self._scratch, self._reader.read)
            publish_packs(packs, self._repository.packs)
            if faulty.name not in {pack.name for pack in packs}:  # of equal bytes: the new one has taken its place
                self._quarantine(faulty.name)
            self._indexes.reread()
            self._reader.close()
        return Mended(Mending.QUARANTINED, "", f"{faulty.name}.pack", f"{how}; kept in {self._repository.quarantine}")

    def _spans(self, faulty: Faulty) -> list[Span]:
        path = os.fspath(self._repository.packs / faulty.name)
        if faulty.pack == MISSING:
            return []
        if not faulty.index or not _damaged(path):
            return list(Index(f"{path}.idx").spans())
        return scanned(f"{path}.pack")

    def _is_whole(self, pack: OpenPack, span: Span) -> bool:
        if is_difference(pack, span):
            with suppress(StoreDamaged):
                self._reader.read(span[0])
                return True
            return False
        return True

    def _quarantine(self, name: str) -> None:
        quarantine = private_directory(self._repository.quarantine)
        with locked(self._repository.path / "lock"):  # nobody is saving, and leans on it
            # The pack first: killed here, what is left is an index without a pack, which nobody believes.
            for extension in _OF_A_PACK:
                with suppress(FileNotFoundError):
                    (self._repository.packs / f"{name}{extension}").rename(quarantine / f"{name}{extension}")
            sync_directory(quarantine)
            sync_directory(self._repository.packs)

    # -- what only git reads

    def _derived(self) -> Iterator[Mended]:
        lost = self._look(full=True).lost
        if lost and not self._dry_run:
            store(self._repository, self._scratch, lost)
            self._indexes.refresh()
        for oid, (kind, _) in lost.items():
            yield Mended(Mending.REBUILT, "", f"{kind.decode()} {oid.hex()}", "from what the snapshots say")


def _damaged(path: str) -> bool:
    try:
        return not Index(f"{path}.idx").sound()
    except (OSError, ValueError):
        return True


def _write_in_place(path: Path, content: bytes) -> None:
    # Not by rename, which would bring a snapshot back that is being forgotten.
    with suppress(FileNotFoundError):
        path.chmod(0o600)
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(fd, content, 0)
            os.ftruncate(fd, len(content))
            os.fsync(fd)
        finally:
            os.close(fd)


def store(repository: Repository, scratch: Path, objects: Mapping[bytes, tuple[bytes, bytes]]) -> None:
    """Store objects (kind and bytes by id) whatever the store says that it has: durably, and visible together."""
    pack = MemoryPack()
    for oid, (kind, data) in objects.items():
        pack.add(oid, *pack_object(kind, data))
    publish_packs([pack.write(scratch)], repository.packs)


def put_back(repository: Repository, scratch: Path, entry: Entry, content: BinaryIO, *, dry_run: bool) -> bool:
    """Store a lost file or directory again, if these are its bytes. Raises ``StoreError``."""
    objects: dict[bytes, tuple[bytes, bytes]] = {}
    if entry.kind is Kind.DIR:

        def add(kind: bytes, data: bytes) -> bytes:
            oid = object_id(kind, data)
            objects[oid] = kind, data
            return oid

        if store_node(decode_node(content.read()), add) != entry.key:
            return False
    elif entry.size > STREAMED:
        return _put_large_back(repository, scratch, entry, content, dry_run=dry_run)
    else:
        data = content.read()
        if object_id(b"blob", data) != entry.key:
            return False
        objects[entry.key] = b"blob", data
    if not dry_run:
        store(repository, clean_scratch(scratch), objects)
    return True


def _put_large_back(repository: Repository, scratch: Path, entry: Entry, content: BinaryIO, *, dry_run: bool) -> bool:
    digest = hashlib.sha1(object_prefix(b"blob", entry.size), usedforsecurity=False)
    while block := content.read(_BLOCK):
        digest.update(block)
    if digest.digest() != entry.key or dry_run:
        return digest.digest() == entry.key
    oid, pack = write_stream(content.fileno(), entry.size, clean_scratch(scratch), lambda _: None)
    if oid != entry.key:  # it has moved since
        pack.remove()
        return False
    publish_packs([pack], repository.packs)
    return True
