"""Clones on Linux: the ``FICLONE`` ioctl of Btrfs, XFS and whatever else has it."""

import fcntl

from hermes_checkpoints_cow.copying import new_file

# _IOW(0x94, 9, int). The fcntl module has it from Python 3.13 on. Where an architecture numbers ioctls another way
# (PowerPC, MIPS, SPARC), this one is answered with ENOTTY and content is copied.
FICLONE: int = getattr(fcntl, "FICLONE", 0x40049409)


def clone_file(source_fd: int, dir_fd: int, name: str, *, mode: int) -> None:
    """Create the new file ``name`` in a directory, sharing the blocks of a regular file open for reading.

    The whole content, wherever the offset of ``source_fd`` is; no attributes.
    Raises ``FileExistsError`` when the name is taken, also by a dangling
    symlink; after any other ``OSError`` nothing is left under the name.
    """
    with new_file(dir_fd, name, mode=mode) as target_fd:
        while True:
            try:
                fcntl.ioctl(target_fd, FICLONE, source_fd)
            except InterruptedError:  # unlike os.read, fcntl.ioctl does not try again by itself
                continue
            return
