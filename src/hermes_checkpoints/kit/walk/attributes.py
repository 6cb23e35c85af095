"""Extended attributes of open files, on both systems."""

import errno
import os
import sys

from hermes_checkpoints.contract import WorkspaceError

Xattrs = tuple[tuple[str, bytes], ...]

# Linux keeps what is not the user's under other prefixes (security., system., trusted.);
# macOS has no prefixes, and these two the system sets itself and refuses to have set.
_SYSTEM_ON_MAC = frozenset({"com.apple.provenance", "com.apple.macl"})
_NONE_HERE = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.ENODATA})


def _ours(name: str) -> bool:
    return name.startswith("user.") if sys.platform == "linux" else name not in _SYSTEM_ON_MAC


def read_xattrs(fd: int) -> Xattrs:
    """The attributes a snapshot keeps, sorted by name; none where the filesystem has none."""
    if sys.platform == "linux":
        listing, get = os.listxattr, os.getxattr
    else:
        from xattr import getxattr as get
        from xattr import listxattr as listing
    try:
        names = listing(fd)
        return tuple(sorted((name, bytes(get(fd, name))) for name in names if _ours(name))) if names else ()
    except OSError as error:
        if error.errno in _NONE_HERE:
            return ()
        raise


def copy_acl(source_fd: int, target_fd: int) -> None:
    """Give a file the POSIX ACL of the one it will replace, so that its mode does not open it wider. Linux only.

    Call it before the mode is set: with an ACL, the group bits are its mask.
    """
    if sys.platform != "linux":
        return
    try:
        acl = os.getxattr(source_fd, "system.posix_acl_access")
        os.setxattr(target_fd, "system.posix_acl_access", acl)
    except OSError as error:
        if error.errno not in _NONE_HERE:
            raise


def write_xattrs(fd: int, wanted: Xattrs) -> None:
    """Make the attributes of an open file the wanted ones, removing others of the user's.

    Raises ``WorkspaceError`` when the filesystem cannot keep one of them.
    """
    present = dict(read_xattrs(fd))
    goal = dict(wanted)
    if present == goal:
        return
    if sys.platform == "linux":
        put, drop = os.setxattr, os.removexattr
    else:
        from xattr import removexattr as drop
        from xattr import setxattr as put
    try:
        for name in present.keys() - goal.keys():
            drop(fd, name)
        for name, value in goal.items():
            if present.get(name) != value:
                put(fd, name, value)
    except OSError as error:
        raise WorkspaceError(f"an extended attribute could not be set: {error.strerror}") from error
