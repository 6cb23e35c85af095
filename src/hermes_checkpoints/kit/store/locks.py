"""Locks that the kernel frees when their holder dies.

Lock files are never removed: removing one lets two processes hold "the" lock.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreBusy, StoreError

DEFAULT_WAIT = 30.0
"""Seconds that a command waits for another one before it gives up with ``StoreBusy``."""


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: float = DEFAULT_WAIT) -> Iterator[int]:
    """Hold the lock file at ``path``, created if absent.

    Threads of one process exclude each other as processes do. Gives the
    descriptor that holds it: a program that inherits it goes on holding the
    lock when we are killed. Raises ``StoreBusy`` when somebody else held it for
    ``wait`` seconds.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error.strerror}. Nothing was changed.") from error
    try:
        _acquire(fd, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, wait)
        try:
            yield fd
        finally:
            with suppress(OSError):  # closing lets go of it as well
                fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _acquire(fd: int, path: Path, kind: int, wait: float) -> None:
    deadline = time.monotonic() + wait
    pause = 0.001
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise StoreError(f"cannot lock {path}: {error.strerror}. Nothing was changed.") from error
        if time.monotonic() >= deadline:
            raise StoreBusy(
                f"another process has been using {path} for {wait:g} s. Nothing was changed; try again when it is done."
            )
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
