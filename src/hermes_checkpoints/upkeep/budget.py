"""Keeping a store within its budget while snapshots are taken.

Asked at every take, from counters; what is slow is done in the background.
"""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hermes_checkpoints.contract import Backend, CheckpointError, Growing, Place, Progress, StoreError, silent
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.scratch import NO_ROOM
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.results import Reclaimed
from hermes_checkpoints.upkeep import background
from hermes_checkpoints.upkeep.forgetting import retain
from hermes_checkpoints.upkeep.inventory import part_name, parts
from hermes_checkpoints.upkeep.ledger import FORGOTTEN, Count, Ledger
from hermes_checkpoints.upkeep.meter import Meter, OutOfRoom
from hermes_checkpoints.upkeep.room import Room, loud

# Shares of the budget. A background process starts at the first and comes down to LOW; a take that finds the second,
# because that process is switched off, was killed or is outrun, makes room itself before it stores anything.
START, STALL, LOW = 0.75, 0.85, 0.65
# Where a save stops; the rest is for what a reclaim writes before it deletes.
FULL = 0.93
# Of what is to stay free on the disk: where a take makes room itself, likewise.
_FREE_AT_LEAST = 0.5
# What a save that found no room is tried with, one after another: the share to come down to, and the one above which
# even the last snapshots of other workspaces go.
_STEPS = ((LOW, 1.0), (0.0, 1.0), (0.0, 0.6), (0.0, 0.3), (0.0, 0.0))
# Nothing is tried again before the store has grown by so much of its budget, or by a quarter of what was left of it:
# it may be that all of it must be kept.
_GROWN = 0.02
# What has to be taken and forgotten since the last reclaim to make another one worth it: 256 snapshots taken, of which
# the small packs are worth uniting, or 64 forgotten, of which the garbage is worth getting back.
_TURNOVER = 64 * FORGOTTEN

T = TypeVar("T")
log = logging.getLogger("hermes_checkpoints")


class Budget:
    """The budget of one store, and what keeps it."""

    def __init__(self, opener: Opener, wait: float) -> None:
        self.ledger = Ledger(opener.settings.store)
        self._room = Room(opener, self.ledger)
        self._opener = opener
        self._limits = opener.settings.limits
        self._wait = wait
        self.said: list[str] = []
        """For people to read: what was forgotten though nobody would expect it, and why there is no room."""

    def within(self, backend: Backend, save: Callable[[Growing], T]) -> T:
        """Have something saved without the store outgrowing its budget, and counted.

        ``save`` is called again when it was stopped for want of room and room
        was made; the last time without a limit, since a snapshot that alone
        exceeds the budget is better than none. It is called once more when the
        disk was full and room was made.
        """
        self._count_what_was_never_counted(backend)
        if self._is_spent():
            self._try_to_make_room(LOW, STALL)
        saved = self._saved(backend, save)
        self.look_after()
        return saved

    @contextmanager
    def regardless(self, backend: Backend) -> Iterator[Growing]:
        """Count something that must be saved whatever the budget says: a safety snapshot.

        Room is made afterwards, when what was restored is protected.
        """
        with Meter(self.ledger, part_name(backend), 0) as meter:
            yield meter
        if self._is_spent():
            self._try_to_make_room(LOW, STALL)
        self.look_after()

    def after_take(self, place: Place) -> None:
        """Forget what is beyond the limits of a workspace, whose lock is held. Failing to is no failure of the take."""
        try:
            retain(place, self._opener.holders(place), self._limits, self._opener, self.ledger)
        except CheckpointError as error:
            log.warning("nothing was forgotten of %s: %s", place.workspace, error)

    def make_room(
        self,
        share: float = LOW,
        last_resort: float = STALL,
        *,
        above: float = 0,
        wait: float | None = None,
        until: float = math.inf,
        progress: Progress = silent,
    ) -> Reclaimed:
        """Bring the store down to a share of its budget: garbage first, then what the policy says.

        What nobody would expect to go goes only above the share ``last_resort``.
        With ``above``, a larger share, only if the store still exceeds that
        without its garbage. Whoever finds another process at work waits for it
        (``wait`` seconds, by default as long as for any lock) and looks again.
        Raises ``StoreBusy``.
        """
        wait = self._wait if wait is None else wait
        above = max(share, above)
        pruned, reclaimed = self._room.make(share, last_resort, above=above, wait=wait, until=until, progress=progress)
        for sentence in loud(pruned.done):
            self._say(sentence)
        return reclaimed._replace(forgotten=sum(len(removal.snapshots) for removal in pruned.done))

    def _saved(self, backend: Backend, save: Callable[[Growing], T]) -> T:
        full_before = False
        limit = max(int(FULL * self._limits.max_total_size), 1) if self._limits.max_total_size else 0
        for share, last_resort in _STEPS:
            try:
                with Meter(self.ledger, part_name(backend), limit) as meter:
                    return save(meter)
            except OutOfRoom as error:
                if error.alone:
                    break
                self._try_to_make_room(share, last_resort)
            except StoreError as error:
                if full_before or not _is_disk_full(error):
                    raise
                full_before = True
                self._try_to_make_room(LOW, 1.0)
        with Meter(self.ledger, part_name(backend), 0) as meter:
            return save(meter)

    def _count_what_was_never_counted(self, backend: Backend) -> None:
        """A store from before there were counts, or whose counts were lost, is measured; slow, and once."""
        if self.ledger.count(part_name(backend)) is not None:
            return
        for name, part in {**parts(self._opener), part_name(backend): backend}.items():
            if self.ledger.count(name) is None:
                try:
                    size = part.usage().real
                except StoreError as error:
                    log.warning("%s is not counted: %s", name, error)
                    continue
                self.ledger.add(name, size)  # and not as measured: nobody has tried to make room in it

    def _is_spent(self) -> bool:
        return self._is_pressed(self.ledger.total(), STALL, _FREE_AT_LEAST)

    def _is_due(self) -> bool:
        count = self.ledger.total()
        return count.turnover >= _TURNOVER or self._is_pressed(count, START, 1.0)

    def _is_pressed(self, count: Count, share: float, free: float) -> bool:
        """Whether a share of the budget is used, or that of the disk not free, and trying to help it is worth it."""
        limit = self._limits.max_total_size
        full = limit and count.size > share * limit
        return bool(full or self._room.missing_on_disk(count.size, free)) and self._has_grown(count)

    def _has_grown(self, count: Count) -> bool:
        limit = self._limits.max_total_size or count.measured
        left = (limit - count.measured) / 4
        return count.size - count.measured >= (min(_GROWN * limit, left) if left > 0 else _GROWN * limit)

    def _try_to_make_room(self, share: float, last_resort: float) -> None:
        try:
            self.make_room(share, last_resort)
        except CheckpointError as error:  # busy or damaged; neither keeps anybody from taking a snapshot
            self._say(f"no room could be made in {self._opener.settings.store}: {error}")

    def look_after(self, *, asked: bool = False) -> None:
        """Start the process in the background if it is due, or asked for, and none is at work. No lock is held."""
        if not (asked or self._is_due()) or not background.is_allowed():
            return
        try:
            with locked(self._room.at_work, wait=0):
                pass
        except StoreError:
            return
        background.start(self._opener.settings.base, self._limits)

    def _say(self, sentence: str) -> None:
        log.warning("%s", sentence)
        self.said.append(sentence)


def _is_disk_full(error: BaseException) -> bool:
    """Whether that is what an error comes from."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            return True
        cause = cause.__cause__
    return False
