"""Whether two files share every block, asked of the filesystem: true means equal bytes, and nothing was read."""

import errno
import fcntl
import struct
import sys

_FS_IOC_FIEMAP = 0xC020660B
_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_FLAG_SYNC = 1
_LAST = 0x1
# UNKNOWN, DELALLOC, ENCODED, DATA_ENCRYPTED, NOT_ALIGNED, DATA_INLINE, DATA_TAIL:
# with one of these the address does not say what is there.
_UNCLEAR = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400
_SHARED = 0x2000
_AT_ONCE = 512
# A file in more pieces than this is not worth asking about.
_MOST = 65_536

Extent = tuple[int, int, int, int]


def share_all_blocks(one: int, other: int) -> bool:
    """Whether two open files of equal size are the same blocks. ``False`` also means: cannot tell."""
    if sys.platform != "linux":
        return False
    mine = _extents(one)
    return mine is not None and mine == _extents(other)


def _extents(fd: int) -> list[Extent] | None:
    found: list[Extent] = []
    start = 0
    while len(found) < _MOST:
        buffer = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(buffer, 0, start, (1 << 64) - 1 - start, _FLAG_SYNC, 0, _AT_ONCE, 0)
        try:
            fcntl.ioctl(fd, _FS_IOC_FIEMAP, buffer)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADR, errno.EINVAL, errno.ENOSYS):
                return None
            raise
        mapped = _HEAD.unpack_from(buffer)[3]
        if not mapped:
            return found
        for index in range(mapped):
            logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(buffer, _HEAD.size + index * _EXTENT.size)
            if flags & _UNCLEAR or not flags & _SHARED:
                return None
            _append(found, (logical, physical, length, flags & ~_LAST))
            start = logical + length
            if flags & _LAST:
                return found
    return None


def _append(found: list[Extent], extent: Extent) -> None:
    """Add an extent, joined to the last one where it only continues it: two files may be cut differently."""
    if found:
        logical, physical, length, flags = found[-1]
        if (logical + length, physical + length, flags) == (extent[0], extent[1], extent[3]):
            found[-1] = (logical, physical, length + extent[2], flags)
            return
    found.append(extent)
