"""Whether clones work between a workspace and a store: tried with real data, because nothing else tells.

``st_dev`` misleads both ways (Btrfs subvolumes, overlay), and a clone of an
empty file succeeds where real ones fail (ZFS).
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Fitness, Suitability
from hermes_checkpoints.kit.walk.clock import filesystem_type
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX
from hermes_checkpoints_cow.cloning import NOT_HERE, platform_clone

# Entries looked at for a file to try with; the first few nearly always have one.
_LOOKED_AT = 2000
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def fitness(workspace: Path, home: Path) -> Fitness:
    """Tries one clone from the workspace to where the store is (or will be). Leaves nothing behind."""
    clone = platform_clone()
    if clone is None:
        return Fitness(Suitability.ON_REQUEST, "this system has no clones; files would be copied in full")
    kind = filesystem_type(workspace) if workspace.is_dir() else ""
    where = f" ({kind})" if kind else ""
    target = next(directory for directory in (home, *home.parents) if directory.is_dir())
    try:
        directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return Fitness(Suitability.UNUSABLE, f"the store at {target} cannot be used: {error.strerror}")
    try:
        source = _source(workspace)
        if source is None:
            source = _made(directory)
            if workspace.is_dir() and workspace.stat().st_dev != target.stat().st_dev:
                os.close(source)
                return Fitness(Suitability.ON_REQUEST, "the workspace has no file to try a clone with yet")
        try:
            return _try(source, directory, where, workspace)
        finally:
            os.close(source)
    except OSError as error:
        return Fitness(Suitability.UNUSABLE, f"the store at {target} cannot be written: {error.strerror}")
    finally:
        os.close(directory)


def _try(source: int, directory: int, where: str, workspace: Path) -> Fitness:
    name = _scratch_name()
    clone = platform_clone()
    assert clone is not None
    try:
        clone(source, directory, name, mode=0o400)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        return Fitness(
            Suitability.ON_REQUEST,
            f"no clones between {workspace}{where} and the store: {error.strerror}; files are copied in full",
        )
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
    return Fitness(Suitability.IDEAL, f"clones work between the workspace{where} and the store")


def _scratch_name() -> str:
    return f"{SCRATCH_PREFIX}probe-{os.urandom(8).hex()}"


def _source(workspace: Path) -> int | None:
    """An open file of the workspace that has content, on the workspace's own filesystem."""
    todo = [str(workspace)]
    looked_at = 0
    small: int | None = None
    while todo and looked_at < _LOOKED_AT:
        try:
            entries = list(os.scandir(todo.pop()))
        except OSError:
            continue
        for entry in entries:
            looked_at += 1
            try:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                    continue
                status = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode) or not status.st_size:
                    continue
                # A few bytes may live in the inode, which says nothing about blocks: kept as a second choice.
                if status.st_size >= 4096 or small is None:
                    found = os.open(entry.path, _OPEN)
                    if small is not None:
                        os.close(small)
                    if status.st_size >= 4096:
                        return found
                    small = found
            except OSError:
                continue
    return small


def _made(directory: int) -> int:
    """A real, synced file beside the store; it has no name any more when it is returned."""
    name = _scratch_name()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    os.unlink(name, dir_fd=directory)
    os.write(fd, b"x" * 65_536)
    os.fsync(fd)
    return fd
