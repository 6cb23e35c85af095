"""What people ask for to keep a store small; each asks the pure policy first, and then does just that.

What a turn does not need is imported when it is asked for: every command makes one of these.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.contract import (
    CheckpointError,
    PathNotFound,
    Place,
    Progress,
    Snapshot,
    StoreError,
    StoreRefused,
    silent,
)
from hermes_checkpoints.crossing import only_our_errors
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.legacy import archives, remove_archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.results import Pruned, Purged, Reclaimed, Status
from hermes_checkpoints.upkeep.budget import LOW, STALL, START, Budget
from hermes_checkpoints.upkeep.forgetting import carry_out, forget, workspace_lock
from hermes_checkpoints.upkeep.inventory import Inventory, take_inventory, units_of
from hermes_checkpoints.upkeep.pins import Pins

if TYPE_CHECKING:
    from hermes_checkpoints.policy import budget as policy
    from hermes_checkpoints.upkeep.findings import Repaired, Verified

PathLike = str | os.PathLike[str]


@only_our_errors
class Upkeep:
    """The size of one store, and what is kept in it."""

    def __init__(self, opener: Opener, wait: float, progress: Progress = silent) -> None:
        self.budget = Budget(opener, wait)
        self._opener = opener
        self._wait = wait
        self._progress = progress

    @property
    def base(self) -> Path:
        """The directory that the store is in."""
        return self._opener.settings.base

    def refuse_others(self) -> None:
        """Raise ``StoreRefused`` where the store's directory is somebody else's."""
        self._opener.refuse_others()

    def status(self) -> Status:
        """What the store takes on disk, measured, and what each workspace and snapshot holds of that."""
        from hermes_checkpoints.upkeep.status import survey

        return survey(self._opener)

    def plan(
        self, *, retention_days: float | None = None, max_total_size: int | None = None, orphans: bool = True
    ) -> policy.Pruning:
        """What ``prune`` would forget now, each with its reason. Nothing is changed.

        ``retention_days`` and ``max_total_size`` (bytes, 0: no limit) replace
        the store's own; without ``orphans`` workspaces that are gone stay.
        """
        from hermes_checkpoints.policy import budget as policy

        limits = self._opener.settings.limits
        if retention_days is not None:
            limits = replace(limits, retention_days=retention_days)
        if max_total_size is not None:
            limits = replace(limits, max_total_size=max_total_size)
        inventory = self._inventory()
        shares = inventory.shares()
        size = sum(shares.values()) + inventory.kept_aside  # garbage is not held
        return policy.prune(
            inventory.holdings,
            inventory.archives,
            shares,
            size=size,
            allowed=limits.max_total_size,
            limits=limits,
            now=time.time(),
            orphans=orphans,
        )

    def prune(self, plan: policy.Pruning) -> tuple[Pruned, Reclaimed]:
        """Forget what the plan says, exactly that, and get its space back."""
        from hermes_checkpoints.upkeep.reclaiming import reclaim_all, space_beside

        self._opener.refuse_others()
        before = self._inventory().size
        pruned = carry_out(plan, self._opener, self.budget.ledger, self._wait, self._progress)
        store = self._opener.settings.store
        done = reclaim_all(self._inventory(), store, self.budget.ledger, progress=self._progress)
        return pruned, done._replace(before=before + space_beside(store))

    def maintain(self, seconds: float | None = None, *, background: bool = False) -> Reclaimed:
        """Get the space of what was forgotten back, and forget more where the store still exceeds its budget.

        That goes in the order of ``plan``. In the ``background`` it begins at
        75 % of the budget, to be there before anybody has to wait, and gives up
        at once when somebody else is at it. Stops after ``seconds``, if given.
        """
        if not self._opener.settings.store.is_dir():
            return Reclaimed(0, 0, complete=True)
        from hermes_checkpoints.upkeep import clearing

        until = math.inf if seconds is None else time.monotonic() + seconds
        troubles = []
        try:
            clearing.sweep(self._opener, self._progress)
        except StoreRefused:
            raise
        except StoreError as error:  # the rest can still be reclaimed
            troubles.append(str(error))
        share, above, wait = (LOW, START, 0.0) if background else (STALL, 1.0, self._wait)
        done = self.budget.make_room(share, above=above, wait=wait, until=until, progress=self._progress)
        return done._replace(complete=done.complete and not troubles, troubles=(*troubles, *done.troubles))

    def forget(self, snapshots: Sequence[Snapshot]) -> None:
        """Forget snapshots of one workspace at once; their space comes back in the background.

        Raises ``CheckpointError`` with nothing changed when one is pinned, is of
        another workspace, or is part of a history that can only be forgotten as a whole.
        """
        if not snapshots:
            return
        if len({snapshot.workspace for snapshot in snapshots}) > 1:
            raise CheckpointError("snapshots of several workspaces cannot be forgotten at once. Nothing was forgotten.")
        place = self._place(snapshots[0])
        with locked(workspace_lock(place), wait=self._wait):
            labels = Pins(place).labels(snapshots)
            going = {snapshot.id for snapshot in snapshots}
            for snapshot in snapshots:
                if snapshot.id in labels:
                    raise CheckpointError(f"{snapshot.short_id} is pinned. Nothing was forgotten; unpin it first.")
            for unit in units_of(self._opener.holders(place)):
                ids = {snapshot.id for snapshot in unit}
                if ids & going and not ids <= going:
                    raise CheckpointError(
                        f"{unit[0].short_id} and {len(ids) - 1} more were made by another program and can only be "
                        "forgotten all together. Nothing was forgotten; name all of them."
                    )
            forget(place, snapshots, self._opener, self.budget.ledger)
        self.budget.look_after(asked=True)

    def pin(self, snapshot: Snapshot, label: str = "") -> None:
        """Keep a snapshot until it is unpinned, under a label for people. Raises ``StoreError``."""
        place = self._place(snapshot)
        with locked(workspace_lock(place), wait=self._wait):  # not while somebody forgets it
            if all(held.id != snapshot.id for held in self._opener.open(snapshot.backend, place).snapshots()):
                raise StoreError(f"{snapshot.short_id} was forgotten meanwhile. Nothing was pinned.")
            Pins(place).pin(snapshot, label)

    def unpin(self, snapshot: Snapshot) -> bool:
        """Let a snapshot go with the others again; whether it was pinned. Raises ``StoreError``."""
        place = self._place(snapshot)
        return Pins(place).unpin(snapshot)

    def pins(self, workspace: PathLike) -> dict[str, str]:
        """The labels of a workspace's pinned snapshots, by id."""
        place = self._opener.place(workspace)
        return Pins(place).labels(one for backend in self._opener.holders(place) for one in backend.snapshots())

    def purge(self, workspace: PathLike, path: str) -> Purged:
        """Take a path, and all below it, out of every snapshot of a workspace, for good.

        The snapshots that held it get new ids. Raises ``PathNotFound`` when none does.
        """
        from hermes_checkpoints.upkeep import purging

        place = self._opener.place(workspace)
        if not self._opener.holding(place):  # before a lock makes a store of a directory that is none
            raise PathNotFound(f"{place.workspace} has no snapshots. Nothing was changed.")
        with locked(workspace_lock(place), wait=self._wait):
            return purging.purge(place, path, self._opener, self.budget.ledger, self._progress)

    def verify(self, workspace: PathLike | None = None, *, full: bool = True) -> Verified:
        """Look for damage in the whole store, or in what one workspace's snapshots may lean on. Changes none of it.

        ``full`` reads every byte; without it, contents only have to be there
        with their size. What of the store cannot be looked at is in the answer.
        """
        from hermes_checkpoints.upkeep.integrity import verify

        return verify(
            self._opener, self._progress, self._opener.place(workspace) if workspace is not None else None, full=full
        )

    def repair(self, *, dry_run: bool = False, absent: bool = False) -> Repaired:
        """Save what can be saved of a damaged store, and say what is lost.

        What is derived is made anew, and what a workspace's own files still have
        is stored again. Snapshots that cannot be whole any more are replaced by
        ones that say what they lack; what cannot be read at all is put aside,
        and nothing that might be of use is removed. Nor is anything given up of
        a workspace that is not there, unless ``absent``: its files may have it.
        A dry run changes nothing. Raises ``StoreBusy``.
        """
        from hermes_checkpoints.upkeep.repairing import repair

        return repair(self._opener, self.budget.ledger, self._wait, self._progress, dry_run=dry_run, absent=absent)

    def clear(self) -> int:
        """Remove every snapshot of every workspace and all archives; bytes that came back, nearly."""
        from hermes_checkpoints.upkeep import clearing

        before = self.budget.ledger.total().size  # counted: what is damaged cannot be measured, and goes as well
        clearing.clear(self._opener, self.budget.ledger, self._wait, self._progress)
        self.clear_legacy()
        return before

    def clear_legacy(self) -> Sequence[policy.Archive]:
        """Remove the archives of old checkpoints; what they were."""
        found = [*archives(self._opener.settings.base)]
        remove_archives(self._opener.settings.base, [archive.path for archive in found])
        return found

    def _place(self, snapshot: Snapshot) -> Place:
        """Where a snapshot was taken; not resolved: by now that may be a symlink to another workspace."""
        return Place(self._opener.settings.store, snapshot.workspace)

    def _inventory(self) -> Inventory:
        return take_inventory(self._opener, tuple(archives(self._opener.settings.base)))
