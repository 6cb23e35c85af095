"""Opening the store's own files, and what it means when that fails."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.store.plain import is_damage, open_plain

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
