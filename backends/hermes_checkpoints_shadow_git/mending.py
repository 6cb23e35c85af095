"""Making anew what is derived, and saving what a damaged pack still has."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Mended, Mending, Place, Progress, StoreDamaged, StoreError
from hermes_checkpoints.kit import decode_header, locked, private_directory, publish, sync_path
from hermes_checkpoints.kit.git import run
from hermes_checkpoints.kit.store.names import created_name
from hermes_checkpoints.kit.store.nodes import Listed
from hermes_checkpoints.kit.store.plain import is_plain, open_plain
from hermes_checkpoints.kit.store.scratch import clean_scratch, empty_scratch
from hermes_checkpoints_shadow_git.checking import MISSING, Derived, Faulty, Presence, faulty_packs
from hermes_checkpoints_shadow_git.packfile import publish_packs
from hermes_checkpoints_shadow_git.packindex import Index, Span
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import OpenPack, PackReader
from hermes_checkpoints_shadow_git.puttingback import store
from hermes_checkpoints_shadow_git.refs import altered_refs, misnamed_refs, strays
from hermes_checkpoints_shadow_git.repository import REFS, Repository, sync_directory
from hermes_checkpoints_shadow_git.rewriting import Source, intact, is_difference, rewrite
from hermes_checkpoints_shadow_git.scanning import scanned
from hermes_checkpoints_shadow_git.storing import header_of

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
        headers: Callable[[], Iterable[Listed]],
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
        for path, snapshot in altered_refs(self._repository.path):
            content = f"{snapshot}\n".encode()
            if self._dry_run:
                pass
            elif is_plain(path):
                _write_in_place(path, content)
            else:
                self._repository.put_aside(path)
                publish(path, content, scratch=self._scratch)
            yield Mended(Mending.REBUILT, snapshot, "", "what git reads of it, from its name")
        for path, right, snapshot in [*self._misplaced()]:
            yield self._put_right(path, right, snapshot)
        for path in [*strays(self._repository.path)]:
            if not self._dry_run:
                self._repository.put_aside(path)
            yield Mended(Mending.QUARANTINED, "", path.name, f"no ref; kept in {self._repository.quarantine}")

    def _misplaced(self) -> Iterator[tuple[Path, Path, str]]:
        """Refs with another name, or in another workspace's directory, than their snapshots say; where they belong."""
        refs = self._repository.path / REFS
        names = [(refs / one[1] / created_name(one[2], one[0]), one[0]) for one in self._headers()]
        for path, snapshot in [*names, *misnamed_refs(self._repository.path)]:
            with suppress(StoreDamaged):  # then nobody can tell
                header = header_of(self._reader.read(bytes.fromhex(snapshot))[1])
                described = decode_header(header, snapshot, "shadow-git")[0]
                workspace_id = Place(self._repository.path, described.workspace).workspace_id
                right = refs / workspace_id / created_name(described.created_ns, snapshot)
                if path != right:
                    yield path, right, snapshot

    def _put_right(self, path: Path, right: Path, snapshot: str) -> Mended:
        if os.path.lexists(right):
            if not self._dry_run:
                self._repository.put_aside(path)
            return Mended(Mending.QUARANTINED, "", path.name, f"it is listed as {right.name} in {right.parent.name}")
        if not self._dry_run:
            private_directory(right.parent)
            path.rename(right)
            sync_directory(right.parent)
            sync_directory(path.parent)
        return Mended(Mending.REBUILT, snapshot, "", "its name, from what it says")

    def _look(self, *, full: bool) -> Derived:
        self._indexes.reread()
        self._reader.close()
        derived = Derived()
        presence = Presence(self._indexes, self._reader)
        derived.look(self._headers, self._reader.read, presence, self._tick, full=full)
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
        if not is_plain(target):
            self._repository.put_aside(target)
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
        if faulty.pack == MISSING or not is_plain(Path(f"{path}.pack")):
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
        with locked(self._repository.path / "lock"):  # nobody is saving, and leans on it
            # The pack first: killed here, what is left is an index without a pack, which nobody believes.
            self._repository.put_aside(*(self._repository.packs / f"{name}{extension}" for extension in _OF_A_PACK))

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
        fd = open_plain(path)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(fd, content, 0)
            os.ftruncate(fd, len(content))
            os.fsync(fd)
        finally:
            os.close(fd)
