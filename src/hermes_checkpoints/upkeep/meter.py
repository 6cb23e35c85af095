"""Counting a save while it is under way, and stopping one that would outgrow the store's budget."""

from types import TracebackType
from typing import Self

from hermes_checkpoints.contract import CheckpointError, StoreError
from hermes_checkpoints.upkeep.ledger import Ledger

_STEP = 1 << 20  # bytes announced together; a turn of small files is one line


class OutOfRoom(StoreError):
    """What is being saved would take the store over its budget; nothing of it stays stored."""

    def __init__(self, message: str, *, alone: bool) -> None:
        super().__init__(message)
        self.alone = alone
        """Whether it alone exceeds the budget."""


class Meter:
    """The ``growing`` of one save: announces to the ledger what is about to be written.

    Announced first, so that any number of processes that save at once see each
    other, and together stay below ``limit`` bytes (0: none). A measurement meanwhile may
    make the count too high, and not too low. Leaving the block by a failure of
    ours takes back what was announced; after anything else, an interruption
    perhaps, it may be stored and stays counted.
    """

    def __init__(self, ledger: Ledger, part: str, limit: int) -> None:
        self._ledger = ledger
        self._part = part
        self._limit = limit
        self._step = min(_STEP, limit // 64) if limit else _STEP
        self._pending = 0
        self._announced = 0
        self._measurement = ledger.measurement(part)

    def __call__(self, size: int) -> None:
        """Raises ``OutOfRoom``."""
        self._pending += size
        if self._pending < self._step:
            return
        self._announce()
        if self._limit and self._ledger.total().size > self._limit:
            alone = self._announced > self._limit
            raise OutOfRoom("the store's budget is used up. Nothing was stored.", alone=alone)

    def _announce(self, turnover: int = 0) -> None:
        measurement = self._ledger.measurement(self._part)
        # It may not have found what was announced before it, since that is being written yet.
        lost = self._announced if measurement != self._measurement else 0
        if self._ledger.add(self._part, self._pending + lost, turnover):
            self._announced += self._pending
            self._pending = 0
            self._measurement = measurement

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._announce(turnover=1 if self._announced or self._pending else 0)
        elif issubclass(kind, CheckpointError) and self._ledger.measurement(self._part) == self._measurement:
            self._ledger.add(self._part, -self._announced)
