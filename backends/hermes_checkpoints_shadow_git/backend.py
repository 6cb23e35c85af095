"""The backend: snapshots as commits of a bare repository of our own. ``FORMAT.md`` describes what is stored."""

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Self

from hermes_checkpoints.contract import (
    Capability,
    CheckpointError,
    Damage,
    Entry,
    Fitness,
    Kind,
    Place,
    Scope,
    StoreDamaged,
    StoreError,
    Suitability,
    Usage,
)
from hermes_checkpoints.kit import Batch, TreeBackend, open_format, publish, space_of, sync_path
from hermes_checkpoints.kit.names import created_name, listed
from hermes_checkpoints.kit.nodes import decode_header, encode_node
from hermes_checkpoints.kit.reading import Changed
from hermes_checkpoints_shadow_git.git import ObjectReader, run
from hermes_checkpoints_shadow_git.objects import encode_commit, encode_tree, object_id
from hermes_checkpoints_shadow_git.packindex import PackIndexes
from hermes_checkpoints_shadow_git.packs import Moved, PackWriter
from hermes_checkpoints_shadow_git.repository import Repository

FORMAT = 1
REFS = "refs/hermes-checkpoints"
# Larger files go through memory in blocks, into a pack of their own.
_STREAMED = 16 << 20
_ID = 20


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
        with suppress(FileNotFoundError):
            shutil.rmtree(scratch)  # left by a holder of the workspace's lock that was killed
        scratch.mkdir(mode=0o700, parents=True)
        return _Pack(PackWriter(self._repository, self._indexes, scratch), self._refs, scratch)

    def _ids(self) -> dict[str, int]:
        return listed(self._refs)

    def _load_header(self, snapshot: str) -> bytes:
        _, commit = self._objects.read(bytes.fromhex(snapshot))
        return commit.rstrip(b"\n").rpartition(b"\n")[2]

    def _load_node(self, key: bytes) -> bytes:
        return self._objects.read(_Node(key).meta_blob)[1]

    def read(self, entry: Entry) -> BinaryIO:
        if entry.size > _STREAMED:
            return self._objects.stream(entry.key)
        return BytesIO(self._objects.read(entry.key)[1])

    def forget(self, snapshots: Collection[str]) -> None:
        ids = self._ids()
        for snapshot in ids.keys() & set(snapshots):
            (self._refs / created_name(ids[snapshot], snapshot)).unlink(missing_ok=True)
        if self._refs.is_dir():
            sync_path(self._refs)

    def reclaim(self) -> None:
        with self._store_lock(shared=False):
            run(self._repository, "repack", "-a", "-d", "-q")
            run(self._repository, "prune-packed", "-q")
        self._indexes.refresh()

    def usage(self) -> Usage:
        return space_of(self.home)

    def workspaces(self) -> Iterator[Path]:
        with suppress(FileNotFoundError), os.scandir(self.home / REFS) as directories:
            for directory in directories:
                for snapshot in listed(Path(directory.path)):
                    yield decode_header(self._load_header(snapshot), snapshot, self.name)[0].workspace
                    break

    def verify(self, snapshot: str) -> Iterator[Damage]:
        for path, entry in self.entries(snapshot):
            if entry.kind is not Kind.FILE:
                continue
            try:
                with self.read(entry) as content:
                    if object_id(b"blob", content.read()) != entry.key:
                        yield Damage(snapshot, path, "has other bytes than were stored")
            except StoreDamaged as damage:
                yield Damage(snapshot, path, str(damage))

    def close(self) -> None:
        self._objects.close()


class _Node:
    """A directory's key: the tree that git shows, the blob that has all of it, and what keeps that blob reachable."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 3 * _ID:
            raise StoreDamaged("a stored directory has a key of the wrong length. Nothing was changed.")
        self.files, self.meta_blob, self.meta = key[:_ID], key[_ID : 2 * _ID], key[2 * _ID :]

    @property
    def meta_mode(self) -> bytes:
        # A directory without directories needs no meta tree: its blob stands for it.
        return b"100644" if self.meta == self.meta_blob else b"40000"


class _Pack(Batch):
    """One snapshot's objects."""

    def __init__(self, writer: PackWriter, refs: Path, scratch: Path) -> None:
        self._writer = writer
        self._refs = refs
        self._scratch = scratch

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        self.stored += 1
        if size > _STREAMED:
            try:
                self._writer.add_stream(fd, size)
            except Moved as moved:
                self.stored -= 1
                raise Changed(str(moved)) from moved
            return
        blocks = []
        while block := os.read(fd, max(size, 1) + 1):
            blocks.append(block)
        self._writer.add_blob(b"".join(blocks))

    def drop(self) -> None:
        self.stored -= 1
        self._writer.drop_last()

    def keys(self) -> list[bytes]:
        return self._writer.oids()

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        add = self._writer.add_object
        blob = add(b"blob", encode_node(entries))
        files = []
        meta = [(b"100644", b"=", blob)]
        for name, entry in entries.items():
            raw = os.fsencode(name)
            if entry.kind is Kind.FILE:
                files.append((b"100755" if entry.mode & 0o100 else b"100644", raw, entry.key))
            elif entry.kind is Kind.LINK:
                files.append((b"120000", raw, add(b"blob", entry.target)))
            elif entry.kind is Kind.DIR:
                child = _Node(entry.key)
                files.append((b"40000", raw, child.files))
                meta.append((child.meta_mode, b"+" + raw, child.meta))
        tree = add(b"tree", encode_tree(files))
        return tree + blob + (add(b"tree", encode_tree(meta)) if len(meta) > 1 else blob)

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        top = _Node(root)
        add = self._writer.add_object
        tree = add(b"tree", encode_tree([(b"40000", b"files", top.files), (top.meta_mode, b"meta", top.meta)]))
        commit = encode_commit(tree, _message(header), created_ns)
        snapshot = object_id(b"commit", commit).hex()
        if snapshot[:10].isdigit():
            return None
        add(b"commit", commit)
        self._writer.publish()
        try:
            self._make_refs()
        except OSError as error:
            raise StoreError(f"cannot write {self._refs}: {error.strerror}. No snapshot was taken.") from error
        publish(self._refs / created_name(created_ns, snapshot), f"{snapshot}\n".encode(), scratch=self._scratch)
        return snapshot

    def _make_refs(self) -> None:
        if not self._refs.is_dir():
            self._refs.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_path(self._refs.parent)
            sync_path(self._refs.parent.parent)

    def abandon(self) -> None:
        with suppress(CheckpointError):
            self._writer.abandon()
        shutil.rmtree(self._scratch, ignore_errors=True)


def _message(header: bytes) -> bytes:
    """What ``git log`` shows: the reason, and the header as one line of JSON at the end."""
    reason = json.loads(header)["reason"].encode("utf-8", "replace").replace(b"\0", b"?")
    subject = reason.split(b"\n", 1)[0].strip() or b"snapshot"
    return subject + b"\n\n" + header + b"\n"
