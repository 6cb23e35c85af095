"""The backend: snapshots as commits of a bare repository of our own. ``FORMAT.md`` describes what is stored."""

import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

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
    silent,
)
from hermes_checkpoints.kit import Batch, TreeBackend, open_format
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints.kit.store.names import Listing, created_name, listed, remove_names
from hermes_checkpoints_shadow_git.packfile import BLOCK
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.packs import PackWriter
from hermes_checkpoints_shadow_git.reclaiming import Reclaim
from hermes_checkpoints_shadow_git.repository import REFS, Repository
from hermes_checkpoints_shadow_git.storing import STREAMED, Node, Pack, header_of, tree_of

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
        self._refs = self.home / REFS / place.workspace_id
        self._listing = Listing(self._refs)

    @classmethod
    def probe(cls, place: Place) -> Fitness:
        if shutil.which("git") is None:
            return Fitness(Suitability.UNUSABLE, "git is not installed")
        return Fitness(Suitability.WORKS, "works on every filesystem; content is compressed and stored once")

    @classmethod
    def open(cls, place: Place) -> Self:
        open_format(place.store / cls.name, FORMAT)
        return cls(place)

    def _begin(self, scope: Scope) -> Batch:
        scratch = self._repository.tmp / self.place.workspace_id
        return Pack(lambda growing: PackWriter(self._repository, self._indexes, scratch, growing), self._refs, scratch)

    def _ids(self) -> dict[str, int]:
        return self._listing.ids()

    def _load_header(self, snapshot: str) -> bytes:
        return header_of(self._packs.read(bytes.fromhex(snapshot))[1])

    def _load_node(self, key: bytes) -> bytes:
        return self._packs.read(Node(key).meta_blob)[1]

    def read(self, entry: Entry) -> BinaryIO:
        if entry.size > STREAMED:
            return self._packs.stream(entry.key)
        return BytesIO(self._packs.read(entry.key)[1])

    def forget(self, snapshots: Collection[str]) -> None:
        remove_names(self._refs, snapshots)

    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        return Reclaim(self._repository, self._indexes, self._packs, until, progress, thorough=thorough).run()

    def _everything(self) -> Iterator[tuple[str, bytes]]:
        with suppress(FileNotFoundError), os.scandir(self.home / REFS) as directories:
            for directory in directories:
                if not directory.is_dir(follow_symlinks=False):
                    continue
                for snapshot, created in listed(Path(directory.path)).items():
                    try:
                        yield snapshot, self._load_header(snapshot)
                    except StoreDamaged:
                        if Path(directory.path, created_name(created, snapshot)).exists():
                            yield snapshot, b""  # else it was forgotten, and reclaimed, since it was listed

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

    def close(self) -> None:
        self._packs.close()
        self._objects.close()
