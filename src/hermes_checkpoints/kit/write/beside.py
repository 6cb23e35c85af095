"""New files of a directory that is there, made beside their places, many at once."""

import os
import stat
from collections import deque
from collections.abc import Iterator, Sequence

from hermes_checkpoints.contract import Entry, NewFile, Stamp
from hermes_checkpoints.kit.write.building import Fill, dressed
from hermes_checkpoints.kit.write.portion import Made
from hermes_checkpoints.kit.write.replacing import NOT_OURS, Moved
from hermes_checkpoints.kit.write.writing import TreeWriter


def made_beside(writer: TreeWriter, entries: Sequence[tuple[str, Entry]], fill: Fill, *, times: bool) -> Iterator[Made]:
    """Make files of one directory, each beside its path; who is given one is to put it or to discard it.

    Nothing else is asked of the writer meanwhile. Raises ``OSError``,
    ``CheckpointError`` or ``Moved`` with nothing left of those that were not given.
    """
    fd, _ = writer.parent(entries[0][0])
    status = os.fstat(fd)
    owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else None
    waiting: deque[tuple[str, Entry, str]] = deque()

    def files() -> Iterator[NewFile]:
        for path, entry in entries:
            scratch = writer.scratch()
            waiting.append((path, entry, scratch))
            yield NewFile(entry, fd, scratch)

    try:
        for file in fill(files()):
            path, entry, scratch = waiting[0]
            try:
                _claim(file, owner)
                stamp = Stamp.of(dressed(file, entry, times=times))
            finally:
                os.close(file)
            waiting.popleft()
            yield Made(path, scratch, stamp, None)
    except FileExistsError:
        waiting.pop()  # it is somebody else's
        raise
    finally:
        for path, _, scratch in waiting:
            writer.discard(path, scratch)


def _claim(file: int, owner: tuple[int, int] | None) -> None:
    """Give a new file its owner, which is that of its directory; ``Moved`` when somebody put another one there."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise Moved(NOT_OURS)  # or another file would get the attributes
    if owner is not None and owner != (status.st_uid, status.st_gid):
        os.fchown(file, *owner)
