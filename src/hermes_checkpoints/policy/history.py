"""Undo and redo, computed from the safety snapshots alone: no second record can disagree with them."""

from collections.abc import Iterable

from hermes_checkpoints.contract import Snapshot


def undoable(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The safety snapshot of the restore that ``undo`` takes back, or ``None``."""
    done, _ = _stacks(snapshots)
    return done[-1] if done else None


def redoable(snapshots: Iterable[Snapshot]) -> Snapshot | None:
    """The safety snapshot of the undo that ``redo`` takes back, or ``None``."""
    _, undone = _stacks(snapshots)
    return undone[-1] if undone else None


def _stacks(snapshots: Iterable[Snapshot]) -> tuple[list[Snapshot], list[Snapshot]]:
    done: list[Snapshot] = []
    undone: list[Snapshot] = []
    for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.created_ns):
        restoring = snapshot.note.restoring
        if restoring is None:
            continue
        if restoring.action == "undo":
            if done:
                done.pop()
            undone.append(snapshot)
        else:
            if restoring.action == "redo":
                if undone:
                    undone.pop()
            else:
                undone.clear()
            done.append(snapshot)
    return done, undone
