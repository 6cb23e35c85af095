"""Storing one snapshot: blobs, trees and a commit in a pack, then one ref."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, Entry, Growing, Kind, StoreDamaged, StoreError
from hermes_checkpoints.kit import Batch, encode_node, private_directory, publish, sync_path
from hermes_checkpoints.kit.store.names import created_name
from hermes_checkpoints.kit.store.scratch import clean_scratch, empty_scratch
from hermes_checkpoints.kit.walk.reading import Changed
from hermes_checkpoints_shadow_git.objects import (
    DIRECTORY,
    EXECUTABLE,
    FILE,
    LINK,
    encode_commit,
    encode_tree,
    object_id,
)
from hermes_checkpoints_shadow_git.packfile import BLOCK
from hermes_checkpoints_shadow_git.packs import Moved, PackWriter

# Larger files go through memory in blocks, into a pack of their own.
STREAMED = 16 << 20
_ID = 20


class Node:
    """A directory's key: the tree that git shows, the blob that has all of it, and what keeps that blob reachable."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 3 * _ID:
            raise StoreDamaged("a stored directory has a key of the wrong length. Nothing was changed.")
        self.files, self.meta_blob, self.meta = key[:_ID], key[_ID : 2 * _ID], key[2 * _ID :]

    @property
    def meta_mode(self) -> bytes:
        # A directory without directories needs no meta tree: its blob stands for it.
        return FILE if self.meta == self.meta_blob else DIRECTORY


class Pack(Batch):
    """One snapshot's objects."""

    def __init__(self, start: Callable[[Growing], PackWriter], refs: Path, scratch: Path) -> None:
        self._start = start
        self._started: PackWriter | None = None
        self._refs = refs
        self._scratch = scratch

    @property
    def _writer(self) -> PackWriter:
        """Made when there is something to store: an unchanged turn writes nothing."""
        if self._started is None:
            try:
                clean_scratch(self._scratch)
            except OSError as error:
                raise StoreError(f"cannot write {self._scratch}: {error.strerror}. No snapshot was taken.") from error
            self._started = self._start(self.growing)
        return self._started

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        if size > STREAMED:
            try:
                self._writer.add_stream(fd, size)
            except Moved as moved:
                raise Changed(str(moved)) from moved
            return
        data = os.pread(fd, size + 1, 0)
        while len(data) != size and (more := os.pread(fd, STREAMED, len(data))):
            data += more  # it is being written to, which the kit will see; or a signal cut the reading short
        self._writer.add_blob(data)

    def drop(self) -> None:
        self._writer.drop_last()

    def keys(self) -> list[bytes]:
        if self._started is None:
            return []
        oids = self._started.oids()
        self.stored = self._started.new_blobs
        return oids

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        return store_node(entries, self._writer.add_object)

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        add = self._writer.add_object
        tree = add(b"tree", top_tree(root))
        commit = encode_commit(tree, _message(header), created_ns)
        snapshot = object_id(b"commit", commit).hex()
        if snapshot[:10].isdigit():
            return None
        add(b"commit", commit)
        self.growing(BLOCK)
        self._writer.publish()
        try:
            self._make_refs()
        except OSError as error:
            raise StoreError(f"cannot write {self._refs}: {error.strerror}. No snapshot was taken.") from error
        publish(self._refs / created_name(created_ns, snapshot), f"{snapshot}\n".encode(), scratch=self._scratch)
        return snapshot

    def _make_refs(self) -> None:
        if not self._refs.is_dir():
            private_directory(self._refs)
            sync_path(self._refs.parent)
            sync_path(self._refs.parent.parent)

    def abandon(self) -> None:
        if self._started is not None:
            with suppress(CheckpointError):
                self._started.abandon()
            empty_scratch(self._scratch)


def store_node(entries: Mapping[str, Entry], add: Callable[[bytes, bytes], bytes]) -> bytes:
    """A directory's key; ``add(kind, data)`` stores each of its objects, links' texts included, and says its id."""
    blob = add(b"blob", encode_node(entries))
    files = []
    meta = [(FILE, b"=", blob)]
    for name, entry in entries.items():
        raw = os.fsencode(name)
        if entry.kind is Kind.FILE:
            files.append((EXECUTABLE if entry.mode & 0o100 else FILE, raw, entry.key))
        elif entry.kind is Kind.LINK:
            files.append((LINK, raw, add(b"blob", entry.target)))
        elif entry.kind is Kind.DIR:
            child = Node(entry.key)
            files.append((DIRECTORY, raw, child.files))
            meta.append((child.meta_mode, b"+" + raw, child.meta))
    tree = add(b"tree", encode_tree(files))
    return tree + blob + (add(b"tree", encode_tree(meta)) if len(meta) > 1 else blob)


def top_tree(root: bytes) -> bytes:
    """The tree of a snapshot's commit, given the key of its root directory."""
    top = Node(root)
    return encode_tree([(DIRECTORY, b"files", top.files), (top.meta_mode, b"meta", top.meta)])


def header_of(commit: bytes) -> bytes:
    """The header in a snapshot's commit."""
    return commit.rstrip(b"\n").rpartition(b"\n")[2]


def tree_of(commit: bytes) -> bytes:
    """The id of a commit's tree. Raises ``StoreDamaged``."""
    try:
        return bytes.fromhex(commit.removeprefix(b"tree ")[: 2 * _ID].decode())
    except ValueError as error:
        raise StoreDamaged("a stored snapshot names no tree. Nothing was changed.") from error


def _message(header: bytes) -> bytes:
    """What ``git log`` shows: the reason, and the header as one line of JSON at the end."""
    reason = json.loads(header)["reason"].encode("utf-8", "replace").replace(b"\0", b"?")
    subject = reason.split(b"\n", 1)[0].strip() or b"snapshot"
    return subject + b"\n\n" + header + b"\n"
