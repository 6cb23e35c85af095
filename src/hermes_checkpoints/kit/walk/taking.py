"""Taking what one name holds: a link's text, a file's content, or the reason why not."""

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hermes_checkpoints.contract import Entry, Kind, Progress, Reason, Scope, WorkspaceError, same
from hermes_checkpoints.kit.store.batch import Batch, LeaveOut
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.attributes import read_xattrs
from hermes_checkpoints.kit.walk.glance import FileItem
from hermes_checkpoints.kit.walk.memory import Learned
from hermes_checkpoints.kit.walk.reading import Changed, opened
from hermes_checkpoints.kit.walk.seen import Seen, item_of

# A file that is still moving after so many looks is left out as unstable.
TRIES = 3
# Files between two reports of progress.
_REPORT_EVERY = 256
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# Out of descriptors or memory is not a property of one file.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(slots=True)
class Tally:
    """What a walk counts."""

    changed: int = 0
    """Paths that differ from before in a way that a restore would undo."""
    opened: int = 0
    """Files opened to be read."""
    directories: int = 0
    """Directories that are not in every way as they were seen before."""

    def compare(self, before: Entry | None, after: Entry | None) -> None:
        if not same(before, after):
            self.changed += 1


class Taker:
    """Hands the contents of files to a batch, each checked to have stood still meanwhile."""

    def __init__(self, batch: Batch, scope: Scope, learned: Mapping[str, Learned], progress: Progress) -> None:
        self._batch = batch
        self._limit = 0 if batch.takes_any_size else scope.max_file_size
        self._anyway = scope.anyway
        self.racy_from = 0
        """Of the directory that is being looked at."""
        self._learned = learned
        self._progress = progress
        self.needs_paths = bool(learned or scope.anyway)
        self._pending: list[tuple[Seen, FileItem, Entry | None]] = []
        self.tally = Tally()

    def take(self, fd: int, prefix: str, item: FileItem, seen: Seen, before: Entry | None) -> FileItem | None:
        """Note in ``seen`` what a listed name holds; the item as it was then, or ``None`` when it is gone.

        ``before`` is what the newest snapshot has there. A file's key is known
        after ``settle``.
        """
        name, mode = item[0], item[1]
        reason: Reason | None = None
        learned = self._learned.get(prefix + name) if self._learned else None
        if learned is not None and self._too_large(prefix + name, item):
            learned = None  # a restore wrote it, which was free to
        try:
            if learned is not None and learned[0] == item[1:] and not self._racy(item):
                _, seen.keys[name], xattrs = learned
                if xattrs:
                    seen.xattrs_of[name] = xattrs
            elif stat.S_ISLNK(mode):
                seen.keys[name] = _text_of_link(fd, name)
            elif mode == 0:
                reason = Reason.UNREADABLE
            elif stat.S_ISDIR(mode):
                reason = Reason.UNSTABLE  # it was a link when the directory was listed
            elif not stat.S_ISREG(mode):
                reason = Reason.SPECIAL
            else:
                self._batch.any_size = bool(self._anyway) and prefix + name in self._anyway
                return self._content(fd, name, item[2], seen, before)
        except FileNotFoundError:
            return None
        except Changed:
            reason = Reason.UNSTABLE
        except LeaveOut as left_out:
            reason = left_out.reason
        except OSError as error:
            if error.errno in OURS:
                raise WorkspaceError(f"cannot go on at {name!r}: {error.strerror}. Nothing was stored.") from error
            reason = Reason.UNSTABLE if error.errno in GONE else Reason.UNREADABLE
        if reason is not None:
            seen.out[name] = reason.value
        if reason in (Reason.UNSTABLE, Reason.UNREADABLE):
            seen.racy.add(name)
        self.mark_racy(seen, item)
        self.tally.compare(before, seen.entry_of(item))
        return item

    def take_new(self, fd: int, name: str, seen: Seen) -> FileItem | None:
        """The same for what nobody has seen before, and is a file as the directory says; not where paths are needed.

        ``None``, with nothing noted, when it cannot be had: look what it is, and ``take`` that.
        """
        self._batch.any_size = False
        try:
            return self._content(fd, name, 0, seen, None)
        except (OSError, Changed, LeaveOut):
            return None

    def _too_large(self, path: str, item: FileItem) -> bool:
        return bool(self._limit) and item[2] > self._limit and path not in self._anyway

    def _racy(self, item: FileItem) -> bool:
        return clock.is_racy(item[3], item[4], self.racy_from)

    def mark_racy(self, seen: Seen, item: FileItem) -> None:
        """Have a name looked at again next time when its times are too young to prove anything."""
        if self._racy(item):
            seen.racy.add(item[0])

    def _content(self, fd: int, name: str, size: int, seen: Seen, before: Entry | None) -> FileItem:
        """Hand a file's content to the batch; the file as it was then. ``size`` is what it was, 0 if nobody looked."""
        limit = 0 if self._batch.any_size else self._limit
        if limit and size > limit:
            raise LeaveOut(Reason.TOO_LARGE)
        self.tally.opened += 1
        if self.tally.opened % _REPORT_EVERY == 0:
            self._progress(self.tally.opened)
        for _ in range(TRIES):
            source, status = opened(fd, name)  # no context manager: this is the loop that a first snapshot spends
            try:  # its time in, at some 25 us a file
                item = item_of(name, status)
                if limit and item[2] > limit:
                    raise LeaveOut(Reason.TOO_LARGE)
                racy = self._racy(item)
                if racy:  # a second write within the tick would leave the stamps as they are
                    clock.let_a_tick_pass(item[4])
                let_a_write_end(source)
                xattrs = read_xattrs(source)
                try:
                    self._batch.add(source, item[2], before)
                except Changed:
                    continue
                try:
                    stood_still = item_of(name, os.fstat(source)) == item
                except OSError:
                    self._batch.drop()
                    raise
                if not stood_still:
                    self._batch.drop()
                    continue
            finally:
                os.close(source)
            if xattrs:
                seen.xattrs_of[name] = xattrs
            if racy:
                seen.racy.add(name)
            self._pending.append((seen, item, before))
            return item
        raise Changed(name)

    def gone(self, directory: Seen, names: Iterable[str]) -> None:
        """Tell the batch of contents that the workspace has no more: files, and all that directories held."""
        todo = [(directory, names)]  # trees may be deeper than Python's stack
        while todo:
            directory, names = todo.pop()
            for name in names:
                item = directory.item(name)
                if item is not None and stat.S_ISREG(item[1]) and name in directory.keys:
                    self._batch.replaced(directory.entry_of(item))
                if name in directory.dirs:
                    below = directory.dirs[name]
                    todo.append((below, (*below.keys, *below.dirs)))

    def settle(self) -> None:
        """Fill in the content keys of everything taken, and count what differs from before."""
        for (seen, item, before), key in zip(self._pending, self._batch.keys(), strict=True):
            seen.keys[item[0]] = key
            if before is not None and before.kind is Kind.FILE and before.key != key:
                self._batch.replaced(before)
            if before is None:
                self.tally.changed += 1
            else:
                self.tally.compare(before, seen.entry_of(item))


def let_a_write_end(fd: int) -> None:
    """Wait for the ``write`` that is under way on an open file, if one is; then read from the beginning.

    A write stamps a file before it copies anything into it: what is read
    meanwhile is half old, under the stamps that it will have for good, and no
    walk would ever look at it again. Called after those stamps were looked at.
    """
    # SEEK_DATA takes the lock that a writer holds, and costs 1 us. Of 9,000 reads of 1 MB files that were written in
    # one piece, 270 on ext4 and 1,500 on Btrfs were such halves; with it none. XFS's reads wait by themselves.
    try:
        if os.lseek(fd, 0, os.SEEK_DATA):
            os.lseek(fd, 0, os.SEEK_SET)
    except OSError:  # ENXIO: it is empty, or all holes; the offset is as it was
        return


def _text_of_link(fd: int, name: str) -> bytes:
    """Where a symlink points; ``Changed`` when the name is (now) anything else."""
    try:
        return os.fsencode(os.readlink(name, dir_fd=fd))
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise Changed(name) from error
        raise
