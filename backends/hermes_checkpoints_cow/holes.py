"""Giving back the space of bytes in the middle of a file."""

import ctypes
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from hermes_checkpoints.kit import sync
from hermes_checkpoints_cow.opening import opened

_KEEP_SIZE, _PUNCH_HOLE = 0x1, 0x2  # <linux/falloc.h>
_F_PUNCHHOLE = 99  # <sys/fcntl.h> of macOS
_FPUNCHHOLE = struct.Struct("=IIqq")  # flags, reserved, offset, length
_NOT_HERE = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL})
_ZEROS = bytes(256 * 1024)
# Of a file that another process makes read-only again at the very moment that we open it.
_TRIES = 10

Range = tuple[int, int]
"""First byte, and the one after the last."""


def worth_it(path: Path, dead: Iterable[Range], *, thorough: bool) -> list[Range]:
    """Those of the ranges in which there is something to be gained; with ``thorough``, something to be read."""
    with opened(path) as fd:
        block = os.fstatvfs(fd).f_frsize
        return [(start, end) for start, end in dead if _is_worth_it(fd, start, end, block, thorough=thorough)]


def give_back(path: Path, ranges: Sequence[Range], *, thorough: bool, whole_extents: bool) -> Iterator[int]:
    """Make holes of those ranges, in order, of a read-only file of ours; gives 1 after each piece of work.

    Whole blocks of the filesystem; where it has no holes, nothing. With
    ``thorough`` none of those bytes can be read at the end, not even after a
    power cut: what no hole covers is overwritten. With ``whole_extents``, for a
    filesystem that keeps an extent while any part of it is in use (Btrfs), what
    lies between the ranges is written anew first, which takes as much room for
    a while. All other bytes stay as they are, whenever it is killed. Raises ``OSError``.
    """
    with writing(path) as fd:
        block = os.fstatvfs(fd).f_frsize
        if whole_extents:
            starts = [0, *(end for _, end in ranges)]
            ends = [*(start for start, _ in ranges), os.fstat(fd).st_size]
            for start, end in zip(starts, ends, strict=True):
                yield from _written_anew(fd, start, end)
        for start, end in ranges:
            inner, outer = _whole_blocks(fd, start, end, block)
            with alone(fd):
                punched = inner < outer and _punch(fd, inner, outer - inner)
                if thorough:
                    for first, last in ((start, inner), (outer, end)) if punched else ((start, end),):
                        _overwrite(fd, first, last)
            yield 1
        if thorough:
            sync(fd)


@contextmanager
def alone(fd: int) -> Iterator[None]:
    """Not while another reclaim, to which these bytes were still alive, has read them and is about to write them."""
    with suppress(OSError):  # no locks there: then neither are there extents, for which bytes are written anew
        fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def _written_anew(fd: int, start: int, end: int) -> Iterator[int]:
    """Write a range's bytes where they are: on a filesystem that copies on write, to another place of the medium."""
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return  # a hole up to the end of the file
        data_end = min(end, os.lseek(fd, start, os.SEEK_HOLE))  # zeros written to a hole would take space
        while start < data_end:
            with alone(fd):
                start += os.pwrite(fd, os.pread(fd, min(len(_ZEROS), data_end - start), start), start)
            yield 1


def _is_worth_it(fd: int, start: int, end: int, block: int, *, thorough: bool) -> bool:
    if not thorough:
        start, end = _whole_blocks(fd, start, end, block)
    if start >= end:
        return False
    try:
        at = os.lseek(fd, start, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return False  # a hole up to the end of the file
        at = start
    while thorough and at < end:
        found = os.pread(fd, min(len(_ZEROS), end - at), at)
        if not found or found.strip(b"\0"):
            return bool(found)
        at += len(found)
    return at < end


def _whole_blocks(fd: int, start: int, end: int, block: int) -> Range:
    """The blocks that have nothing else in them. The last of a file may be short (on macOS: not known)."""
    reaches_end = sys.platform == "linux" and end >= os.fstat(fd).st_size
    return -(-start // block) * block, (-(-end // block) if reaches_end else end // block) * block


def _punch(fd: int, offset: int, length: int) -> bool:
    """Make a hole; whether the filesystem can."""
    try:
        if sys.platform == "darwin":
            fcntl.fcntl(fd, _F_PUNCHHOLE, _FPUNCHHOLE.pack(0, 0, offset, length))
        elif sys.platform == "linux":
            _punch_on_linux(fd, offset, length)
        else:
            return False
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        return False
    return True


def _punch_on_linux(fd: int, offset: int, length: int) -> None:
    failed = errno.EINTR
    while failed == errno.EINTR:
        failed = ctypes.get_errno() if _fallocate()(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, length) != 0 else 0
    if failed:
        raise OSError(failed, os.strerror(failed))


@cache
def _fallocate() -> "ctypes._NamedFuncPointer":
    library = ctypes.CDLL(None, use_errno=True)
    # glibc's plain one has an off_t of 32 bits on some systems; musl has no other.
    call = library["fallocate64" if hasattr(library, "fallocate64") else "fallocate"]
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    call.restype = ctypes.c_int
    return call


def _overwrite(fd: int, start: int, end: int) -> None:
    while start < end:
        start += os.pwrite(fd, memoryview(_ZEROS)[: end - start], start)


@contextmanager
def writing(path: Path) -> Iterator[int]:
    """A descriptor to write to a file of mode 0400, which has that mode again as soon as it is open."""
    with opened(path) as reading:
        for left in reversed(range(_TRIES)):
            os.fchmod(reading, 0o600)
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                break
            except PermissionError:
                if not left:
                    raise
            finally:
                os.fchmod(reading, 0o400)
    try:
        yield fd
    finally:
        os.close(fd)
