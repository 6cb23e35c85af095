"""What ``undo`` and ``redo`` go by: computed from the safety snapshots alone."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hermes_checkpoints.contract import Note, Restoring, Snapshot
from hermes_checkpoints.policy.history import redoable, undoable


class History:
    """Safety snapshots as the engine takes them; remembers the restore that each belongs to."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def add(self, action: str | None) -> Snapshot:
        restoring = Restoring("t", (), action) if action is not None else None
        number = len(self.snapshots) + 1
        made = Snapshot(f"s{number}", Path("/w"), "none", number, Note("", restoring=restoring), 0, 0, 0)
        self.snapshots.append(made)
        return made


def test_without_a_restore_there_is_nothing_to_take_back():
    history = History()
    history.add(None)
    assert undoable(history.snapshots) is None
    assert redoable(history.snapshots) is None


def test_undo_goes_back_restore_by_restore_and_redo_forward_again():
    history = History()
    first, second = history.add("restore"), history.add("restore")
    assert undoable(history.snapshots) == second
    undo_second = history.add("undo")
    assert (undoable(history.snapshots), redoable(history.snapshots)) == (first, undo_second)
    undo_first = history.add("undo")
    assert (undoable(history.snapshots), redoable(history.snapshots)) == (None, undo_first)
    redo_first = history.add("redo")
    assert (undoable(history.snapshots), redoable(history.snapshots)) == (redo_first, undo_second)


def test_a_new_restore_ends_what_could_be_redone_and_a_plain_snapshot_does_not():
    history = History()
    history.add("restore")
    undone = history.add("undo")
    history.add(None)
    assert redoable(history.snapshots) == undone
    history.add("restore")
    assert redoable(history.snapshots) is None


@given(st.lists(st.sampled_from(["restore", "undo", "redo", None]), max_size=30))
def test_any_history_answers_like_two_stacks_in_whatever_order_it_is_read(wishes):
    history = History()
    done: list[Snapshot] = []
    undone: list[Snapshot] = []
    for wish in wishes:
        if (wish == "undo" and not done) or (wish == "redo" and not undone):
            continue  # the engine refuses these
        made = history.add(wish)
        if wish == "restore":
            undone.clear()
        if wish in ("restore", "redo"):
            done.append(made)
        if wish == "undo":
            undone.append(made)
            done.pop()
        if wish == "redo":
            undone.pop()
    for order in (history.snapshots, list(reversed(history.snapshots))):
        assert undoable(order) == (done[-1] if done else None)
        assert redoable(order) == (undone[-1] if undone else None)
