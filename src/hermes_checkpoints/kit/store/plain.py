"""Opening the files of a store without being led astray or held up: others may have put anything there."""

import errno
import os
import stat
from pathlib import Path

# NONBLOCK: a FIFO in the file's place must not hang us.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# The file itself is the matter. Others (no permission, no descriptor or memory left) may be gone a moment later, and
# nothing may be given up because of them.
_DAMAGE = (errno.EIO, errno.ELOOP, errno.EINVAL)


def open_plain(path: str | Path, *, dir_fd: int | None = None) -> int:
    """A descriptor of a regular file, to read. Raises ``OSError`` for anything else, a symlink too."""
    fd = os.open(path, _FLAGS, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return fd


def read_plain(path: str | Path) -> bytes:
    """All bytes of a regular file. Raises ``OSError`` like ``open_plain``."""
    with os.fdopen(open_plain(path), "rb") as file:
        return file.read()


def is_plain(path: Path) -> bool:
    """Whether a regular file stands there, or nothing."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True


def is_damage(error: OSError) -> bool:
    """Whether a file that cannot be read is damaged, and will not be read at another time either."""
    return error.errno in _DAMAGE
