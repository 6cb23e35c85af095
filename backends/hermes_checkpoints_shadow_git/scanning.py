"""What is left of a damaged pack that has no index: found by looking for objects in its bytes."""

import contextlib
import hashlib
import mmap
import os
import zlib
from collections.abc import Iterator

from hermes_checkpoints.kit.store.plain import open_plain
from hermes_checkpoints_shadow_git.objects import ID_SIZE, PACK_HEADER, object_prefix, split_prefix
from hermes_checkpoints_shadow_git.packindex import Span

_DEFLATE = b"\x78"  # what every deflated object begins with, after its kind and size
_LONGEST_PREFIX = 10
_FIRST = 4 << 10  # bytes of noise are begun a hundred times a megabyte, and seldom go on for longer
_BLOCK = 1 << 20


def scanned(path: str) -> list[Span]:
    """Every whole object of a pack, as an index would tell. Raises ``OSError``.

    An object that can be inflated to the size that it says, its checksum
    included, is one: no other bytes look like that.
    """
    with os.fdopen(open_plain(path), "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= PACK_HEADER.size + ID_SIZE:
            return []
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            return list(_objects(data))


def _objects(data: mmap.mmap) -> Iterator[Span]:
    offset, end = PACK_HEADER.size, len(data) - ID_SIZE
    while offset < end:
        found = _object_at(data, offset, end)
        if found is None:
            found = next(
                filter(None, (_object_at(data, start, end) for start in _beginnings(data, offset + 1, end))), None
            )
        if found is None:
            return
        yield found
        offset = found[3]


def _beginnings(data: mmap.mmap, offset: int, end: int) -> Iterator[int]:
    """Where an object could begin: at the byte before deflated data, or at some that say there are more to come."""
    deflated = data.find(_DEFLATE, offset, end)
    while deflated >= 0:
        for start in range(deflated - 1, max(offset, deflated - _LONGEST_PREFIX) - 1, -1):
            if start < deflated - 1 and not data[start] & 0x80:
                break
            yield start
        deflated = data.find(_DEFLATE, deflated + 1, end)


def _object_at(data: mmap.mmap, offset: int, end: int) -> Span | None:
    with contextlib.suppress(ValueError, zlib.error):
        kind, size, length = split_prefix(data[offset : min(offset + _LONGEST_PREFIX, end)])
        if kind is not None:
            return _inflated(data, offset, offset + length, end, kind, size)
    return None


def _inflated(data: mmap.mmap, offset: int, start: int, end: int, kind: bytes, size: int) -> Span | None:
    inflate = zlib.decompressobj()
    digest = hashlib.sha1(object_prefix(kind, size), usedforsecurity=False)
    left, packed, piece = size, b"", _FIRST
    while not inflate.eof and left >= 0 and (packed or start < end):
        if not packed:
            packed, piece = data[start : min(start + piece, end)], _BLOCK
            start += len(packed)
        block = inflate.decompress(packed, _BLOCK)
        packed = inflate.unconsumed_tail
        digest.update(block)
        left -= len(block)
    if left or not inflate.eof:
        return None
    after = start - len(inflate.unused_data)
    return digest.digest(), zlib.crc32(data[offset:after]), offset, after
