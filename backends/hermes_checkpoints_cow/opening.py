"""Opening the store's own files, and what it means when that fails."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.store.plain import is_damage, open_plain

# NONBLOCK: a FIFO in the file's place must not hang us.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO)


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    """A descriptor to read a regular file of the store. Raises ``OSError``, also for a symlink and the like."""
    fd = open_plain(path)
    try:
        yield fd
    finally:
        os.close(fd)


def unreadable(path: str | Path, error: OSError) -> StoreError:
    """What is to be raised for a file that could not be read.

    ``StoreDamaged``, unless it may only be us who cannot read it now: what is
    behind that may be whole, and must not be given up.
    """
    kind = StoreDamaged if is_damage(error) or error.errno in _MISSING else StoreError
    return kind(f"{path} cannot be read: {error.strerror}. Nothing was changed.")


def open_in(directory: int, name: str) -> int:
    """A descriptor to read a regular file in an open directory of the store. Raises ``OSError`` like ``opened``."""
    fd = os.open(name, _READ, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no regular file", name)
    return fd
