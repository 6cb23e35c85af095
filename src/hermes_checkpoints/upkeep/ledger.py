"""What a store takes on disk, counted as it grows, so that no take has to walk it.

One small file for each part of the store (a backend's home): what was measured
last, and then what each take added. A take that is killed leaves what it
announced, so the count may be too high, and hardly ever too low; each
reclaim measures anew. A lost file only means that the next reclaim measures.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish

_COMPACTED_AT = 2048  # bytes of a file: some two hundred turns, read in 0.3 ms
FORGOTTEN = 4
"""What a forgotten snapshot weighs against one that was taken: it leaves garbage, the other one only a small pack."""


@dataclass(frozen=True, slots=True)
class Count:
    """One part, or several."""

    size: int = 0
    """Bytes on disk."""
    measured: int = 0
    """Of those, what the last measurement found."""
    turnover: int = 0
    """What was taken and forgotten since: one for each snapshot taken, ``FORGOTTEN`` for each forgotten."""
    measurement: str = field(default="", compare=False)
    """Of one part: differs from one measurement to the next."""

    def __add__(self, other: "Count") -> "Count":
        return Count(self.size + other.size, self.measured + other.measured, self.turnover + other.turnover)


class Ledger:
    """The counts of one store. ``part`` is a name without slashes."""

    def __init__(self, store: Path) -> None:
        self._directory = store / "used"
        self._lock = store / "locks" / "used"
        self._read: dict[str, tuple[tuple[int, int, int], Count]] = {}
        """What was last read of each part, and the file that it was read from."""

    def total(self) -> Count:
        """All parts together."""
        try:
            names = [name for name in os.listdir(self._directory) if not name.endswith(".new")]
        except OSError:
            return Count()
        return sum((self.count(name) or Count() for name in names), Count())

    def count(self, part: str) -> Count | None:
        """One part; ``None`` when it was never counted."""
        path = self._directory / part
        try:
            status = path.lstat()
            identity = (status.st_ino, status.st_mtime_ns, status.st_size)
            if part not in self._read or self._read[part][0] != identity:
                self._read[part] = (identity, _parse(read_plain(path)))
        except OSError:
            return None
        return self._read[part][1]

    def measurement(self, part: str) -> str:
        """A name for the last measurement of a part; empty before the first."""
        count = self.count(part)
        return count.measurement if count is not None else ""

    def add(self, part: str, size: int, turnover: int = 0) -> bool:
        """Note that a part has grown (or shrunk), and what was taken or forgotten in it.

        Failing to is no failure of what was done: the next reclaim measures.
        Whether it was noted.
        """
        if not size and not turnover:
            return True
        with suppress(OSError, StoreError), self._alone():
            # A blank first: half a line that a kill has left does not run into this one.
            line = b"\n%+d %d\n" % (size, turnover)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(self._directory / part, flags, 0o600)
            try:
                os.write(fd, line)
                length = os.fstat(fd).st_size
            finally:
                os.close(fd)
            if length > _COMPACTED_AT and (count := self.count(part)) is not None:
                self._write(part, count)
            return True
        return False

    def measured(self, part: str, before: Count | None, size: int) -> None:
        """Put what was measured in the place of what was counted up to ``before``, and keep what came since."""
        before = before or Count()
        with suppress(OSError, StoreError), self._alone():
            now = self.count(part) or before
            since = max(now.size - before.size, 0)  # a second measurement meanwhile: nothing is counted twice for long
            turnover = max(now.turnover - before.turnover, 0)
            self._write(part, Count(size + since, size, turnover, os.urandom(4).hex()))

    def keep(self, parts: Collection[str]) -> None:
        """Drop the counts of all other parts: of backends that are gone, and homes that are elsewhere now."""
        with suppress(OSError, StoreError), self._alone():
            for name in os.listdir(self._directory):
                if name not in parts:
                    (self._directory / name).unlink(missing_ok=True)

    def _write(self, part: str, count: Count) -> None:
        name = count.measurement.encode()
        line = b"=%d %d %s\n%+d 0\n" % (count.measured, count.turnover, name, count.size - count.measured)
        publish(self._directory / part, line, scratch=self._directory, durable=False)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        private_directory(self._directory)
        with locked(self._lock):
            yield


def _parse(data: bytes) -> Count:
    size = measured = turnover = 0
    measurement = ""
    for line in data.split(b"\n"):
        figures = line.split()
        with suppress(ValueError, IndexError):  # half a line
            if line.startswith(b"="):
                size = measured = int(figures[0][1:])
                turnover = int(figures[1])
                measurement = figures[2].decode("ascii", "replace")
            else:
                turnover += int(figures[1])
                size += int(figures[0])
    return Count(max(size, 0), measured, turnover, measurement)
