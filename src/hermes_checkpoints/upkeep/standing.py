"""Whether a workspace is there, gone, or only out of sight. Gone needs evidence."""

import errno
import os
import stat
from pathlib import Path

from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import parent_of


def standing(workspace: Path, parent: tuple[int, int, int] | None) -> Standing:
    """What is known of a workspace; ``parent`` is the directory that it was in, as its record has it.

    It is gone when that very directory is there and the workspace is not in
    it. An empty mount point proves nothing: the volume may be mounted elsewhere
    or nowhere. Nor does an error other than "no such file".
    """
    try:
        return Standing.LIVE if stat.S_ISDIR(workspace.stat().st_mode) else Standing.AWAY
    except OSError as error:
        if error.errno != errno.ENOENT or parent is None:
            return Standing.AWAY
    now = parent_of(workspace)
    if now is None or not _same(now, parent) or _is_empty_mount_point(workspace.parent):
        return Standing.AWAY
    return Standing.GONE


def _same(now: tuple[int, int, int], then: tuple[int, int, int]) -> bool:
    # A device number may be another one after a reboot; the filesystem's own id stays where it has one.
    return now[1] == then[1] and (now[0] == then[0] or (now[2] == then[2] != 0))


def _is_empty_mount_point(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None and os.path.ismount(directory)
    except OSError:
        return True  # what cannot be looked into proves nothing either
