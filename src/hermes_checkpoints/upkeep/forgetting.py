"""Taking snapshots off the list, under the lock of their workspace."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Place,
    Progress,
    Snapshot,
    StoreBusy,
    StoreError,
    silent,
)
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.legacy import remove_archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.retention import Limits, protected, verdicts
from hermes_checkpoints.records import forget_record
from hermes_checkpoints.results import Failure, Forgotten, Pruned
from hermes_checkpoints.upkeep import journal
from hermes_checkpoints.upkeep.inventory import part_name, units_of
from hermes_checkpoints.upkeep.ledger import FORGOTTEN, Ledger
from hermes_checkpoints.upkeep.pins import Pins

if TYPE_CHECKING:
    from hermes_checkpoints.policy.budget import Pruning, Removal


def upkeep_lock(store: Path) -> Path:
    """The lock of whoever is at work on the size of a whole store."""
    return store / "locks" / "upkeep"


def workspace_lock(place: Place) -> Path:
    """The lock that whoever takes, restores or forgets in a workspace holds."""
    return place.store / "locks" / place.workspace_id


def forget(place: Place, snapshots: Sequence[Snapshot], opener: Opener, ledger: Ledger) -> None:
    """Forget snapshots of one workspace, whose lock is held. Raises ``StoreError``."""
    for name in {snapshot.backend for snapshot in snapshots}:
        backend = opener.open(name, place)
        ids = [snapshot.id for snapshot in snapshots if snapshot.backend == name]
        backend.forget(ids)
        ledger.add(part_name(backend), 0, turnover=FORGOTTEN * len(ids))


def retain(place: Place, backends: Iterable[Backend], limits: Limits, opener: Opener, ledger: Ledger) -> None:
    """Forget what is beyond the limits of a workspace, whose lock is held."""
    backends = list(backends)
    if sum(1 for backend in backends for _ in backend.snapshots()) <= limits.max_snapshots:
        return  # as it is at most takes
    units = units_of(backends)
    snapshots = [snapshot for unit in units for snapshot in unit]
    snapshots.sort(key=lambda snapshot: snapshot.created_ns, reverse=True)
    together = [frozenset(snapshot.id for snapshot in unit) for unit in units if len(unit) > 1]
    judged = verdicts(snapshots, limits, Pins(place).held(snapshots), together)
    beyond = [verdict.snapshot for verdict in judged if not verdict.keep]
    if beyond:
        forget(place, beyond, opener, ledger)


def carry_out(pruning: "Pruning", opener: Opener, ledger: Ledger, wait: float, progress: Progress = silent) -> Pruned:
    """Do what a plan says, and nothing else, but for what was pinned or restored since it was made."""
    done: list[Removal] = []
    failed: list[Failure] = []
    try:
        for number, removal in enumerate(pruning.removals):
            progress(number)
            try:
                if removal.archive is not None:
                    remove_archives(opener.settings.base, [removal.archive.path])
                else:
                    _forget_removal(removal, opener, ledger, wait)
            except StoreBusy:
                failed.append(Failure(os.fspath(removal.subject), "somebody is at work in it"))
            except (CheckpointError, OSError) as error:
                failed.append(Failure(os.fspath(removal.subject), str(error)))
            else:
                done.append(removal)
    finally:  # interrupted, too: people must find out where a snapshot went
        journal.note(opener.settings.store, map(_entry, done))
    return Pruned(tuple(done), tuple(failed))


def _forget_removal(removal: "Removal", opener: Opener, ledger: Ledger, wait: float) -> None:
    assert removal.workspace is not None
    place = Place(opener.settings.store, removal.workspace)
    with locked(workspace_lock(place), wait=wait):
        if Pins(place).held(removal.snapshots):
            raise StoreError("it was pinned meanwhile, or a restore with it interrupted")
        held = [one for backend in opener.holders(place) for one in backend.snapshots()]
        needed = protected(sorted(held, key=lambda one: one.created_ns, reverse=True))
        if removal.spares_undo and any(snapshot.id in needed for snapshot in removal.snapshots):
            raise StoreError("it was restored meanwhile")
        forget(place, removal.snapshots, opener, ledger)
        if {one.id for one in held} <= {one.id for one in removal.snapshots}:
            forget_record(place.store, place.workspace_id)


def _entry(removal: "Removal") -> Forgotten:
    ids = tuple(snapshot.id for snapshot in removal.snapshots)
    return Forgotten(time.time(), os.fspath(removal.subject), ids, removal.reason, removal.loud)
