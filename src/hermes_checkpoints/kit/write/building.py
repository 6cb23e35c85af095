"""A directory that is not there yet, made beside its place with all that is to be in it.

Nobody can have anything in it, so nothing in it is looked at, exchanged or synced by itself: after one sync for all
of it, one rename makes it visible.
"""

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hermes_checkpoints.contract import CheckpointError, Entry, Kind, NewFile, Stamp, split_path
from hermes_checkpoints.kit.walk.attributes import write_xattrs
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.write.replacing import CHANGED, Moved, alike
from hermes_checkpoints.kit.write.swapping import renames
from hermes_checkpoints.kit.write.sweeping import remove_tree
from hermes_checkpoints.kit.write.writing import TreeWriter

Fill = Callable[[Iterable[NewFile]], Iterator[int]]
"""``Backend.materialise_all``."""


@dataclass(frozen=True, slots=True)
class Built:
    """A directory that waits beside its place."""

    scratch: str
    stamp: Stamp
    entries: Sequence[tuple[str, Entry]]
    """Its own, and those of all that is in it."""
    stamps: dict[str, Stamp]
    """Of its files and links, by their paths."""
    times: bool
    """Whether directories get the times of their entries."""

    @property
    def path(self) -> str:
        """The place that it waits for."""
        return self.entries[0][0]


def build(
    writer: TreeWriter,
    entries: Sequence[tuple[str, Entry]],
    fill: Fill,
    *,
    times: bool,
    wrote: Callable[[int], None],
) -> Built:
    """Make the first entry's directory beside its place, and in it the others.

    Paths are those that they will have, a directory before what is in it.
    ``wrote`` is told of the bytes of each file.
    Raises ``OSError`` or ``CheckpointError``; what then cannot be removed is in ``writer.left``.
    """
    path = entries[0][0]
    descent, scratch = writer.descent_to(path), writer.scratch_directory()
    try:
        os.mkdir(scratch, 0o700, dir_fd=descent.fd)
        building = _Building(descent, scratch, entries, times=times)
        for fd in fill(building.files()):
            try:
                wrote(building.finish(fd))
            finally:
                os.close(fd)
        stamp = building.close()
    except BaseException:
        remove(writer, path, scratch)
        raise
    return Built(scratch, stamp, entries, building.stamps, times)


def put(writer: TreeWriter, built: Built) -> None:
    """Give it its name; mode and time it gets when the writer is closed. Raises ``Moved`` when the name is taken."""
    fd, name = writer.parent(built.path)
    if not alike(Stamp.of(os.stat(built.scratch, dir_fd=fd, follow_symlinks=False)), built.stamp):
        raise Moved(CHANGED)
    try:
        renames().rename_new(fd, built.scratch, name)
    except FileExistsError as error:
        raise Moved(CHANGED) from error
    entry = built.entries[0][1]
    writer.set_last(built.path, entry.mode, entry.mtime_ns if built.times else None)


def remove(writer: TreeWriter, path: str, scratch: str) -> bool:
    """Remove what was built beside a path; whether nothing of it is left. Else the writer remembers it."""
    try:
        remove_tree(writer.descent_to(path), scratch)
    except FileNotFoundError:
        pass
    except (OSError, CheckpointError):
        writer.left[scratch] = path
        return False
    writer.left.pop(scratch, None)
    return True


def dressed(fd: int, entry: Entry, *, times: bool) -> os.stat_result:
    """Give what was made its attributes; what it then is."""
    status = os.fstat(fd)
    if entry.xattrs or sys.platform != "linux":  # a clone on macOS has those of its source
        write_xattrs(fd, entry.xattrs)
    elif stat.S_IMODE(status.st_mode) == entry.mode and not times:
        return status
    os.fchmod(fd, entry.mode)
    if times:
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
    return os.fstat(fd)


class _Building:
    def __init__(self, descent: Descent, scratch: str, entries: Sequence[tuple[str, Entry]], *, times: bool) -> None:
        self._descent = descent
        self._top = (*descent.names, scratch)
        self._depth = len(self._top)
        self._entries = entries
        self._times = times
        self._waiting: deque[tuple[str, Entry]] = deque()
        self.stamps: dict[str, Stamp] = {}

    def files(self) -> Iterator[NewFile]:
        """The files to be made; whatever else there is, is made on the way."""
        here = ""
        fd = -1
        for path, entry in self._entries[1:]:
            above, _, name = path.rpartition("/")
            if above != here:
                fd, here = self._reach(above), above
            if entry.kind is Kind.FILE:
                self._waiting.append((path, entry))
                yield NewFile(entry, fd, name)
            elif entry.kind is Kind.DIR:
                os.mkdir(name, 0o700, dir_fd=fd)
            else:
                os.symlink(os.fsdecode(entry.target), name, dir_fd=fd)
                self.stamps[path] = Stamp.of(os.stat(name, dir_fd=fd, follow_symlinks=False))

    def _reach(self, path: str) -> int:
        self._descent.go((*self._top, *split_path(path)[self._depth :]))
        return self._descent.fd

    def finish(self, fd: int) -> int:
        """Give the next file that was made its attributes; its size."""
        path, entry = self._waiting.popleft()
        self.stamps[path] = stamp = Stamp.of(dressed(fd, entry, times=self._times))
        return stamp.size

    def close(self) -> Stamp:
        """Give the directories their attributes, the deepest first; the topmost one has its mode later."""
        for path, entry in reversed(self._entries[1:]):
            if entry.kind is Kind.DIR:
                dressed(self._reach(path), entry, times=self._times)
        top, entry = self._entries[0]
        write_xattrs(self._reach(top), entry.xattrs)
        return Stamp.of(os.fstat(self._descent.fd))
