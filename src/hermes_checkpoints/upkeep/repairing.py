"""Saving what can be saved of a damaged store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Place,
    Progress,
    StoreBusy,
    silent,
)
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import records
from hermes_checkpoints.results import Failure, Reclaimed
from hermes_checkpoints.underway import Journal
from hermes_checkpoints.upkeep import beside
from hermes_checkpoints.upkeep.findings import Repair, Repaired, Verified
from hermes_checkpoints.upkeep.forgetting import upkeep_lock, workspace_lock
from hermes_checkpoints.upkeep.integrity import held_in, open_parts, verify
from hermes_checkpoints.upkeep.inventory import part_name, take_inventory
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.reclaiming import reclaim_all


def repair(
    opener: Opener, ledger: Ledger, wait: float, progress: Progress = silent, *, dry_run: bool = False
) -> Repaired:
    """Repair the whole store; what is damaged still is said, as is what could not be done.

    Whatever moment it is killed at, no more is lost, and it can be repeated.
    Raises ``StoreBusy`` while somebody else is at work on the whole store.
    """
    if not opener.settings.store.is_dir():
        return Repaired(verify(opener, progress))
    opener.refuse_others()
    with locked(upkeep_lock(opener.settings.store), wait=wait):
        before = verify(opener, progress)
        if not before.damaged:
            return Repaired(before)
        work = _Repairing(opener, wait, progress, dry_run=dry_run)
        work.run(before)
        if dry_run:
            return Repaired(before, work.done, work.undone, work.absent)
        opener.close()  # what is looked at from here on is what is on the disk
        reclaimed = work.reclaim(ledger) if work.done else None
        return Repaired(before, work.done, work.undone, work.absent, verify(opener, progress), reclaimed)


class _Repairing:
    """One repair: first what is derived, then what somebody's own files still have, and at last what is lost."""

    def __init__(self, opener: Opener, wait: float, progress: Progress, *, dry_run: bool) -> None:
        self.done: list[Repair] = []
        self.undone: list[Failure] = []
        self.absent: list[Path] = []
        self._opener = opener
        self._store = opener.settings.store
        self._wait = wait
        self._progress = progress
        self._dry_run = dry_run
        self._busy = False

    def run(self, found: Verified) -> None:
        self._rebuild({one.part for one in found.damaged})
        if self.done and not self._dry_run:
            found = verify(self._opener, self._progress)  # only now can be seen what is lost in what was made anew
        self._make_anew()
        places = [Place(self._store, workspace) for workspace in self._cost(found)]
        self.absent = [place.workspace for place in places if not place.workspace.is_dir()]
        if not self._dry_run:  # without changes, the second round would only find the same again
            self._mend(places, give_up=False)
        if self._busy:
            self._tell(str(self._store), "nothing was given up for lost: a workspace that is busy may still have it")
        else:
            self._mend(places, give_up=True)

    def reclaim(self, ledger: Ledger) -> Reclaimed | None:
        """The space of what was replaced; ``None`` when something is damaged still so that nothing can be measured."""
        try:
            inventory = take_inventory(self._opener, tuple(archives(self._opener.settings.base)))
            return reclaim_all(inventory, self._store, ledger, progress=self._progress)
        except CheckpointError as error:
            self._tell(str(self._store), f"no space was given back: {error}")
            return None

    def _rebuild(self, damaged: set[str]) -> None:
        parts, _ = open_parts(self._opener)
        for name, backend in parts.items():
            if name not in damaged or is_foreign(backend):
                continue
            with self._told(name):
                for mended in backend.rebuild(self._progress, dry_run=self._dry_run):
                    self.done.append(Repair(name, mended))

    def _make_anew(self) -> None:
        with self._told(str(self._store)):
            self.done.extend(beside.make_way(self._store, dry_run=self._dry_run))
        for workspace, snapshots in held_in(open_parts(self._opener)[0]).items():
            place = Place(self._store, workspace)
            if beside.is_damaged(place, snapshots):
                with self._told(str(workspace)), locked(workspace_lock(place), wait=self._wait):
                    self.done.extend(beside.make_anew(place, snapshots, dry_run=self._dry_run))

    def _cost(self, found: Verified) -> list[Path]:
        """The workspaces that damage costs something; all of its part where nobody can tell which."""
        chosen: dict[Path, None] = {}
        parts, _ = open_parts(self._opener)
        for one in found.damaged:
            if one.snapshot is not None:
                chosen[one.snapshot.workspace] = None
            elif one.damage.snapshot:
                chosen |= dict.fromkeys(held_in({one.part: parts[one.part]} if one.part in parts else {}))
                chosen |= dict.fromkeys(record.workspace for record in records(self._store))
        return sorted(chosen)

    def _mend(self, places: list[Place], *, give_up: bool) -> None:
        for place in places:
            with self._told(str(place.workspace)), locked(workspace_lock(place), wait=self._wait):
                parts, closed = open_parts(self._opener, place)
                for name, error in closed:
                    self._tell(name, str(error))
                new_ids: dict[str, str] = {}
                for backend in parts.values():
                    if not is_foreign(backend):
                        new_ids |= self._mend_one(place, backend, give_up=give_up)
                if new_ids and not self._dry_run:
                    Journal(place).rename(new_ids)

    def _mend_one(self, place: Place, backend: Backend, *, give_up: bool) -> dict[str, str]:
        """What became of a workspace's snapshots: new ids by old ones."""
        before = {snapshot.id: snapshot for snapshot in backend.snapshots()}
        new_ids: dict[str, str] = {}
        for mended in backend.mend(self._progress, give_up=give_up, dry_run=self._dry_run):
            snapshot = before.get(mended.snapshot)
            self.done.append(Repair(part_name(backend), mended, place.workspace, snapshot))
            if mended.new_id:
                new_ids[mended.snapshot] = mended.new_id
        return new_ids

    @contextmanager
    def _told(self, subject: str) -> Iterator[None]:
        """Have what fails in one place told, and go on with the others."""
        try:
            yield
        except StoreBusy:
            self._busy = True
            self._tell(subject, "somebody is at work in it")
        except CheckpointError as error:
            self._tell(subject, str(error))

    def _tell(self, subject: str, reason: str) -> None:
        failure = Failure(subject, reason)
        if failure not in self.undone:  # there are two rounds
            self.undone.append(failure)
