"""Making room in a store: garbage first, then what the policy says; slow, and never by two at once."""

import logging
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.contract import Progress, silent
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.results import Pruned, Reclaimed
from hermes_checkpoints.upkeep.forgetting import carry_out, upkeep_lock
from hermes_checkpoints.upkeep.inventory import Inventory, take_inventory
from hermes_checkpoints.upkeep.ledger import Ledger

if TYPE_CHECKING:
    from hermes_checkpoints.policy.budget import Removal

log = logging.getLogger("hermes_checkpoints")


class Room:
    """The room that one store may take, on its disk and by its budget."""

    def __init__(self, opener: Opener, ledger: Ledger) -> None:
        self._opener = opener
        self._ledger = ledger
        self._limits = opener.settings.limits

    @property
    def at_work(self) -> Path:
        """The lock of whoever is making room."""
        return upkeep_lock(self._opener.settings.store)

    def missing_on_disk(self, size: int, share: float = 1.0) -> int:
        """Bytes by which the disk is short of a share of what is to stay free; at most all that the store has."""
        try:
            disk = os.statvfs(self._opener.settings.store)
        except OSError:
            return 0
        missing = int(share * self._limits.min_free_disk * disk.f_blocks - disk.f_bavail) * disk.f_frsize
        return max(0, min(missing, size))

    def make(
        self,
        share: float,
        last_resort: float,
        *,
        above: float,
        wait: float,
        until: float = math.inf,
        progress: Progress = silent,
    ) -> tuple[Pruned, Reclaimed]:
        """Come down to a share of the budget if the store without its garbage exceeds another one, ``above``.

        What nobody would expect to go goes only above the share ``last_resort``.
        Raises ``StoreBusy`` when another process is at it for ``wait`` seconds.
        """
        from hermes_checkpoints.policy.budget import prune

        with locked(self.at_work, wait=wait):
            inventory = take_inventory(self._opener, tuple(archives(self._opener.settings.base)))
            first = self._reclaimed(inventory, until, progress)
            # On a full disk a reclaim may get stuck where it would write; what is forgotten goes before that.
            stuck = bool(first.troubles and self.missing_on_disk(first.after))
            if first.after <= self._allowed(above, first.after) or not (first.complete or stuck):
                return Pruned(()), first
            allowed = self._allowed(share, first.after)
            # For a disk that others have filled, nobody loses the last snapshot.
            last_resort_at = int(last_resort * self._limits.max_total_size) if self._limited else first.after
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
            pruned = carry_out(plan, self._opener, self._ledger, 0, progress)
            last = self._reclaimed(inventory, until, progress)
            if last.complete and last.after > max(allowed, int(above * self._limits.max_total_size)):
                last = self._reclaimed(inventory, until, progress, thorough=True)
            return pruned, last._replace(before=first.before)

    @property
    def _limited(self) -> bool:
        return bool(self._limits.max_total_size)

    def _allowed(self, share: float, size: int) -> int:
        """Bytes that the store may have."""
        allowed = size - self.missing_on_disk(size)
        if self._limited:
            allowed = min(allowed, int(share * self._limits.max_total_size))
        return max(allowed, 1)

    def _reclaimed(
        self, inventory: Inventory, until: float, progress: Progress, *, thorough: bool = False
    ) -> Reclaimed:
        """A reclaim of everything, and the size of the whole store after it, archives included."""
        from hermes_checkpoints.upkeep.reclaiming import reclaim_all

        store = self._opener.settings.store
        done = reclaim_all(inventory, store, self._ledger, until, progress, thorough=thorough)
        for trouble in done.troubles:
            log.warning("not reclaimed: %s", trouble)
        return done


def loud(removals: "Iterable[Removal]") -> list[str]:
    """What people are told of removals that they would not expect."""
    return [
        f"{removal.workspace} lost {', '.join(snapshot.short_id for snapshot in removal.snapshots)}: {removal.reason}. "
        "A larger max_total_size_mb in config.toml keeps more."
        for removal in removals
        if removal.loud
    ]
