"""Which directories of a workspace may have changed since the last walk, as the kernel tells: Linux's inotify.

What it tells is only a hint. A directory is passed over when it is watched,
nothing was told of it, and the tree is the one that the last walk left.
Everything is looked at when a directory came to be or was moved (what is in it
is watched only once a walk was there), when a file with several names came to
be (an edit by another name is told elsewhere), when the queue overflowed, and
after every ``FULL_EVERY`` walks. Such a walk proves the hints: a change that
was not told of ends the watch. That is what writes through ``mmap`` do.
"""

import logging
import os
from pathlib import Path

from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.directory import Visit
from hermes_checkpoints.kit.walk.glance import Glance, Glances
from hermes_checkpoints.kit.walk.seen import Seen

log = logging.getLogger("hermes_checkpoints")
FULL_EVERY = 20
"""So many walks that pass directories over come before one that looks at everything."""


class Watch:
    """The watch over one workspace, for the walks of one process. The holder of the workspace's lock uses it.

    A walk: ``begin``, then ``enter`` and ``settle`` for each directory, and at the end ``done``.
    """

    def __init__(self, workspace: Path) -> None:
        """Raises ``OSError`` or ``ImportError`` when there can be none."""
        from inotify_simple import INotify, flags

        if not clock.directories_tell_names(workspace):
            raise OSError("changes on this filesystem are not told of")
        self._flags = flags
        self._mask = (
            flags.MODIFY | flags.ATTRIB | flags.CLOSE_WRITE | flags.MOVED_FROM | flags.MOVED_TO | flags.CREATE
            | flags.DELETE | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
        )  # fmt: skip
        self._workspace = workspace
        self._notify: INotify | None = INotify()
        self._process = os.getpid()
        self._paths: dict[int, str] = {}
        self._watched: dict[str, int] = {}
        self._touched: set[str] = {""}
        """Directories that may have changed, and those above them."""
        self._restless: set[str] = set()
        """Directories that are always looked at: times that prove nothing, files with several names."""
        self._tree: Seen | None = None
        self._walks = 0
        self._before: dict[str, int] = {}
        self._untold: set[str] = set()
        self._proving = False
        self._twice = False
        """Whether a directory was met by two paths: mounted in two places. It is told of by one only."""
        self.full = True
        """Whether the walk that has begun looks at everything."""

    @property
    def broken(self) -> bool:
        """Whether it has ended: every walk looks at everything."""
        return self._notify is None

    def begin(self, tree: Seen | None) -> None:
        """A walk begins, from what was seen before. Decides whether it may pass anything over."""
        known = tree is not None and tree is self._tree
        doubtful = self._drained()
        self.full = doubtful or not known or self._walks >= FULL_EVERY
        self._proving, self._tree = known and not doubtful, None
        self._before = self._watched
        if self.full:
            self._watched = {}
        self._untold, self._twice = set(), False

    def quiet(self, path: str) -> bool:
        """Whether nothing was told of a directory, nor of anything below it."""
        return path in self._before and path not in self._touched

    def enter(self, path: str, fd: int) -> None:
        """A directory is about to be looked at: from now on it is watched."""
        if self._notify is None:
            return
        try:
            number = self._notify.add_watch(f"/proc/self/fd/{fd}", self._mask)
        except OSError as error:  # the user's limit, no /proc
            self._end(f"{error.strerror} at {path or '.'!r}")
            return
        if self._before.get(path, number) != number:
            self.full = True  # another directory has this name now
        other = self._paths.get(number, path)
        self._twice |= other != path and self._watched.get(other) == number
        self._paths[number] = path
        self._watched[path] = number

    def settle(self, path: str, fd: int, visit: Visit, glances: Glances | None) -> None:
        """A directory was looked at, and this is what was found."""
        seen = visit.seen
        quiet = glances is not None and not seen.racy and seen.stamp[3] != -1
        if quiet and glances is not None:
            quiet = visit.glanced or glances.unchanged(fd, seen.glance or Glance(seen.listing, seen.entered()))
            quiet = quiet and not glances.linked
        if quiet:
            self._restless.discard(path)
        else:
            self._restless.add(path)

    def differed(self, path: str) -> None:
        """A walk that looks at everything found a change in a directory of which nothing was told."""
        if self._proving and self.full and self.quiet(path):
            self._untold.add(path)

    def done(self, tree: Seen) -> None:
        """The walk has ended, and this is what the next one begins with."""
        told, self._touched = self._touched, {""}
        if self._drained() or self._twice:
            return  # everything is looked at next time, which proves as much
        untold = self._untold - self._touched - told
        if untold and self._notify is not None:
            self._end(f"of a change in {min(untold) or '.'!r} nothing was told")
            return
        for path in self._restless:
            self._touch(path)
        if self.full:
            self._drop(self._before.items() - self._watched.items())
        self._walks = 0 if self.full else self._walks + 1
        self._tree = tree

    def close(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    def _drained(self) -> bool:
        """Take in what was told; whether everything has to be looked at."""
        if self._notify is None or os.getpid() != self._process:  # a fork shares the queue, and would take from it
            self.close()
            return True
        flags, full = self._flags, False
        events = self._notify.read(timeout=0)
        moved = {(number, name) for number, mask, _, name in events if mask & flags.MOVED_FROM}
        for number, mask, _, name in events:
            path = self._paths.get(number)
            if mask & (flags.Q_OVERFLOW | flags.UNMOUNT):
                full = True
            elif mask & flags.IGNORED:
                self._gone(number)
            elif path == "" and mask & (flags.MOVE_SELF | flags.DELETE_SELF):
                full = True
            elif path is not None:
                self._touch(path)
                new = mask & (flags.CREATE | flags.MOVED_TO) and (number, name) not in moved
                full |= bool(mask & flags.ISDIR and mask & (flags.CREATE | flags.MOVED_TO))
                full |= bool(new) and self._doubtful(path, name)
        return full

    def _doubtful(self, path: str, name: str) -> bool:
        """Whether a new name may be a second one of a file; also when it is gone again."""
        try:
            return os.lstat(self._workspace / path / name).st_nlink > 1
        except OSError:
            return True

    def _touch(self, path: str) -> None:
        while path not in self._touched:
            self._touched.add(path)
            path = path.rpartition("/")[0]

    def _gone(self, number: int) -> None:
        path = self._paths.pop(number, None)
        if path is not None and self._watched.get(path) == number:
            del self._watched[path]

    def _drop(self, watches: set[tuple[str, int]]) -> None:
        """Watch no longer what was not there when everything was looked at."""
        still = set(self._watched.values())
        for path, number in watches:
            if number not in still and self._notify is not None:
                try:
                    self._notify.rm_watch(number)
                except OSError:
                    continue  # it went by itself
                self._restless.discard(path)

    def _end(self, why: str) -> None:
        log.warning("%s is looked at whole from now on: %s", self._workspace, why)
        self.close()
