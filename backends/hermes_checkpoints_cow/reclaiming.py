"""Getting back the space of what no snapshot leans on, while others save.

A save leans only on what it writes itself and on what snapshots hold that were
listed when it began; and it has the store's lock, shared, from before that
until its own snapshot is listed. So what no listed snapshot leans on at a
moment when we have that lock alone is garbage for ever. That moment is all that
anybody waits for: marking comes before it, deleting after it.

Nothing is moved to make room (but for ``data`` files on Btrfs, see ``holes``).
What is dead goes file by file and range by range: a reclaim that is killed has
done a part of the work, and two at once do it together.
"""

import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Progress, StoreBusy, StoreError
from hermes_checkpoints.kit import locked, sync_path
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.kit.store.publish import FEW, sync_filesystem
from hermes_checkpoints.kit.store.scratch import NO_ROOM, take_away
from hermes_checkpoints.kit.walk.clock import filesystem_type
from hermes_checkpoints.kit.walk.memory import tidy
from hermes_checkpoints_cow.digests import digest_of_file, record, recorded
from hermes_checkpoints_cow.holes import give_back, worth_it
from hermes_checkpoints_cow.listing import workspace_directories
from hermes_checkpoints_cow.marking import Live, Marks
from hermes_checkpoints_cow.opening import opened
from hermes_checkpoints_cow.sharing import allocated
from hermes_checkpoints_cow.vault import DATA

# Files removed, or directories read, between two looks at the clock.
_PORTION = 64
_BATCH = re.compile("[0-9a-f]{16}")
# On Btrfs, where the rest of a file has to be written anew: the part of it (one in so many) that must be garbage.
_WORTH_WRITING = 4


class _OutOfTime(Exception):
    """Does not leave this module."""


class Reclaiming:
    """One run over a store."""

    def __init__(
        self, home: Path, load: Callable[[bytes], bytes], until: float, progress: Progress, *, thorough: bool
    ) -> None:
        """``load`` gives a directory's bytes by its key."""
        self._home = home
        self._snapshots = home / "snapshots"
        self._tmp = home / "tmp"
        self._trash = home / "trash"
        self._until = until
        self._progress = progress
        self._thorough = thorough
        self._steps = 0
        self._in_part: list[tuple[Path, Live]] = []
        """Files of which a part is dead, perhaps."""
        self._unread: list[tuple[Path, Live]] = []
        """Batches with large clones of which no digest is known."""
        self._synced = False
        self._whole_extents = filesystem_type(home) == "btrfs"
        self._marks = Marks(home, load, self._step)

    def run(self) -> bool:
        """Whether all of it is done. Raises ``StoreError`` with nothing deleted, ``StoreBusy``, ``OSError``."""
        try:
            self._look_up()
            batches = os.listdir(self._home / "batches")  # one that is added from here on is not looked at
            self._marks.mark()
            leftovers = self._leftovers()
            self._marks.mark()  # what was published meanwhile, so that little is left to be read while others wait
            self._alone(leftovers)
            self._empty_trash()
            for name in batches:
                self._sweep(name)
            self._make_holes()
        except _OutOfTime:
            return False
        with suppress(_OutOfTime):
            self._read_unread()
        return True

    def _step(self) -> None:
        self._steps += 1
        if self._steps % _PORTION == 0:
            self._look_up()

    def _look_up(self) -> None:
        self._progress(self._steps)
        if time.monotonic() >= self._until:
            raise _OutOfTime

    def _leftovers(self) -> list[str]:
        """Names in ``tmp`` that hold something, or belong to no workspace that has snapshots."""
        found = []
        with os.scandir(self._tmp) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    empty = entry.is_dir(follow_symlinks=False) and not os.listdir(entry.path)
                    if not empty or not (self._snapshots / entry.name).is_dir():
                        found.append(entry.name)
        return found

    def _alone(self, leftovers: list[str]) -> None:
        """The moment in which nobody saves: see what is live, and take away what only a save may have."""
        wait = min(DEFAULT_WAIT, max(0.0, self._until - time.monotonic()))
        try:
            with locked(self._home / "lock", wait=wait):
                self._marks.mark()
                for name in leftovers:
                    with suppress(FileNotFoundError):
                        take_away(self._tmp / name, self._trash / os.urandom(8).hex())
                for directory in self._marks.empty:
                    self._leave_no_trace(directory)
                # With thorough, all stat caches: they may still know what was there before.
                living = () if self._thorough else os.listdir(self._snapshots)
                tidy(self._home / "seen", living)
                tidy(self._home / "listed", living)
        except StoreBusy as busy:
            if wait < DEFAULT_WAIT:
                raise _OutOfTime from busy
            raise

    def _leave_no_trace(self, directory: Path) -> None:
        """Remove what there is of a workspace without snapshots. The next save makes it again, under the lock."""
        for empty in (self._tmp / directory.name, directory):
            with suppress(OSError):
                empty.rmdir()

    def _sweep(self, name: str) -> None:
        directory = self._home / "batches" / name
        if not _BATCH.fullmatch(name) or directory.is_symlink():
            return  # not ours
        self._look_up()
        live = self._marks.batches.get(bytes.fromhex(name))
        if live is not None and live.kept:
            return
        with suppress(FileNotFoundError, NotADirectoryError):  # somebody else's reclaim was faster
            for file in os.listdir(directory):
                self._step()
                if live is None or self._is_dead(file, live):
                    self._forgotten_for_good()
                    with suppress(IsADirectoryError):
                        (directory / file).unlink(missing_ok=True)
                elif file == DATA:
                    self._in_part.append((directory / file, live))
            if live is None:
                shutil.rmtree(directory, ignore_errors=True)
            else:
                self._forget_digests(directory, live)

    def _forget_digests(self, directory: Path, live: Live) -> None:
        """A digest would still tell whether somebody has what was removed."""
        with suppress(StoreError):  # which is for a repair to see to
            known = recorded(directory)
            kept = {number: digest for number, digest in known.items() if number in live.unread}
            if kept != known:
                record(directory, kept, self._trash)
            if live.unread - kept.keys():
                self._unread.append((directory, live))

    def _read_unread(self) -> None:
        """Record what large clones hold, in time that is left over; nobody waits when there is a limit."""
        if math.isinf(self._until):
            return
        for directory, live in self._unread:
            for number in sorted(live.unread - recorded(directory).keys()):
                # What fails is for a repair to see to: all that was to be given back was.
                with suppress(OSError, StoreError), opened(directory / str(number)) as fd:
                    digest = digest_of_file(fd, self._look_up)
                    record(directory, {**recorded(directory), number: digest}, self._trash)

    @staticmethod
    def _is_dead(file: str, live: Live) -> bool:
        if file == DATA:
            return not live.ranges
        return file.isdecimal() and int(file) not in live.numbers

    def _make_holes(self) -> None:
        """After all that only gives room, since this may need some; the files with the least to keep first."""
        full: OSError | None = None
        for data, live in sorted(self._in_part, key=lambda part: part[1].size):
            try:
                self._punch(data, live)
            except (FileNotFoundError, NotADirectoryError):
                continue  # somebody else's reclaim was faster
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                full = error
        if full is not None:
            raise full

    def _punch(self, data: Path, live: Live) -> None:
        status = data.lstat()
        if not stat.S_ISREG(status.st_mode):
            return  # for a repair to see to
        ranges = worth_it(data, live.dead(status.st_size), thorough=self._thorough)
        gain = sum(end - start for start, end in ranges)
        if self._whole_extents and not self._thorough and gain * _WORTH_WRITING < allocated(status):
            return
        if ranges:
            self._forgotten_for_good()
            for done in give_back(data, ranges, thorough=self._thorough, whole_extents=self._whole_extents):
                self._steps += done
                self._look_up()

    def _forgotten_for_good(self) -> None:
        """Before the first deletion: no snapshot that was forgotten is listed again after a power cut."""
        if self._synced:
            return
        directories = list(workspace_directories(self._snapshots))
        if len(directories) > FEW:
            sync_filesystem(self._snapshots)
        else:
            for directory in (*directories, self._snapshots):
                with suppress(FileNotFoundError):  # another workspace was forgotten as a whole
                    sync_path(directory)
        self._synced = True

    def _empty_trash(self) -> None:
        with suppress(FileNotFoundError):
            for name in os.listdir(self._trash):
                shutil.rmtree(self._trash / name, ignore_errors=True)
                with suppress(OSError):  # what was put into tmp by hand
                    (self._trash / name).unlink()
                self._look_up()
