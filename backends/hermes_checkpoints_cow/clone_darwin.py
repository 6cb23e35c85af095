"""Clones on macOS: ``clonefile``, ``clonefileat`` and ``fclonefileat`` of libSystem, through ctypes.

No Mac was at hand when this was written. Its test runs it on Linux against a
small C library with the signatures, flags and errno values of the manual page
clonefile(2). That proves how arguments are passed, how failures come back and
what is cleaned up. It proves nothing about APFS: not that blocks are shared,
not which attributes a clone carries, not which errno the kernel chooses.

What the manual page promises of a clone: content, mode without setuid and
setgid, extended attributes and times come from the source; its ACL only with
``CLONE_ACL``; its owner only for root, and not with ``CLONE_NOOWNERCOPY``.
"""

import ctypes
import errno
import os
import stat
from contextlib import suppress
from functools import cache
from typing import Any

CLONE_NOFOLLOW = 0x1
"""Clone a symlink, not what it points to."""
CLONE_NOOWNERCOPY = 0x2
"""Do not give the clone the source's owner, which would happen for root."""
CLONE_ACL = 0x4
"""Give the clone the source's access control list."""

LOCKED = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
"""Flags (chflags) that forbid changing and removing a file."""

_DIR_FD, _FD, _PATH, _FLAGS = ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32
_SIGNATURES = {
    "clonefile": (_PATH, _PATH, _FLAGS),
    "clonefileat": (_DIR_FD, _PATH, _DIR_FD, _PATH, _FLAGS),
    "fclonefileat": (_FD, _DIR_FD, _PATH, _FLAGS),
}


class Clonefile:
    """The three calls, as a library (loaded with ``use_errno=True``) exports them.

    Each creates its target whole or not at all, never replaces anything, and
    raises the ``OSError`` subclass of the errno with the paths in it:
    ``FileExistsError``; ``ENOTSUP`` where the filesystem cannot, ``EXDEV``
    across filesystems, ``ENOSYS`` when the library lacks the call.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._calls = {}
        for name, arguments in _SIGNATURES.items():
            with suppress(AttributeError):  # fclonefileat came with macOS 10.13
                call = library[name]
                call.argtypes, call.restype = arguments, ctypes.c_int
                self._calls[name] = call

    def clonefile(self, source: str | bytes, target: str | bytes, flags: int = 0) -> None:
        self._call("clonefile", (_path(source), _path(target), flags), source, target)

    def clonefileat(
        self, source_dir_fd: int, source: str | bytes, target_dir_fd: int, target: str | bytes, flags: int = 0
    ) -> None:
        arguments = (source_dir_fd, _path(source), target_dir_fd, _path(target), flags)
        self._call("clonefileat", arguments, source, target)

    def fclonefileat(self, source_fd: int, target_dir_fd: int, target: str | bytes, flags: int = 0) -> None:
        self._call("fclonefileat", (source_fd, target_dir_fd, _path(target), flags), target, None)

    def _call(self, name: str, arguments: tuple[Any, ...], path: str | bytes, other: str | bytes | None) -> None:
        call = self._calls.get(name)
        failed = errno.ENOSYS if call is None else errno.EINTR
        while call is not None and failed == errno.EINTR:
            failed = 0 if call(*arguments) == 0 else ctypes.get_errno() or errno.EIO  # never a failure without a number
        if failed:
            raise OSError(failed, os.strerror(failed), path, None, other)


def clone_file(source_fd: int, dir_fd: int, name: str, *, mode: int, calls: Clonefile | None = None) -> None:
    """Create the new file ``name`` in a directory, sharing the blocks of a regular file open for reading.

    The clone belongs to the caller and has that mode; extended attributes and
    times are the source's. Raises ``FileExistsError`` when the name is taken,
    also by a dangling symlink; after any other ``OSError`` nothing is left
    under the name. A locked source is refused with ``EPERM``: its clone could
    be locked as well, and then neither be given a mode nor be removed.
    """
    if getattr(os.fstat(source_fd), "st_flags", 0) & LOCKED:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)
    (calls or _system()).fclonefileat(source_fd, dir_fd, name, CLONE_NOOWNERCOPY)
    try:
        _set_mode(dir_fd, name, mode)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            os.unlink(name, dir_fd=dir_fd)
        raise


def _set_mode(dir_fd: int, name: str, mode: int) -> None:
    # O_NOFOLLOW and a descriptor: whatever takes the name meanwhile, nothing outside the directory is changed.
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


@cache
def _system() -> Clonefile:
    return Clonefile(ctypes.CDLL(None, use_errno=True))  # None: the process itself, which has libSystem


def _path(path: str | bytes) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:  # C would read a shorter path and clone to the wrong name
        raise ValueError("embedded null byte")
    return encoded
