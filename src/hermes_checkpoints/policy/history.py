"""Undo and redo, computed from the safety snapshots alone: no second record can disagree with them."""

from collections.abc import Iterable
from typing import NamedTuple

from hermes_checkpoints.contract import Snapshot

CONTINUE = "continue"
ABORT = "abort"


class _Stacks(NamedTuple):
    """Safety snapshots, the last one at the end."""

    done: tuple[Snapshot, ...] = ()
    """Of the restores that ``undo`` takes back."""
    undone: tuple[Snapshot, ...] = ()
    """Of the undos that ``redo`` takes back."""


def undoable(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The safety snapshot of the restore that ``undo`` takes back, or ``None``."""
    done = _stacks(snapshots).done
    return done[-1] if done else None


def redoable(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The safety snapshot of the undo that ``redo`` takes back, or ``None``."""
    undone = _stacks(snapshots).undone
    return undone[-1] if undone else None


def _stacks(snapshots: Iterable[Snapshot]) -> _Stacks:
    now = _Stacks()
    around: dict[str, tuple[_Stacks, _Stacks]] = {}
    """Of each restore, undo or redo: without it, and with it."""
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.created_ns):
        restoring = snapshot.note.restoring
        if restoring is None:
            continue
        if restoring.action in (CONTINUE, ABORT):
            # As if it had never been begun; or to be taken back as one with what it continues. What came in
            # between was refused, or killed before it changed anything.
            without, with_it = around.get(restoring.resumes, (now, now))
            now = without if restoring.action == ABORT else with_it
        else:
            around[snapshot.id] = now, _done(now, snapshot, restoring.action)
            now = around[snapshot.id][1]
    return now


def _done(now: _Stacks, snapshot: Snapshot, action: str) -> _Stacks:
    done, undone = now
    if action == "undo":
        return _Stacks(done[:-1], (*undone, snapshot))
    if action == "redo":
        return _Stacks((*done, snapshot), undone[:-1])
    return _Stacks((*done, snapshot))
