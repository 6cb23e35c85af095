"""The ladder: content is cloned where the filesystem can, and copied where it cannot, file by file."""

import errno
import os
import stat
import sys
from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from typing import Protocol

from hermes_checkpoints_cow.copying import copy_file, nobody

NOT_HERE = frozenset(
    {
        errno.EOPNOTSUPP,  # the filesystem cannot clone: ext4, tmpfs, NFS, HFS+
        errno.ENOTSUP,  # the same number on Linux, another on macOS
        errno.ENOTTY,  # no such ioctl: some FUSE and network filesystems
        errno.ENOSYS,  # no such call: old macOS, gVisor and other sandboxes
        errno.EXDEV,  # source and target on different filesystems; until Linux 5.18 also on different mounts
        errno.EINVAL,  # not these two files: Btrfs NOCOW with ordinary, XFS realtime with data, a flag macOS lacks
        errno.EPERM,  # forbidden by a seccomp filter; on macOS a locked source
        errno.EACCES,  # forbidden by SELinux (Android); on macOS a clone that its new owner could not open
        errno.ETXTBSY,  # the source is an active swap file
        errno.EAGAIN,  # ZFS, while the source is not written out yet
    }
)
"""What a failed clone may say for content to be copied instead: "not here", never "no room" or "broken".

Whatever these hide, the copy meets again and reports. Everything else is raised, above all:
ENOSPC, EDQUOT, EFBIG, ENOMEM: a copy needs more of what ran out than the clone did;
EIO, ESTALE: the disk or the server is failing, and reading it through would be a worse try;
EEXIST: the name is taken, which is an answer; EISDIR, EBADF, ENOENT, ENAMETOOLONG: the caller's mistake.
"""


class Placed(Enum):
    """How content came to be in its new place."""

    CLONED = auto()
    """It shares blocks with its source."""
    COPIED = auto()


class TooLargeToCopy(Exception):
    """The content cannot be cloned, and is not to be copied. Does not leave this package."""


class Clone(Protocol):
    """What the platform's module offers."""

    def __call__(self, source_fd: int, dir_fd: int, name: str, *, mode: int) -> None: ...


def place_content(
    source_fd: int,
    dir_fd: int,
    name: str,
    *,
    mode: int,
    may_copy: Callable[[int], bool] | bool = True,
    copied: Callable[[bytes], object] = nobody,
) -> Placed:
    """Create the new file ``name`` in a directory, with what a regular file open for reading holds.

    ``may_copy`` is asked, with the size in bytes, only when a clone is not
    possible; ``TooLargeToCopy`` when it says no. ``copied`` is given each
    block that is copied, and nothing of a clone. The file gets ``mode``
    whatever the umask is; nothing is synced. Support is per file, so a clone
    is tried for each, whatever happened to the one before.

    Raises ``FileExistsError`` when the name is taken, also by a dangling
    symlink. After any other exception nothing is left under the name.
    """
    clone = platform_clone()
    if clone is not None:
        try:
            clone(source_fd, dir_fd, name, mode=mode)
        except OSError as error:
            if error.errno not in NOT_HERE:
                raise
        else:
            return Placed.CLONED
    source = os.fstat(source_fd)
    if not stat.S_ISREG(source.st_mode):  # FICLONE says EINVAL; a device like /dev/zero has no end
        raise OSError(errno.EINVAL, "not a regular file", name)
    if not (may_copy if isinstance(may_copy, bool) else may_copy(source.st_size)):
        raise TooLargeToCopy(f"{name}: {source.st_size} bytes can only be copied here, and are too many")
    copy_file(source_fd, dir_fd, name, mode=mode, copied=copied)
    return Placed.COPIED


@cache
def platform_clone() -> Clone | None:
    """This system's way to clone a file; ``None`` where there is none."""
    if sys.platform == "darwin":
        from hermes_checkpoints_cow.clone_darwin import clone_file
    elif sys.platform == "linux":
        from hermes_checkpoints_cow.clone_linux import clone_file
    else:
        return None
    return clone_file
