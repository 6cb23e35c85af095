"""What is timed: each scenario puts a lane into a known state, untimed, and then does one thing in it."""

from collections.abc import Callable
from dataclasses import dataclass

from hermes_checkpoints.bench.lane import Lane, remove
from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.results import Restored, Taken, Unchanged
from hermes_checkpoints.wording import counted

Step = Callable[[Lane], object]
_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that is timed. ``act`` raises ``CheckpointError`` when it did not come to what it should have."""

    name: str
    """For programs; never changes."""
    what: str
    """For eyes."""
    prepare: Step
    """Before each ``act``, untimed."""
    act: Step
    slow: bool = False
    """Costs what the tree is large, not what changed: a few rounds are enough."""

    def told(self, edited: int) -> str:
        """``what``, for a tree of which so many files could be edited."""
        return self.what.replace("a hundred files", counted(edited, "file")) if edited < _HUNDRED else self.what


def _changed(count: int) -> Step:
    def prepare(lane: Lane) -> None:
        lane.settle()
        lane.edit(count)

    return prepare


def _snapshot(lane: Lane) -> None:
    outcome = lane.engine.snapshot(lane.tree)
    if not isinstance(outcome, Taken):
        raise CheckpointError(f"an edit was not noticed: {outcome}")


def _unchanged(lane: Lane) -> None:
    outcome = lane.engine.snapshot(lane.tree)
    if not isinstance(outcome, Unchanged):
        raise CheckpointError(f"a change was noticed where there was none: {outcome}")


def _diff(lane: Lane) -> None:
    if [piece.path for piece in lane.engine.diff(lane.tree)] != [*lane.held.edited[:1]]:
        raise CheckpointError("a diff did not name the one file that was edited")


def _list(lane: Lane) -> None:
    if not lane.engine.list(lane.tree):
        raise CheckpointError("the snapshots that were taken are not listed")


def _restore_one(lane: Lane) -> None:
    path = lane.held.edited[0]
    _check(lane.engine.restore(lane.tree, "1", [path]), written=1)


def _tree_gone(lane: Lane) -> None:
    lane.settle()
    remove(lane.tree)


def _restore_all(lane: Lane) -> None:
    _check(lane.engine.restore(lane.tree, "1"), written=lane.held.files)


def _check(done: Restored, written: int) -> None:
    if done.failed or done.kept or done.stopped or len(done.written) < written:
        raise CheckpointError(f"a restore wrote {len(done.written)} of {written} files, {len(done.failed)} failed")


def _big_edited(lane: Lane) -> None:
    lane.add_big()
    lane.settle()
    lane.edit_big()


FIRST, BIG_EDIT = "first", "big-edit"

SCENARIOS = (
    Scenario(FIRST, "first snapshot", Lane.begin_anew, _snapshot, slow=True),
    Scenario("unchanged", "nothing changed", Lane.settle, _unchanged),
    Scenario("one-file", "one file changed", _changed(1), _snapshot),
    Scenario("hundred-files", "a hundred files changed", _changed(_HUNDRED), _snapshot),
    Scenario("diff", "diff of one file", _changed(1), _diff),
    Scenario("list", "list", Lane.settle, _list),
    Scenario("restore-one", "restore of one file", _changed(1), _restore_one),
    Scenario("restore-all", "restore of everything, removed", _tree_gone, _restore_all, slow=True),
    Scenario(BIG_EDIT, "a big binary, 4 kB edited", _big_edited, _snapshot, slow=True),
)
"""In the order in which they are measured; the last one leaves its file in the tree."""
