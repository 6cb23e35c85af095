"""A directory for files that are being made, emptied of what a killed process left."""

import errno
import os
from contextlib import suppress
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


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
                import shutil  # 3 ms that few takes need

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def take_away(path: Path, target: Path) -> None:
    """Move what nobody needs to a scratch directory, where it can be removed without a lock.

    Removed at once where a full disk has no room for another name (Btrfs).
    """
    try:
        path.rename(target)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        if path.is_dir() and not path.is_symlink():
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
