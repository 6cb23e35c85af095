"""Cleaning up in a workspace after a restore that was killed."""

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, split_path
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX, is_scratch, scratch_name
from hermes_checkpoints.kit.write.spelling import put_back

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_BUILDING = 1 << 31  # of the counter in a scratch name


def building_name(token: str, number: int) -> str:
    """Like ``scratch_name``, for a directory that is being built: all that is in it is ours, and may go."""
    return scratch_name(token, _BUILDING | number)


def _is_building(name: str) -> bool:
    return name[-8] in "89abcdef"


def sweep(root: Path, token: str, directories: Iterable[str], opened: Mapping[str, int]) -> tuple[str, ...]:
    """Remove what the writer with that token left beside files in these directories, and close what it opened.

    Paths are relative to the root; no symlink is followed. A directory of
    ``opened`` gets its mode back where it still has the one it was opened with.
    What is missing is passed over; the directories in which something is left
    that may go another time are the answer.
    """
    again = []
    for directory in directories:
        try:
            with Descent(str(root)) as descent:
                descent.go(split_path(directory) if directory else ())
                swept = _sweep_one(descent, SCRATCH_PREFIX + token)
        except CheckpointError:
            swept = True
        except OSError as error:
            swept = error.errno in _GONE
        if not swept:
            again.append(directory)
    for directory in sorted(opened, key=lambda path: (path != "", path.count("/")), reverse=True):
        with suppress(OSError, CheckpointError), Descent(str(root)) as descent:
            descent.go(split_path(directory) if directory else ())
            if stat.S_IMODE(os.fstat(descent.fd).st_mode) == opened[directory] | 0o700:
                os.fchmod(descent.fd, opened[directory])
    return tuple(again)


def _sweep_one(descent: Descent, beginning: str) -> bool:
    """Whether all of it is done."""
    fd = descent.fd
    ours = [name for name in os.listdir(fd) if is_scratch(name) and name.startswith(beginning)]
    for name in ours:
        put_back(fd, name)
    done = True
    for name in ours:
        try:
            try:
                os.unlink(name, dir_fd=fd)
            except (IsADirectoryError, PermissionError):  # the latter is what macOS says
                if _is_building(name):
                    remove_tree(descent, name)
                else:
                    os.rmdir(name, dir_fd=fd)  # one that is not empty holds what no snapshot has, and stays
        except OSError as error:
            done &= error.errno in (*_GONE, errno.ENOTEMPTY, errno.EEXIST)
    return done


def remove_tree(descent: Descent, name: str) -> None:
    """Remove a directory in the current one, and all that is in it, however deep. Raises ``OSError``."""
    todo = [[name]]  # the directories yet to be removed, by depth
    while todo:
        if todo[-1]:
            _enter(descent, todo[-1][-1])
            todo.append(_emptied(descent.fd))
            continue
        todo.pop()
        if todo:
            descent.leave()
            os.rmdir(todo[-1].pop(), dir_fd=descent.fd)


def _enter(descent: Descent, name: str) -> None:
    """Enter a directory of ours, whatever its mode."""
    try:
        descent.enter(name)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=descent.fd)  # only we can put anything there
        descent.enter(name)
    os.fchmod(descent.fd, 0o700)


def _emptied(fd: int) -> list[str]:
    """Remove all but directories; the names of those."""
    directories = []
    for entry in list(os.scandir(fd)):
        if entry.is_dir(follow_symlinks=False):
            directories.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=fd)
    return directories
