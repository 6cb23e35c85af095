"""Keeping a store within its budget while snapshots are taken.

Asked at every take, from counters; what is slow is done in the background.
"""

import errno
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hermes_checkpoints.contract import Backend, CheckpointError, Growing, Place, Progress, StoreError, silent
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.budget import Removal, prune
from hermes_checkpoints.results import Pruned, Reclaimed
from hermes_checkpoints.upkeep import background
from hermes_checkpoints.upkeep.forgetting import carry_out, retain
from hermes_checkpoints.upkeep.inventory import Inventory, part_name, parts, take_inventory
from hermes_checkpoints.upkeep.ledger import Count, Ledger
from hermes_checkpoints.upkeep.meter import Meter, OutOfRoom
from hermes_checkpoints.upkeep.reclaiming import reclaim_all

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
# Snapshots forgotten since the last reclaim that make another one worth it.
_FORGOTTEN = 64

T = TypeVar("T")
log = logging.getLogger("hermes_checkpoints")


class Budget:
    """The budget of one store, and what keeps it."""

    def __init__(self, opener: Opener, wait: float) -> None:
        self.ledger = Ledger(opener.settings.store)
        self._opener = opener
        self._limits = opener.settings.limits
        self._wait = wait
        self.said: list[str] = []
        """What was forgotten though nobody would expect it, for people to read."""

    # At every take.

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
        tried = False
        for share, last_resort in _STEPS:
            try:
                with Meter(self.ledger, part_name(backend), int(FULL * self._limits.max_total_size)) as meter:
                    saved = save(meter)
                break
            except OutOfRoom as error:
                if error.alone:
                    saved = self._without_limit(backend, save)
                    break
                self._try_to_make_room(share, last_resort)
            except StoreError as error:
                if tried or not _is_disk_full(error):
                    raise
                tried = True
                self._try_to_make_room(LOW, 1.0)
        else:
            saved = self._without_limit(backend, save)
        self._look_after()
        return saved

    def counted(self, backend: Backend) -> Meter:
        """What counts a save that must succeed, whatever the budget: a safety snapshot."""
        return Meter(self.ledger, part_name(backend), 0)

    def _without_limit(self, backend: Backend, save: Callable[[Growing], T]) -> T:
        with self.counted(backend) as meter:
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
        limit, count = self._limits.max_total_size, self.ledger.total()
        pressed = (limit and count.size > STALL * limit) or self._missing_on_disk(count.size, _FREE_AT_LEAST)
        return bool(pressed and self._has_grown(count))

    def _try_to_make_room(self, share: float, last_resort: float) -> None:
        try:
            self.make_room(share, last_resort)
        except CheckpointError as error:  # busy or damaged; neither keeps anybody from taking a snapshot
            log.warning("no room could be made: %s", error)

    def after_take(self, place: Place) -> None:
        """Forget what is beyond the limits of a workspace, whose lock is held. Failing to is no failure of the take."""
        try:
            retain(place, self._opener.holders(place), self._limits, self._opener, self.ledger)
        except CheckpointError as error:
            log.warning("nothing was forgotten of %s: %s", place.workspace, error)

    def _look_after(self) -> None:
        """Start the process in the background if it is due and none is at work. No lock is held."""
        if not self._is_due() or not background.is_allowed():
            return
        try:
            with locked(self._at_work, wait=0):
                pass
        except StoreError:
            return
        background.start(self._opener.settings.base, self._limits)

    def _is_due(self) -> bool:
        limit, count = self._limits.max_total_size, self.ledger.total()
        pressed = (limit and count.size > START * limit) or self._missing_on_disk(count.size)
        return count.forgotten >= _FORGOTTEN or bool(pressed and self._has_grown(count))

    def _has_grown(self, count: Count) -> bool:
        limit = self._limits.max_total_size or count.measured
        left = (limit - count.measured) / 4
        return count.size - count.measured >= (min(_GROWN * limit, left) if left > 0 else _GROWN * limit)

    def _missing_on_disk(self, size: int, share: float = 1.0) -> int:
        """Bytes by which the disk is short of a share of what is to stay free; at most all that the store has."""
        try:
            disk = os.statvfs(self._opener.settings.store)
        except OSError:
            return 0
        missing = int(share * self._limits.min_free_disk * disk.f_blocks - disk.f_bavail) * disk.f_frsize
        return max(0, min(missing, size))

    # When there is something to do.

    @property
    def _at_work(self) -> Path:
        """The lock of whoever is bringing the store's size down."""
        return self._opener.settings.store / "locks" / "upkeep"

    def make_room(
        self,
        share: float = LOW,
        last_resort: float = STALL,
        *,
        above: float = 0,
        wait: float | None = None,
        until: float = math.inf,
        progress: Progress = silent,
    ) -> tuple[Pruned, Reclaimed]:
        """Bring the store down to a share of its budget: garbage first, then what the policy says.

        What nobody would expect to go goes only above the share ``last_resort``.
        With ``above``, a larger share, only if the store still exceeds that without its garbage.
        One process at a time. Whoever finds another one at work waits for it
        (``wait`` seconds, by default as long as for any lock) and looks again.
        Raises ``StoreBusy``.
        """
        with locked(self._at_work, wait=self._wait if wait is None else wait):
            inventory = take_inventory(self._opener, tuple(archives(self._opener.settings.base)))
            first = self._reclaimed(inventory, until, progress)
            allowed = self._allowed(share, first.after)
            # On a full disk a reclaim may get stuck where it would write; what is forgotten goes before that.
            stuck = bool(first.troubles and self._missing_on_disk(first.after))
            if first.after <= self._allowed(max(share, above), first.after) or not (first.complete or stuck):
                return Pruned(()), first
            # For a disk that others have filled, nobody loses the last snapshot.
            last_resort_at = (
                int(last_resort * self._limits.max_total_size) if self._limits.max_total_size else first.after
            )
            plan = prune(
                inventory.holdings,
                inventory.archives,
                inventory.shares(),
                size=first.after,
                allowed=allowed,
                limits=self._limits,
                now=time.time(),
                only_for_room=True,
                last_resort=max(last_resort_at, allowed),
            )
            pruned = carry_out(plan, self._opener, self.ledger, 0, progress)
            for removal in pruned.done:
                if removal.loud:
                    log.warning("%s", loud(removal))
                    self.said.append(loud(removal))
            last = self._reclaimed(inventory, until, progress)
            if last.complete and last.after > max(allowed, START * self._limits.max_total_size):
                last = self._reclaimed(inventory, until, progress, thorough=True)
            return pruned, replace(last, before=first.before)

    def _allowed(self, share: float, size: int) -> int:
        """Bytes that the store may have."""
        allowed = size - self._missing_on_disk(size)
        if self._limits.max_total_size:
            allowed = min(allowed, int(share * self._limits.max_total_size))
        return max(allowed, 1)

    def _reclaimed(
        self, inventory: Inventory, until: float, progress: Progress, *, thorough: bool = False
    ) -> Reclaimed:
        """A reclaim of everything, and the size of the whole store after it, archives included."""
        store = self._opener.settings.store
        done = reclaim_all(inventory, store, self.ledger, until, progress, thorough=thorough)
        for trouble in done.troubles:
            log.warning("not reclaimed: %s", trouble)
        return done


def _is_disk_full(error: BaseException) -> bool:
    """Whether that is what an error comes from."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        cause = cause.__cause__
    return False


def loud(removal: Removal) -> str:
    """What people are told of a removal that they would not expect."""
    ids = ", ".join(snapshot.short_id for snapshot in removal.snapshots)
    return f"{removal.workspace} lost {ids}: {removal.reason}. A larger max_total_size_mb in config.toml keeps more."
