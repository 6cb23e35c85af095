"""Cleaning up in a workspace after a restore that was killed."""

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, split_path
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX, is_scratch
from hermes_checkpoints.kit.write.spelling import put_back


def sweep(root: Path, token: str, directories: Iterable[str], opened: Mapping[str, int]) -> None:
    """Remove what the writer with that token left beside files in these directories, and close what it opened.

    Paths are relative to the root; no symlink is followed. A directory of
    ``opened`` gets its mode back where it still has the one it was opened with.
    What is missing or refused is passed over.
    """
    for directory in directories:
        with suppress(OSError, CheckpointError), Descent(str(root)) as descent:
            descent.go(split_path(directory) if directory else ())
            _sweep_one(descent.fd, SCRATCH_PREFIX + token)
    for directory in sorted(opened, key=lambda path: (path != "", path.count("/")), reverse=True):
        with suppress(OSError, CheckpointError), Descent(str(root)) as descent:
            descent.go(split_path(directory) if directory else ())
            if stat.S_IMODE(os.fstat(descent.fd).st_mode) == opened[directory] | 0o700:
                os.fchmod(descent.fd, opened[directory])


def _sweep_one(fd: int, beginning: str) -> None:
    ours = [name for name in os.listdir(fd) if is_scratch(name) and name.startswith(beginning)]
    for name in ours:
        put_back(fd, name)
    for name in ours:
        with suppress(OSError):
            try:
                os.unlink(name, dir_fd=fd)
            except (IsADirectoryError, PermissionError):  # the latter is what macOS says
                os.rmdir(name, dir_fd=fd)  # one that is not empty holds what no snapshot has, and stays
