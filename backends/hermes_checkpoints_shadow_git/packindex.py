"""One pack index (git's version 2): what a pack has, and where."""

import array
import bisect
import hashlib
import mmap
import os
import struct
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise

from hermes_checkpoints.kit.store.plain import open_plain
from hermes_checkpoints_shadow_git.objects import ID_SIZE

_MAGIC = b"\377tOc\0\0\0\2"
_FAN_OUT = len(_MAGIC)
_IDS = _FAN_OUT + 256 * 4
PER_OBJECT = ID_SIZE + 4 + 4
"""Bytes that one object takes in an index."""
_TRAILER = 2 * ID_SIZE
OVERHEAD = _IDS + _TRAILER
"""Bytes of an index without objects."""
_LONG = 1 << 31  # an offset from here on goes to the table of 8-byte ones
_PACK_TRAILER = 20

_SCANNED = 256  # so many ids are searched by bytes.find, which is faster than bisecting them here
_MAPPED = 256 << 10  # bytes; a mapping holds a file descriptor, and a store may have a thousand small indexes

PackEntry = tuple[bytes, int, int]
"""An object's id, the crc32 of its bytes in the pack, and its offset there."""
Span = tuple[bytes, int, int, int]
"""An object's id, the crc32 of its bytes in the pack, where they begin there, and where they end."""


class Index:
    """The objects of one pack."""

    def __init__(self, path: str) -> None:
        """Raises ``OSError`` when it is gone or cannot be read, and ``ValueError`` when it is no index."""
        self.name = os.path.basename(path).removesuffix(".idx")
        self.pack = path.removesuffix(".idx") + ".pack"
        self._map: bytes | mmap.mmap
        with os.fdopen(open_plain(path), "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > _MAPPED:
                self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            else:
                self._map = file.read()
        if self._map[:_FAN_OUT] != _MAGIC or len(self._map) < OVERHEAD:
            raise ValueError(f"{path} is not a version 2 index")
        self._totals = struct.unpack_from(">256I", self._map, _FAN_OUT)  # by first byte: ids that begin so, or lower
        self.count: int = self._totals[255]
        if len(self._map) < OVERHEAD + self.count * PER_OBJECT:
            raise ValueError(f"{path} is cut short")
        self._starts: array.array[int] | None = None

    @property
    def pack_checksum(self) -> bytes:
        """What the pack ends with."""
        return self._map[-_TRAILER:-ID_SIZE]

    def _id(self, position: int) -> bytes:
        start = _IDS + ID_SIZE * position
        return self._map[start : start + ID_SIZE]

    def _find(self, oid: bytes) -> int | None:
        low = self._totals[oid[0] - 1] if oid[0] else 0
        high = self._totals[oid[0]]
        while high - low > _SCANNED:
            middle = (low + high) // 2
            if self._id(middle) <= oid:
                low = middle
            else:
                high = middle
        run = self._map[_IDS + ID_SIZE * low : _IDS + ID_SIZE * high]
        found = run.find(oid)
        while found % ID_SIZE and found > 0:  # the end of one id and the beginning of the next
            found = run.find(oid, found + 1)
        return low + found // ID_SIZE if found >= 0 else None

    def __contains__(self, oid: bytes) -> bool:
        return self._find(oid) is not None

    def ids(self) -> list[bytes]:
        return [self._id(position) for position in range(self.count)]

    def offset(self, oid: bytes) -> int | None:
        """Where the object begins in the pack; ``None`` when it is not there. Raises ``ValueError`` for damage."""
        position = self._find(oid)
        if position is None:
            return None
        (offset,) = struct.unpack_from(">I", self._map, _IDS + self.count * (ID_SIZE + 4) + 4 * position)
        return self._long(offset) if offset >= _LONG else int(offset)

    def _long(self, offset: int) -> int:
        place = _IDS + self.count * PER_OBJECT + 8 * (offset - _LONG)
        if place + 8 + _TRAILER > len(self._map):
            raise ValueError(f"the index of {self.pack} names an offset that it does not have")
        return int(struct.unpack_from(">Q", self._map, place)[0])

    def _offsets(self) -> list[int]:
        short = struct.unpack_from(f">{self.count}I", self._map, _IDS + self.count * (ID_SIZE + 4))
        return [self._long(offset) if offset >= _LONG else offset for offset in short]

    def span(self, oid: bytes) -> Span | None:
        """Where an object is in the pack; ``None`` when it is not there. Raises ``OSError`` and ``ValueError``."""
        position = self._find(oid)
        offset = self.offset(oid)
        if position is None or offset is None:
            return None
        if self._starts is None:
            self._starts = array.array("Q", sorted([*self._offsets(), self._end()]))
        after = bisect.bisect_right(self._starts, offset)
        if after == len(self._starts):
            raise ValueError(f"{self.pack} is cut short")
        (crc,) = struct.unpack_from(">I", self._map, _IDS + self.count * ID_SIZE + 4 * position)
        return oid, crc, offset, self._starts[after]

    def _end(self) -> int:
        return max(0, os.stat(self.pack).st_size - _PACK_TRAILER)

    def spans(self) -> Iterator[Span]:
        """Every object, in the order of the pack. Raises ``OSError`` and ``ValueError`` like ``span``."""
        crcs = struct.unpack_from(f">{self.count}I", self._map, _IDS + self.count * ID_SIZE)
        end = self._end()
        ordered = sorted(zip(self._offsets(), self.ids(), crcs, strict=True))
        for (offset, oid, crc), after in pairwise([*ordered, (end, b"", 0)]):
            yield oid, crc, offset, after[0]

    def sound(self) -> bool:
        """Whether the index has the bytes that were written; reads all of it."""
        body = memoryview(self._map)[:-ID_SIZE]
        return hashlib.sha1(body, usedforsecurity=False).digest() == self._map[-ID_SIZE:]


def write_index(entries: Iterable[PackEntry], pack_checksum: bytes) -> bytes:
    """The index of a pack that ends in that checksum."""
    ordered = sorted(entries)
    count = len(ordered)
    starting_with = [0] * 256
    for oid, _, _ in ordered:
        starting_with[oid[0]] += 1
    long_offsets = [offset for _, _, offset in ordered if offset >= _LONG]
    place = iter(range(_LONG, _LONG + len(long_offsets)))
    offsets = [next(place) if offset >= _LONG else offset for _, _, offset in ordered]
    body = b"".join(
        [
            _MAGIC,
            struct.pack(">256I", *accumulate(starting_with)),
            *[oid for oid, _, _ in ordered],
            struct.pack(f">{count}I", *[crc for _, crc, _ in ordered]),
            struct.pack(f">{count}I", *offsets),
            struct.pack(f">{len(long_offsets)}Q", *long_offsets),
            pack_checksum,
        ]
    )
    return body + hashlib.sha1(body, usedforsecurity=False).digest()
