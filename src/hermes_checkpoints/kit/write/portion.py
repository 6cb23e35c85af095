"""New contents that wait beside their places until one sync has put all of them on the medium.

A file that is renamed and not synced is empty after a power cut on XFS, and a
sync for each of many files takes a multiple of one for all.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hermes_checkpoints.contract import Stamp
from hermes_checkpoints.kit.write.ahead import Ahead
from hermes_checkpoints.kit.write.building import Built, remove
from hermes_checkpoints.kit.write.writing import TreeWriter

FILES = 1024
BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """New content beside its place."""

    path: str
    scratch: str
    stamp: Stamp
    expected: Stamp | None
    """Of what it replaces."""


class Portion:
    """What a writer made and has not put; what is still in it at the end is removed."""

    def __init__(self, writer: TreeWriter, root: Path) -> None:
        self._writer = writer
        self._ahead = Ahead(root)
        self._waiting: deque[Made | Built] = deque()
        self._size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, made: Made | Built) -> None:
        self._waiting.append(made)
        self._size += made.stamp.size
        if isinstance(made, Made):
            self.wrote(made.stamp.size)

    def wrote(self, size: int) -> None:
        """Told of bytes in what is being made for it."""
        if not self._writer.durable:
            self._ahead.wrote(size)

    @property
    def complete(self) -> bool:
        """Whether it is to be put now: there is nothing to wait for where the writer syncs each file by itself."""
        return self._writer.durable or len(self._waiting) >= FILES or self._size >= BYTES

    def sync(self) -> None:
        """Return when all of it is on the medium. Raises ``OSError``."""
        if self._waiting and not self._writer.durable:
            self._ahead.sync()

    def next(self) -> Made | Built:
        return self._waiting[0]

    def drop(self, *, put: bool) -> None:
        """Be done with the next one, and remove it unless it was put."""
        made = self._waiting[0]
        if not put and isinstance(made, Built):
            remove(self._writer, made.path, made.scratch)
        elif not put and isinstance(made, Made):
            self._writer.discard(made.path, made.scratch, made.stamp)
        self._waiting.popleft()
        self._size -= made.stamp.size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ahead.close()
        finally:
            while self._waiting:
                self.drop(put=False)
