"""How much disk a directory takes."""

import os
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreError, Usage

_BLOCK = 512  # st_blocks counts in these, whatever the filesystem's own block is


def space_of(directory: Path) -> Usage:
    """Apparent and allocated bytes of everything below a directory; shared blocks count as allocated.

    Raises ``StoreError`` where the disk does not answer.
    """
    try:
        return _space_of(directory)
    except OSError as error:
        raise StoreError(f"cannot measure {directory}: {error.strerror}. Nothing was changed.") from error


def _space_of(directory: Path) -> Usage:
    apparent = real = 0
    todo = [str(directory)]
    while todo:
        with suppress(FileNotFoundError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # removed while we counted: the others still count
                    status = entry.stat(follow_symlinks=False)
                    real += status.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    else:
                        apparent += status.st_size
    return Usage(apparent, real)
