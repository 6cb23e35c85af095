"""Clones on Linux: the ``FICLONE`` ioctl of Btrfs, XFS and whatever else has it."""

import fcntl
import os
from contextlib import suppress

# _IOW(0x94, 9, int). The fcntl module has it from Python 3.13 on. Where an architecture numbers ioctls another way
# (PowerPC, MIPS, SPARC), this one is answered with ENOTTY and content is copied.
FICLONE: int = getattr(fcntl, "FICLONE", 0x40049409)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def share(source_fd: int, target_fd: int) -> None:
    """Make an open file hold what another one holds, by sharing its blocks. Raises ``OSError``."""
    while True:
        try:
            fcntl.ioctl(target_fd, FICLONE, source_fd)
        except InterruptedError:  # unlike os.read, fcntl.ioctl does not try again by itself
            continue
        return


def clone_file(source_fd: int, dir_fd: int, name: str, *, mode: int) -> None:
    """Create the new file ``name`` in a directory, sharing the blocks of a regular file open for reading.

    The whole content, wherever the offset of ``source_fd`` is; no attributes.
    Raises ``FileExistsError`` when the name is taken, also by a dangling
    symlink; after any other ``OSError`` nothing is left under the name.
    """
    # Not ``new_file``: a first snapshot comes here for every file, and its context manager and an ``fchmod`` that
    # changes nothing are a seventh of a small clone on XFS. Creation gives the owner's bits only: nobody else may look.
    target_fd = os.open(name, _NEW, mode & 0o600, dir_fd=dir_fd)
    try:
        try:
            share(source_fd, target_fd)
            if os.fstat(target_fd).st_mode & 0o7777 != mode:
                os.fchmod(target_fd, mode)
        finally:
            os.close(target_fd)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            os.unlink(name, dir_fd=dir_fd)
        raise
