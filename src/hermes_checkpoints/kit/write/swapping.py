"""Renames that ``os.rename`` does not offer: two names exchanged in one step, and never over anything.

Linux has ``renameat2``, macOS ``renameatx_np``; both are called through ctypes.
No Mac was at hand: there, what is proved is how arguments and errors are passed.
"""

import ctypes
import errno
import os
import sys
from functools import cache

# <linux/fs.h> and <sys/stdio.h>
_LINUX = ("renameat2", 0x2, 0x1)  # RENAME_EXCHANGE, RENAME_NOREPLACE
_DARWIN = ("renameatx_np", 0x2, 0x4)  # RENAME_SWAP, RENAME_EXCL
# EXDEV: overlayfs, for a directory of a lower layer; within one directory it can mean nothing else.
_NOT_HERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV})


class Renames:
    """The system call, as a library (loaded with ``use_errno=True``) exports it, for names in one directory."""

    def __init__(self, library: ctypes.CDLL, system: str = sys.platform) -> None:
        name, self._exchange, self._new = _DARWIN if system == "darwin" else _LINUX
        self._call = getattr(library, name, None)
        if self._call is not None:
            path, flags = ctypes.c_char_p, ctypes.c_uint
            self._call.argtypes, self._call.restype = (ctypes.c_int, path, ctypes.c_int, path, flags), ctypes.c_int

    def exchange(self, dir_fd: int, one: str, other: str) -> bool:
        """Each name gets what the other had; ``False``, with nothing changed, where the filesystem cannot."""
        return self._done(dir_fd, one, other, self._exchange)

    def rename_new(self, dir_fd: int, source: str, target: str) -> None:
        """Rename to a name that is free. Raises ``FileExistsError`` when it is not."""
        if not self._done(dir_fd, source, target, self._new):
            try:
                os.stat(target, dir_fd=dir_fd, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            else:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)

    def _done(self, dir_fd: int, source: str, target: str, flags: int) -> bool:
        # Not tried again after EINTR: an exchange that did happen would be taken back.
        if self._call is None:
            return False
        if self._call(dir_fd, os.fsencode(source), dir_fd, os.fsencode(target), flags) == 0:
            return True
        number = ctypes.get_errno() or errno.EIO  # never a failure without a number
        if number in _NOT_HERE:
            return False
        raise OSError(number, os.strerror(number), source, None, target)


@cache
def renames() -> Renames:
    """Of this system."""
    return Renames(ctypes.CDLL(None, use_errno=True))
