"""Making files durable, and visible whole or not at all."""

import fcntl
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreError, StoreRefused

# Up to here one fsync a file is cheaper than one sync of the whole filesystem (0.2-0.8 ms each).
FEW = 16

_UNFINISHED = re.compile(r"[0-9a-f]{16}\.new")


def sync(fd: int) -> None:
    """Return when the file's bytes are on the medium."""
    if sys.platform == "darwin":
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync there stops at the drive's own cache
    else:
        os.fsync(fd)


def sync_path(path: Path) -> None:
    """Return when a file, or the names in a directory, are on the medium."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        sync(fd)
    finally:
        os.close(fd)


def sync_all(paths: Sequence[Path | str], directory: Path) -> None:
    """Return when all these files, and the names in their directory, are on the medium; names in it will do."""
    if len(paths) > FEW:
        sync_filesystem(directory)
        return
    for path in paths:
        sync_path(directory / path)
    sync_path(directory)


def sync_filesystem(directory: Path) -> None:
    """Return when everything written to a directory's filesystem is on the medium."""
    if sys.platform != "linux":
        os.sync()  # no call there for one filesystem
        sync_path(directory)
        return
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_filesystem_of(fd, directory)
    finally:
        os.close(fd)


def sync_filesystem_of(fd: int, directory: Path) -> None:
    """The same by a descriptor of the directory; on Linux only."""
    import ctypes  # 2 ms that a turn with a few changes does not need

    if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(directory))


def publish(target: Path, content: bytes, *, scratch: Path, durable: bool = True) -> None:
    """Create or replace a file in one step: after a crash it has the old bytes or the new.

    ``scratch`` is a directory on the same filesystem that only the caller
    writes to. Raises ``StoreError`` with nothing changed.
    """
    beside = scratch / f"{os.urandom(8).hex()}.new"  # pids repeat across containers
    try:
        with _being_made(beside) as fd:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                sync(fd)
            is_new = not os.path.lexists(target)
            beside.replace(target)
        if durable:
            _sync_name(target, is_new=is_new)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StoreError(f"cannot write {target}: {error.strerror}. What was stored before is untouched.") from error


def _sync_name(target: Path, *, is_new: bool) -> None:
    try:
        sync_path(target.parent)
    except OSError:
        if is_new:  # what could not be made durable is not there either
            with suppress(OSError):
                target.unlink()
        raise


@contextmanager
def _being_made(path: Path) -> Iterator[int]:
    """A new file, locked for as long as somebody is at work on it."""
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:  # else it was taken for abandoned before we had the lock
                yield fd
                return
        finally:
            os.close(fd)


def is_unfinished(name: str) -> bool:
    """Whether a file is called as those are that are going to be published."""
    return _UNFINISHED.fullmatch(name) is not None


def sweep_unfinished(directory: Path) -> None:
    """Remove, as far as possible, what killed processes left of files that they were going to publish.

    What is being made at this moment stays.
    """
    with suppress(OSError):
        for name in os.listdir(directory):
            if is_unfinished(name):
                _remove_abandoned(directory / name)


def _remove_abandoned(path: Path) -> None:
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(fd)


def private_directory(path: Path) -> Path:
    """A directory of ours: created with mode 0700 if absent, refused when another user owns it.

    Raises ``StoreRefused`` or ``StoreError``; a directory of ours that is open
    to others is closed.
    """
    try:
        if not path.is_dir():
            # Not mkdir(parents=True): that gives the parents whatever the umask lets through.
            for directory in reversed([path, *path.parents]):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, exist_ok=True)
                    directory.chmod(0o700)
        status = path.stat()
        if status.st_uid != os.geteuid():
            raise StoreRefused(
                f"{path} belongs to another user. Nothing was touched; use a store of your own (--store)."
            )
        if status.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise StoreError(f"cannot use {path} as a store: {error.strerror}. Nothing was changed.") from error
    return path
