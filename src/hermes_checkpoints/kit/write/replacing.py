"""Putting one thing in the place of another: at every moment the name has the old one or the new."""

import errno
import os
import stat
from contextlib import suppress

from hermes_checkpoints.contract import Stamp
from hermes_checkpoints.kit.store.scratch import NO_ROOM
from hermes_checkpoints.kit.walk.descent import open_directory
from hermes_checkpoints.kit.write.swapping import renames

CHANGED = "it changed after the safety snapshot was taken"
NOT_OURS = "somebody put something else in the place of the new content"
_NOT_EMPTY = "a directory stands there that holds paths no snapshot has"
FILLED = frozenset({errno.ENOTEMPTY, errno.EEXIST})
"""What removing a directory that is not empty is answered with."""


class Moved(Exception):
    """A path is not any more what the safety snapshot saw; it was left as it is."""


def alike(one: Stamp, other: Stamp) -> bool:
    """Whether two looks at one file differ in the ctime at most, which a rename moves."""
    return one == other._replace(ctime_ns=one.ctime_ns)


def take_place(dir_fd: int, beside: str, name: str, aside: str, present: os.stat_result) -> None:
    """Put what is finished ``beside`` in the place of what was ``present`` under a name.

    They are exchanged, and only then is it known for sure what stood there: if
    that was something else, or a directory that is not empty, they are
    exchanged back, and ``Moved`` is raised. ``aside`` is a free name.
    """
    over_directory = stat.S_ISDIR(present.st_mode)
    if over_directory:
        _refuse_filled(dir_fd, name)
    if not renames().exchange(dir_fd, beside, name):
        _take_place_in_steps(dir_fd, beside, name, aside, present)
        return
    try:
        (_remove_empty if over_directory else _remove_same)(dir_fd, beside, present)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            renames().exchange(dir_fd, beside, name)
        raise


def take_away(dir_fd: int, name: str, aside: str, present: os.stat_result) -> None:
    """Remove a file or link that was ``present`` under a name: it is renamed, and goes if it is still the same.

    Raises ``Moved``, with it back under its name, when it is not. ``aside`` is a free name.
    """
    try:
        renames().rename_new(dir_fd, name, aside)
    except OSError as error:
        if error.errno not in NO_ROOM:  # a full Btrfs has no room for another name
            raise
        os.unlink(name, dir_fd=dir_fd)
        return
    try:
        _remove_same(dir_fd, aside, present)
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            renames().rename_new(dir_fd, aside, name)
        raise


def _take_place_in_steps(dir_fd: int, beside: str, name: str, aside: str, present: os.stat_result) -> None:
    """Where the filesystem cannot exchange: between two steps, a name that changes its kind is missing."""
    if stat.S_ISDIR(present.st_mode):
        _remove_empty(dir_fd, name, present)
    try:
        os.rename(beside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except (NotADirectoryError, FileExistsError):  # a directory over a file
        os.rename(name, aside, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        try:
            os.rename(beside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        except BaseException:
            os.rename(aside, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            raise
        os.unlink(aside, dir_fd=dir_fd)


def _refuse_filled(dir_fd: int, name: str) -> None:
    with suppress(PermissionError):  # removing it will tell
        fd = open_directory(name, dir_fd)
        try:
            if os.listdir(fd):
                raise Moved(_NOT_EMPTY)
        finally:
            os.close(fd)


def _remove_same(dir_fd: int, name: str, present: os.stat_result) -> None:
    if not alike(Stamp.of(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)), Stamp.of(present)):
        raise Moved(CHANGED)
    os.unlink(name, dir_fd=dir_fd)


def _remove_empty(dir_fd: int, name: str, _: os.stat_result) -> None:
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno in (*FILLED, errno.ENOTDIR):
            raise Moved(_NOT_EMPTY) from error
        raise
