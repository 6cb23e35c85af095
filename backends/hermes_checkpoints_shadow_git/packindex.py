"""Pack indexes (git's version 2): writing one, and asking all of them what the store has."""

import contextlib
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Iterable
from itertools import accumulate

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints_shadow_git.objects import ID_SIZE
from hermes_checkpoints_shadow_git.repository import Repository

_MAGIC = b"\377tOc\0\0\0\2"
_FAN_OUT = len(_MAGIC)
_IDS = _FAN_OUT + 256 * 4
_PER_OBJECT = ID_SIZE + 4 + 4
_TRAILER = 2 * ID_SIZE
_LONG = 1 << 31  # an offset from here on goes to the table of 8-byte ones

# A store has a pack a turn until it is repacked. Bisecting 1,000 of them takes 2 ms a question, so the ids of small
# ones are kept in one set: at most 1,000 packs * 512 ids * 90 bytes = 45 MB.
_SMALL = 512
_SCANNED = 256  # so many ids are searched by bytes.find, which is faster than bisecting them here


_MAPPED = 256 << 10  # bytes; a mapping holds a file descriptor, and a store may have a thousand small indexes

PackEntry = tuple[bytes, int, int]
"""An object's id, the crc32 of its bytes in the pack, and its offset there."""


class _Index:
    """The ids of one index file."""

    def __init__(self, path: str) -> None:
        """Raises ``OSError`` when it is gone and ``ValueError`` when it is no index."""
        self._map: bytes | mmap.mmap
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > _MAPPED:
                self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            else:
                self._map = file.read()
        if self._map[:_FAN_OUT] != _MAGIC or len(self._map) < _IDS + _TRAILER:
            raise ValueError(f"{path} is not a version 2 index")
        self._totals = struct.unpack_from(">256I", self._map, _FAN_OUT)  # by first byte: ids that begin so, or lower
        self.count: int = self._totals[255]
        if len(self._map) < _IDS + self.count * _PER_OBJECT + _TRAILER:
            raise ValueError(f"{path} is cut short")

    def _id(self, position: int) -> bytes:
        start = _IDS + ID_SIZE * position
        return self._map[start : start + ID_SIZE]

    def __contains__(self, oid: bytes) -> bool:
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
        return found >= 0

    def ids(self) -> list[bytes]:
        return [self._id(position) for position in range(self.count)]


class PackIndexes:
    """Answers "is this object in the store?" without git: ``oid in indexes``.

    Each question looks at the directory's stat (1 µs) and reads the list of
    packs again when it moved, so packs that other processes add or remove
    count. A change within the tick of the filesystem's clock (4 ms) after a
    listing does not show: :meth:`refresh` has the next question list anyway.
    Call it once the lock is held that keeps packs from vanishing.

    An index that is damaged, or has no pack, is passed over: its objects are
    then stored again. Threads may share it.
    """

    def __init__(self, repository: Repository) -> None:
        self._directory = os.fspath(repository.packs)
        self._lock = threading.Lock()
        self._listed: tuple[int, int] | None = None
        self._indexes: dict[str, _Index | None] = {}
        self._small: set[bytes] = set()
        self._large: list[_Index] = []

    def refresh(self) -> None:
        """Have the next question list the packs."""
        with self._lock:
            self._listed = None

    def __contains__(self, oid: bytes) -> bool:
        """Raises ``StoreError`` when the directory of packs cannot be read."""
        with self._lock:
            try:
                stat = os.stat(self._directory)
                seen = (stat.st_ino, stat.st_mtime_ns)
                if seen != self._listed:
                    self._list()
                    self._listed = seen
            except OSError as error:
                raise StoreError(f"The packs in {self._directory} could not be listed: {error}") from error
            return oid in self._small or any(oid in index for index in self._large)

    def _list(self) -> None:
        names = set(os.listdir(self._directory))
        wanted = {name for name in names if name.endswith(".idx") and name[:-4] + ".pack" in names}
        if gone := self._indexes.keys() - wanted:
            for name in gone:
                del self._indexes[name]
            self._small = set()
            self._large = []
            for index in self._indexes.values():
                self._take_in(index)
        for name in wanted - self._indexes.keys():
            index = None
            # Gone since the listing: the next one will not name it. Damaged: not asked again.
            with contextlib.suppress(FileNotFoundError, ValueError):
                index = _Index(os.path.join(self._directory, name))
            self._indexes[name] = index
            self._take_in(index)

    def _take_in(self, index: _Index | None) -> None:
        if index is None:
            return
        if index.count <= _SMALL:
            self._small.update(index.ids())
        else:
            self._large.append(index)


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
