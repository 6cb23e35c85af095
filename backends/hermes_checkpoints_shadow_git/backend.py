"""The backend: snapshots as commits of a bare repository of our own. ``FORMAT.md`` describes what is stored."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Self

from hermes_checkpoints.contract import (
    Capability,
    Damage,
    Entry,
    Fitness,
    Growing,
    Kind,
    Mended,
    Place,
    Progress,
    Scope,
    StoreDamaged,
    StoreError,
    Suitability,
    silent,
)
from hermes_checkpoints.kit import Batch, TreeBackend, open_format
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints.kit.store.names import Listing, created_name, listed, remove_names
from hermes_checkpoints.kit.store.nodes import Listed
from hermes_checkpoints_shadow_git.packfile import BLOCK
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.packs import PackWriter
from hermes_checkpoints_shadow_git.refs import workspace_refs
from hermes_checkpoints_shadow_git.repository import REFS, Repository
from hermes_checkpoints_shadow_git.storing import STREAMED, Node, Pack, header_of, tree_of

if TYPE_CHECKING:
    from hermes_checkpoints_shadow_git.checking import Presence

FORMAT = 1


class ShadowGit(TreeBackend):
    """Content in one bare git repository, shared by all workspaces of the store."""

    name = "shadow-git"
    capabilities = frozenset({Capability.DEDUPLICATES})

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._repository = Repository.open(self.home)
        self._indexes = PackIndexes(self._repository)
        self._objects = Objects(self._repository.path, self._repository.tmp)
        self._packs = PackReader(self._repository, self._indexes, self._objects)
        self._scratch = self._repository.tmp / place.workspace_id
        self._refs = self.home / REFS / place.workspace_id
        self._listing = Listing(self._refs)

    @cached_property
    def _presence(self) -> "Presence":
        from hermes_checkpoints_shadow_git.checking import Presence  # what a turn does not need costs it nothing

        return Presence(self._indexes, self._packs)

    @classmethod
    def probe(cls, place: Place) -> Fitness:
        import shutil

        if shutil.which("git") is None:
            return Fitness(Suitability.UNUSABLE, "git is not installed")
        return Fitness(Suitability.WORKS, "works on every filesystem; content is compressed and stored once")

    @classmethod
    def open(cls, place: Place) -> Self:
        open_format(place.store / cls.name, FORMAT)
        return cls(place)

    def _begin(self, scope: Scope) -> Batch:
        self._packs.let_go_of_removed()
        return Pack(self._writer, self._refs, self._scratch)

    def _writer(self, growing: Growing) -> PackWriter:
        return PackWriter(self._repository, self._indexes, self._scratch, growing)

    def _ids(self) -> dict[str, int]:
        return self._listing.ids()

    def _load_header(self, snapshot: str) -> bytes:
        return header_of(self._packs.read(bytes.fromhex(snapshot))[1])

    def _load_node(self, key: bytes) -> bytes:
        return self._packs.read(Node(key).meta_blob)[1]

    def read(self, entry: Entry) -> BinaryIO:
        if entry.size > STREAMED:
            return self._packs.stream(entry.key)
        return BytesIO(self._content(entry))

    def _content(self, entry: Entry) -> bytes:
        return self._packs.read(entry.key, as_listed=True)[1]

    def forget(self, snapshots: Collection[str]) -> None:
        remove_names(self._refs, snapshots)

    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        from hermes_checkpoints_shadow_git.reclaiming import Reclaim

        return Reclaim(self._repository, self._indexes, self._packs, until, progress, thorough=thorough).run()

    def _everything(self) -> Iterator[Listed]:
        for directory in workspace_refs(self.home):
            for snapshot, created in listed(directory).items():
                header = b""
                try:
                    header = self._load_header(snapshot)
                except StoreDamaged:
                    if not os.path.lexists(directory / created_name(created, snapshot)):
                        continue  # it was forgotten, and reclaimed, since it was listed
                yield snapshot, directory.name, created, header

    def _stored_size(self, entry: Entry) -> int:
        if entry.kind is Kind.FILE:
            return self._size_of({entry.key})
        node = Node(entry.key)
        return self._size_of({node.files, node.meta_blob, node.meta})

    def _size_of(self, oids: Iterable[bytes]) -> int:
        """Bytes in packs and their indexes; nothing for what a git run by hand put elsewhere."""
        return sum(self._indexes.packed_size(oid) for oid in oids)

    def _shares(self, headers: Mapping[str, bytes]) -> Mapping[frozenset[str], int]:
        sizes = dict(super()._shares(headers))
        for snapshot in headers:
            commit = bytes.fromhex(snapshot)
            own = {commit, tree_of(self._packs.read(commit)[1])}
            alone = frozenset({snapshot})
            sizes[alone] = sizes.get(alone, 0) + self._size_of(own) + BLOCK  # and the ref's file
        return sizes

    def examine(self, progress: Progress = silent, *, full: bool = True) -> Iterator[Damage]:
        self._packs.close()  # what is on the disk is the matter, not what is still open
        self._indexes.reread()
        yield from super().examine(progress, full=full)

    def _check(self, entry: Entry, *, full: bool) -> None:
        if entry.kind is Kind.FILE and not full:
            self._presence.check(entry.key)
        else:
            super()._check(entry, full=full)

    def _digest_of(self, content: BinaryIO, size: int) -> bytes:
        from hermes_checkpoints_shadow_git.puttingback import stream_id

        return stream_id(content, size)

    def _check_files(self, progress: Progress, *, full: bool) -> Iterator[str]:
        from hermes_checkpoints_shadow_git.checking import Derived, damaged_files

        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            progress(done)

        derived = Derived()
        derived.look(self._everything, self._packs.read, self._presence, tick, full=full)
        yield from damaged_files(self._repository, derived, tick, full=full)

    def rebuild(self, progress: Progress = silent, *, dry_run: bool = False) -> Iterator[Mended]:
        from hermes_checkpoints_shadow_git.mending import Rebuild

        headers = self._everything
        return Rebuild(self._repository, self._indexes, self._packs, headers, progress, dry_run=dry_run).run()

    def _put_back(self, entry: Entry, content: BinaryIO, *, dry_run: bool = False) -> bool:
        from hermes_checkpoints_shadow_git.puttingback import put_back

        try:
            stored = put_back(self._repository, self._scratch, entry, content, dry_run=dry_run)
        except OSError as error:
            raise StoreError(f"{self._scratch} could not be written: {error}. No snapshot was changed.") from error
        self._packs.close()  # the new pack may have taken the place of one that is open
        self._indexes.refresh()
        return stored

    def _put_aside(self, snapshot: str) -> str:
        ref = self._refs / created_name(self._ids()[snapshot], snapshot)
        try:
            return str(self._repository.put_aside(ref, prefix=f"{self.place.workspace_id}-"))
        except OSError as error:
            raise StoreError(f"{ref} could not be put aside: {error.strerror}.") from error

    def close(self) -> None:
        super().close()
        self._packs.close()
        self._objects.close()
