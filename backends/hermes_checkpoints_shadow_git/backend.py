"""The backend: snapshots as commits of a bare repository of our own. ``FORMAT.md`` describes what is stored."""

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from hermes_checkpoints.contract import (
    Capability,
    Entry,
    Fitness,
    Place,
    Scope,
    Suitability,
)
from hermes_checkpoints.kit import Batch, TreeBackend, open_format
from hermes_checkpoints.kit.names import listed, remove_names
from hermes_checkpoints.kit.nodes import decode_header
from hermes_checkpoints_shadow_git.git import ObjectReader, run
from hermes_checkpoints_shadow_git.packindex import PackIndexes
from hermes_checkpoints_shadow_git.packs import PackWriter
from hermes_checkpoints_shadow_git.repository import Repository
from hermes_checkpoints_shadow_git.storing import STREAMED, Node, Pack

FORMAT = 1
REFS = "refs/hermes-checkpoints"


class ShadowGit(TreeBackend):
    """Content in one bare git repository, shared by all workspaces of the store."""

    name = "shadow-git"
    capabilities = frozenset({Capability.DEDUPLICATES})

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._repository = Repository.open(self.home)
        self._indexes = PackIndexes(self._repository)
        self._objects = ObjectReader(self._repository)
        self._refs = self.home / REFS / place.workspace_id

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
        return Pack(lambda: PackWriter(self._repository, self._indexes, scratch), self._refs, scratch)

    def _ids(self) -> dict[str, int]:
        return listed(self._refs)

    def _load_header(self, snapshot: str) -> bytes:
        _, commit = self._objects.read(bytes.fromhex(snapshot))
        return commit.rstrip(b"\n").rpartition(b"\n")[2]

    def _load_node(self, key: bytes) -> bytes:
        return self._objects.read(Node(key).meta_blob)[1]

    def read(self, entry: Entry) -> BinaryIO:
        if entry.size > STREAMED:
            return self._objects.stream(entry.key)
        return BytesIO(self._objects.read(entry.key)[1])

    def forget(self, snapshots: Collection[str]) -> None:
        remove_names(self._refs, snapshots)

    def reclaim(self) -> None:
        with self._store_lock(shared=False) as lock:
            run(self._repository, "repack", "-a", "-d", "-q", lock=lock)
            run(self._repository, "prune-packed", "-q", lock=lock)
        self._indexes.refresh()

    def workspaces(self) -> Iterator[Path]:
        with suppress(FileNotFoundError), os.scandir(self.home / REFS) as directories:
            for directory in directories:
                for snapshot in listed(Path(directory.path)):
                    yield decode_header(self._load_header(snapshot), snapshot, self.name)[0].workspace
                    break

    def close(self) -> None:
        self._objects.close()
