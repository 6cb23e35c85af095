"""Saving what can be saved of a damaged store."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Mending,
    Place,
    Progress,
    StoreBusy,
    silent,
)
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import records
from hermes_checkpoints.results import Failure
from hermes_checkpoints.upkeep import beside
from hermes_checkpoints.upkeep.findings import Repair, Repaired, Verified
from hermes_checkpoints.upkeep.forgetting import upkeep_lock, workspace_lock
from hermes_checkpoints.upkeep.integrity import held_in, is_ours, open_parts, verify
from hermes_checkpoints.upkeep.inventory import part_name
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.reclaiming import measure


def repair(
    opener: Opener,
    ledger: Ledger,
    wait: float,
    progress: Progress = silent,
    *,
    dry_run: bool = False,
    absent: bool = False,
) -> Repaired:
    """Repair the whole store; what is damaged still is said, as is what could not be done.

    Gives no space back: what was lost stays until the next reclaim, for whoever
    knows better. Whatever moment it is killed at, no more is lost, and it can be
    repeated. A ``dry_run`` writes nothing, not even a lock. With ``absent``,
    workspaces that are not there lose what nobody else has. Raises
    ``StoreBusy`` while somebody else is at work on the whole store.
    """
    if not opener.settings.store.is_dir():
        return Repaired(verify(opener, progress))
    opener.refuse_others()
    work = _Repairing(opener, wait, progress, dry_run=dry_run, absent=absent)
    with work.lock(upkeep_lock(opener.settings.store)):
        before = verify(opener, progress, dry_run=dry_run)
        if not (before.damaged or before.unseen):
            return Repaired(before)
        work.run(before)
        if dry_run or not (before.damaged or work.done):
            return Repaired(before, work.done, work.undone, work.absent)
        opener.close()  # what is looked at from here on is what is on the disk
        work.measure(ledger)
        return Repaired(before, work.done, work.undone, work.absent, verify(opener, progress))


class _Repairing:
    """One repair: first what is derived, then what somebody's own files still have, and at last what is lost."""

    def __init__(self, opener: Opener, wait: float, progress: Progress, *, dry_run: bool, absent: bool) -> None:
        self.done: list[Repair] = []
        self.undone: list[Failure] = []
        self.absent: list[Path] = []
        self._opener = opener
        self._store = opener.settings.store
        self._wait = wait
        self._progress = progress
        self._dry_run = dry_run
        self._give_up_absent = absent
        self._held_up = False

    def lock(self, path: Path) -> AbstractContextManager[int | None]:
        """Hold a lock of the store; not in a dry run, which is as true as ``verify``, and writes no more."""
        return nullcontext() if self._dry_run else locked(path, wait=self._wait)

    def run(self, found: Verified) -> None:
        self._rebuild({*(one.part for one in found.damaged), *(failure.path for failure in found.unseen)})
        if self.done and not self._dry_run:
            found = verify(self._opener, self._progress)  # only now can be seen what is lost in what was made anew
        self._make_anew()
        places = [Place(self._store, workspace) for workspace in self._cost(found)]
        self.absent = [place.workspace for place in places if not _has_files(place.workspace)]
        if not self._dry_run:  # without changes, the second round would only find the same again
            self._mend(places, give_up=False)
        if self._held_up:
            why = "a workspace that is busy, or cannot be read now, may still have it"
            self._tell(str(self._store), f"nothing was given up for lost: {why}")
        else:
            self._mend(places, give_up=True)

    def measure(self, ledger: Ledger) -> None:
        """Have what was stored again counted; what could be given back before still can."""
        for name, backend in open_parts(self._opener)[0].items():
            counted = ledger.count(name)
            with suppress(CheckpointError):  # damaged still, and counted by the next one
                measure(name, backend, ledger)
                ledger.add(name, 0, turnover=counted.turnover if counted is not None else 0)

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
                with self._told(str(workspace)), self.lock(workspace_lock(place)):
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
            with self._told(str(place.workspace)), self.lock(workspace_lock(place)):
                parts, closed = open_parts(self._opener, place)
                for name, error in closed:
                    self._tell(name, str(error))
                for backend in parts.values():
                    if not is_foreign(backend):
                        self._mend_one(place, backend, give_up=give_up)

    def _mend_one(self, place: Place, backend: Backend, *, give_up: bool) -> None:
        before = {snapshot.id: snapshot for snapshot in backend.snapshots()}
        spared = give_up and place.workspace in self.absent and not self._give_up_absent
        for mended in backend.mend(self._progress, give_up=give_up, dry_run=self._dry_run or spared):
            if spared and mended.what is not Mending.HEALED:
                why = "it is not there, or empty: mount it, or give up what it may still have with --absent"
                self._tell(str(place.workspace), why)
            elif self._dry_run or not spared:
                self.done.append(Repair(part_name(backend), mended, place.workspace, before.get(mended.snapshot)))

    @contextmanager
    def _told(self, subject: str) -> Iterator[None]:
        """Have what fails in one place told, and go on with the others."""
        try:
            yield
        except StoreBusy:
            self._held_up = True
            self._tell(subject, "somebody is at work in it")
        except CheckpointError as error:
            self._held_up |= is_ours(error)
            self._tell(subject, str(error))

    def _tell(self, subject: str, reason: str) -> None:
        failure = Failure(subject, reason)
        if failure not in self.undone:  # there are two rounds
            self.undone.append(failure)


def _has_files(workspace: Path) -> bool:
    """Whether a workspace is there with anything in it: an empty one may be where a volume is to be mounted."""
    try:
        with os.scandir(workspace) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
