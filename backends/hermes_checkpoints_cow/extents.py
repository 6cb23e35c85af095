"""Where a file's bytes lie on the medium, asked of the filesystem (``FIEMAP``): nothing is read."""

import errno
import fcntl
import struct
import sys
from typing import NamedTuple

_FS_IOC_FIEMAP = 0xC020660B
_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
# Writes the file out first: what waits for its write-back has no place yet, and may still be called shared.
_FLAG_SYNC = 1
_LAST = 0x1
# UNKNOWN, DELALLOC, ENCODED, DATA_ENCRYPTED, NOT_ALIGNED, DATA_INLINE, DATA_TAIL:
# with one of these the address does not say what is there.
_UNCLEAR = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
_SHARED = 0x2000
_AT_ONCE = 512
# Two files in more pieces than this are not worth comparing.
_MOST = 65_536
_NOT_HERE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, getattr(errno, "EBADR", 0), errno.EINVAL, errno.ENOSYS})


class Extent(NamedTuple):
    """Consecutive bytes of a file that are consecutive on the medium."""

    logical: int
    physical: int
    length: int
    shared: bool
    """Some other file, or another part of this one, has (some of) the same blocks."""
    clear: bool
    """``physical`` and ``length`` are blocks of the medium, and nothing else is in them."""


def extents_of(fd: int, most: int | None = None) -> list[Extent] | None:
    """The extents of an open file; ``None`` where the filesystem does not tell, or when there are more than ``most``.

    Raises ``OSError`` when the file cannot be written out or the medium fails.
    """
    if sys.platform != "linux":
        return None
    found: list[Extent] = []
    start = 0
    while most is None or len(found) < most:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, start, (1 << 64) - 1 - start, _FLAG_SYNC, 0, _AT_ONCE, 0)
        try:
            fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer)
        except OSError as error:
            if error.errno in _NOT_HERE:
                return None
            raise
        mapped = _HEAD.unpack_from(buffer)[3]
        for index in range(mapped):
            logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(buffer, _HEAD.size + index * _EXTENT.size)
            found.append(Extent(logical, physical, length, bool(flags & _SHARED), not flags & _UNCLEAR))
            start = logical + length
            if flags & _LAST:
                return found
        if not mapped:
            return found
    return None


def share_all_blocks(one: int, other: int) -> bool:
    """Whether two open files of equal size are the same blocks. ``False`` also means: cannot tell."""
    mine = _joined(extents_of(one, _MOST))
    return mine is not None and mine == _joined(extents_of(other, _MOST))


def _joined(extents: list[Extent] | None) -> list[Extent] | None:
    """Extents joined where one only continues another: two files may be cut differently. ``None``: not all shared."""
    if extents is None or not all(extent.shared and extent.clear for extent in extents):
        return None
    found: list[Extent] = []
    for extent in extents:
        if found:
            last = found[-1]
            if (last.logical + last.length, last.physical + last.length) == extent[:2]:
                found[-1] = last._replace(length=last.length + extent.length)
                continue
        found.append(extent)
    return found
