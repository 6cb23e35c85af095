"""Packs as files: a whole one from memory, or one big content streamed into a pack of its own."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isal import isal_zlib

from hermes_checkpoints.contract import Growing
from hermes_checkpoints.kit import private_directory
from hermes_checkpoints_shadow_git.objects import ID_SIZE, PACK_HEADER, object_prefix, pack_header, pack_prefix
from hermes_checkpoints_shadow_git.packindex import OVERHEAD, PER_OBJECT, PackEntry, write_index
from hermes_checkpoints_shadow_git.repository import TemporaryFile, sync_directory

_LEVEL = 1  # isal's level 1: four times zlib's speed, a tenth larger
_BLOCK = 1 << 20
BLOCK = 4096
"""What filesystems round a file up to: allocation comes in blocks of this many bytes nearly everywhere."""


class Moved(Exception):
    """A file had fewer or more bytes than it was said to have: it is being written to."""


def pack_object(kind: bytes, data: bytes) -> tuple[bytes, int]:
    """An object's bytes in a pack and their crc32. Lets other threads run meanwhile."""
    packed = pack_prefix(kind, len(data)) + isal_zlib.compress(data, _LEVEL)
    return packed, isal_zlib.crc32(packed)


def disk_size(pack_bytes: int, count: int) -> int:
    """What a pack of so many bytes before its checksum, and its index, take on the disk."""
    return BLOCK * (-(-(pack_bytes + ID_SIZE) // BLOCK) + -(-(OVERHEAD + count * PER_OBJECT) // BLOCK))


@dataclass(frozen=True, slots=True)
class FinishedPack:
    """A whole pack and its index, both still under temporary names."""

    pack: TemporaryFile
    index: TemporaryFile
    name: str
    size: int
    """Bytes that both take on the disk."""

    @classmethod
    def close(cls, pack: TemporaryFile, entries: list[PackEntry], checksum: bytes, size: int) -> "FinishedPack":
        """End a pack of which all objects, ``size`` bytes, are written, and write its index beside it."""
        pack.write(checksum)
        pack.close()
        index = TemporaryFile(Path(pack.path).parent, "index-")
        try:
            index.write(write_index(entries, checksum))
            index.close()
        except BaseException:
            index.remove()
            raise
        return cls(pack, index, f"pack-{checksum.hex()}", disk_size(size, len(entries)))

    def sync(self) -> None:
        self.pack.sync()
        self.index.sync()

    def publish(self, directory: Path) -> None:
        """Rename into place; the index last, since git believes what it says. Another pack of that name is the same."""
        self.pack.publish(directory / f"{self.name}.pack")
        self.index.publish(directory / f"{self.name}.idx")

    def remove(self) -> None:
        self.pack.remove()
        self.index.remove()


def publish_packs(packs: Sequence[FinishedPack], directory: Path) -> None:
    """Make packs durable and then visible, their names, too. Raises ``StoreError``."""
    for pack in packs:
        pack.sync()
    if not directory.is_dir():  # somebody removed it while the store was open
        private_directory(directory)
        sync_directory(directory.parent)
    for pack in packs:
        pack.publish(directory)
    sync_directory(directory)


@dataclass(slots=True)
class MemoryPack:
    """A pack that is being filled; its header says how many objects it has, so it is written when that is known."""

    chunks: list[bytes] = field(default_factory=list)
    entries: list[PackEntry] = field(default_factory=list)
    size: int = PACK_HEADER.size
    disk_size: int = 0
    """What it and its index take on the disk."""

    def add(self, oid: bytes, packed: bytes, crc: int) -> int:
        """Take an object in; how many bytes more the pack and its index will take on the disk."""
        self.entries.append((oid, crc, self.size))
        self.chunks.append(packed)
        self.size += len(packed)
        before, self.disk_size = self.disk_size, disk_size(self.size, len(self.entries))
        return self.disk_size - before

    def write(self, directory: Path) -> FinishedPack:
        file = TemporaryFile(directory, "pack-")
        try:
            data = b"".join((pack_header(len(self.entries)), *self.chunks))
            file.write(data)
            checksum = hashlib.sha1(data, usedforsecurity=False).digest()
            return FinishedPack.close(file, self.entries, checksum, self.size)
        except BaseException:
            file.remove()
            raise

    def write_durably(self, directory: Path) -> FinishedPack:
        """The same, and the disk has both when it returns: while more is packed, not at the end for all together."""
        finished = self.write(directory)
        try:
            finished.sync()
        except BaseException:
            finished.remove()
            raise
        return finished


def write_stream(fd: int, size: int, directory: Path, growing: Growing) -> tuple[bytes, FinishedPack]:
    """A file's content as a pack of one object: its header is known before its content is. Also the object's id.

    ``growing`` is told of ``FinishedPack.size`` bytes in all, each block before
    it is written, and of none when this fails. Raises ``Moved`` when there are
    not exactly ``size`` bytes, ``OSError`` when they cannot be read.
    """
    file = TemporaryFile(directory, "pack-")
    told = written = 0
    try:
        digest = hashlib.sha1(object_prefix(b"blob", size), usedforsecurity=False)
        checksum = hashlib.sha1(usedforsecurity=False)
        crc = 0

        def put(packed: bytes) -> None:
            nonlocal told, written
            written += len(packed)
            needed = disk_size(written, 1)
            if needed > told:
                growing(needed - told)
                told = needed
            checksum.update(packed)
            file.write(packed)

        def put_object(packed: bytes) -> None:
            nonlocal crc
            crc = isal_zlib.crc32(packed, crc)
            put(packed)

        put(pack_header(1))
        put_object(pack_prefix(b"blob", size))
        deflate = isal_zlib.compressobj(_LEVEL)
        for block in _blocks(fd, size):
            digest.update(block)
            put_object(deflate.compress(block))
        put_object(deflate.flush())
        oid = digest.digest()
        return oid, FinishedPack.close(file, [(oid, crc, PACK_HEADER.size)], checksum.digest(), written)
    except BaseException:
        file.remove()
        if told:
            growing(-told)
        raise


def _blocks(fd: int, size: int) -> Iterator[bytes]:
    done = 0
    while block := os.pread(fd, _BLOCK, done):
        done += len(block)
        if done > size:
            break
        yield block
    if done != size:
        raise Moved
