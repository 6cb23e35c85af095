"""How much disk a directory takes."""

import os
from pathlib import Path

from hermes_checkpoints.contract import Usage

_BLOCK = 512  # st_blocks counts in these, whatever the filesystem's own block is


def space_of(directory: Path) -> Usage:
    """Apparent and allocated bytes of everything below a directory; shared blocks count as allocated."""
    apparent = real = 0
    todo = [str(directory)]
    while todo:
        try:
            with os.scandir(todo.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    status = entry.stat(follow_symlinks=False)
                    apparent += 0 if entry.is_dir(follow_symlinks=False) else status.st_size
                    real += status.st_blocks * _BLOCK
        except FileNotFoundError:
            continue  # removed while we counted
    return Usage(apparent, real)
