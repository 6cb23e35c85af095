"""A directory for files that are being made, emptied of what a killed process left."""

import os
import shutil
from contextlib import suppress
from pathlib import Path


def clean_scratch(directory: Path) -> Path:
    """The directory, created if absent, with nothing in it.

    It stays between turns: making and removing it would cost more than a turn's
    writes. Only the holder of the workspace's lock may call this. Raises ``OSError``.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    empty_scratch(directory)
    return directory


def empty_scratch(directory: Path) -> None:
    """Remove what is in it, as far as possible."""
    with suppress(OSError):
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
