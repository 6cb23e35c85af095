"""What is interrupted: a state to begin with, one operation, and what it must have done if it says so.

What an operation raises is a defect, but for ``CheckpointError``.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from field import Field, Picture
from hermes_checkpoints import hermes
from hermes_checkpoints.contract import CheckpointError, Reason, SnapshotNotFound
from hermes_checkpoints.hermes import CheckpointManager
from hermes_checkpoints.results import Failure, Restored, Taken
from hermes_checkpoints.testing.trees import populate
from hermes_checkpoints.testing.witness import picture
from trees import put

LARGE = 70_000  # bytes: more than what is packed with others (cow)


class Answer(NamedTuple):
    """What an operation says of itself."""

    done: bool
    message: str = ""
    """Of the failure."""
    told: tuple[str, ...] | None = None
    """Of a restore that was begun: the paths that it says are not as the snapshot has them."""


def _done(field: Field) -> None:
    """Nothing more than holds for every operation."""


def _nothing(field: Field, picture: Picture) -> list[Picture]:
    return []


@dataclass(frozen=True, slots=True)
class Scenario:
    """An operation to be disturbed."""

    name: str
    prepare: Callable[[Field], None]
    act: Callable[[Field], Answer]
    done: Callable[[Field], None] = _done
    """Asserts that it did what it says."""
    goes: Callable[[Field], Iterable[int]] = lambda field: ()
    """The dates of the snapshots that it may take off the list."""
    becomes: Callable[[Field, Picture], list[Picture]] = _nothing
    """What else a snapshot may hold afterwards."""
    target: Callable[[Field], Picture] | None = None
    """Of a restore: what the workspace is to be."""
    tells_paths: bool = True
    """Whether it names each path that it could not put back."""


def failures_told(act: Callable[[Field], Answer]) -> Callable[[Field], Answer]:
    """The same operation with its failure as an answer; what is no failure of ours goes on being raised."""

    def told(field: Field) -> Answer:
        try:
            return act(field)
        except CheckpointError as error:
            return Answer(done=False, message=str(error))

    return told


# Taking.


def _first(field: Field) -> None:
    field.workspace.mkdir(parents=True)
    populate(field.workspace)
    put(field.workspace, "large", os.urandom(LARGE))


def _taken(field: Field) -> None:
    _first(field)
    field.take()


def _edited(field: Field) -> None:
    _taken(field)
    _edit(field, 1)


def _edit(field: Field, number: int) -> None:
    """A file rewritten, one gone, a new directory with small and large content."""
    put(field.workspace, "src/main.py", f"print({number})\n")
    (field.workspace / "secret").unlink(missing_ok=True)
    put(field.workspace, f"new {number}/small", f"{number}")
    put(field.workspace, "large", os.urandom(LARGE))


def _take(field: Field) -> Answer:
    with field.engine() as engine:
        assert isinstance(engine.snapshot(field.workspace), Taken)
    return Answer(done=True)


def _one_more(field: Field) -> None:
    assert len(field.ids()) == len(field.kept) + 1


def _two_and_edited(field: Field) -> None:
    _edited(field)
    field.take()
    _edit(field, 2)


def _take_beyond(field: Field) -> Answer:
    """One more than are kept."""
    with field.engine(max_snapshots=2) as engine:
        assert isinstance(engine.snapshot(field.workspace), Taken)
    return Answer(done=True)


def _oldest(field: Field) -> list[int]:
    return [min(field.kept)]


# Forgetting and reclaiming.


def _history(field: Field) -> None:
    _taken(field)
    for number in range(3):
        _edit(field, number)
        field.take()


def _doomed(field: Field) -> list[int]:
    first, *_, second, _newest = sorted(field.kept or field.pictures)
    return [first, second]


def _forget(field: Field) -> Answer:
    with field.engine() as engine:
        known = {snapshot.created_ns: snapshot for snapshot in engine.list(field.workspace)}
        try:
            doomed = [known[date] for date in _doomed(field)]
        except KeyError:
            raise SnapshotNotFound(f"of {field.workspace}: one of them is not listed") from None
        engine.upkeep.forget(doomed)
    return Answer(done=True)


def _two_less(field: Field) -> None:
    assert len(field.ids()) == len(field.kept) - 2


def _garbage(field: Field) -> None:
    _taken(field)
    for number in range(6):
        _edit(field, number)
        field.take()
    with field.engine() as engine:
        _newest, *others = engine.list(field.workspace)
        doomed = others[:4]
        engine.upkeep.forget(doomed)
    for snapshot in doomed:
        del field.pictures[snapshot.created_ns]


def _maintain(field: Field) -> Answer:
    with field.engine() as engine:
        done = engine.upkeep.maintain()
    return Answer(not done.troubles, "; ".join(done.troubles))


# Restoring.


def _to_be_restored(field: Field) -> None:
    """A snapshot, and since then every kind of change in the workspace."""
    _first(field)
    workspace = field.workspace
    put(workspace, "shut/in", "a read-only directory").parent.chmod(0o555)
    put(workspace, "was a file", "file")
    put(workspace, "was a directory/with/a file", "deep")
    (workspace / "was a link").symlink_to("README.md")
    field.take()
    _edit(field, 1)
    put(workspace, "src/deep/er/binary", b"")
    (workspace / "tool").chmod(0o600)
    (workspace / "empty directory").rmdir()
    (workspace / "link").unlink()
    (workspace / "link").symlink_to("tool")
    (workspace / "shut").chmod(0o755)
    put(workspace, "shut/in", "it was opened")
    (workspace / "shut").chmod(0o555)
    (workspace / "was a file").unlink()
    put(workspace, "was a file/is now in", "a directory")
    shutil.rmtree(workspace / "was a directory")
    put(workspace, "was a directory", "is a file")
    (workspace / "was a link").unlink()
    put(workspace, "was a link", "is a file")


def _trouble(found: Iterable[Failure]) -> str:
    return "; ".join(f"{one.path}: {one.reason}" for one in found)


def _told(done: Restored) -> Answer:
    trouble = (*done.failed, *done.kept)
    unread = [left.path for left in done.left_out if left.reason is Reason.UNREADABLE]
    return Answer(not trouble, _trouble(trouble), (*(one.path for one in trouble), *unread))


def _restore(field: Field) -> Answer:
    with field.engine() as engine:
        return _told(engine.restore(field.workspace, "1"))


def _newest(field: Field) -> Picture:
    return field.kept[max(field.kept)]


def _restored(field: Field) -> None:
    """A restore, of which the state before is to come back."""
    _to_be_restored(field)
    field.pictures[-1] = picture(field.workspace)
    with field.engine() as engine:
        done = engine.restore(field.workspace, "1")
    assert not done.failed and not done.kept
    field.pictures[done.safety.created_ns] = field.pictures.pop(-1)


def _undo(field: Field) -> Answer:
    with field.engine() as engine:
        return _told(engine.undo(field.workspace))


# The drop-in for Hermes.


def _hermes_turn(field: Field) -> Answer:
    """A checkpoint of what an agent is about to change, its change, and the way back."""
    os.environ["HERMES_CHECKPOINT_BACKEND"] = field.backend
    hermes.CHECKPOINT_BASE = field.base
    manager = CheckpointManager(enabled=True)
    try:
        if not manager.ensure_checkpoint(str(field.workspace), "before write_file"):
            return Answer(done=False, message=manager.last_outcome["message"])
        found = manager.restore(str(field.workspace), field.ids()[-1])
        told = tuple(one["path"] for one in found.get("kept", ()))
        return Answer(found["success"], found.get("error", ""), told)
    finally:
        manager.close()


# Pins and purges.


def _pin(field: Field) -> Answer:
    with field.engine() as engine:
        engine.upkeep.pin(engine.find(field.workspace, "2"), "label")
    return Answer(done=True)


def _is_pinned(field: Field) -> None:
    with field.engine() as engine:
        assert list(engine.upkeep.pins(field.workspace).values()) == ["label"]


def _purge(field: Field) -> Answer:
    with field.engine() as engine:
        done = engine.upkeep.purge(field.workspace, "large")
    return Answer(not done.still_in, _trouble(done.still_in))


def _without_large(field: Field, before: Picture) -> list[Picture]:
    return [{path: seen for path, seen in before.items() if path != b"large"}]


def _is_purged(field: Field) -> None:
    with field.engine() as engine:
        for snapshot in engine.list(field.workspace):
            assert all(left.path == "large" for left in engine.show(field.workspace, snapshot.id).left_out)


SCENARIOS = (
    Scenario("first take", _first, _take, _one_more),
    Scenario("take", _edited, _take, _one_more),
    Scenario("take beyond the limit", _two_and_edited, _take_beyond, goes=_oldest),
    Scenario("forget", _history, _forget, _two_less, goes=_doomed),
    Scenario("reclaim", _garbage, _maintain),
    Scenario("restore", _to_be_restored, _restore, target=_newest),
    Scenario("undo", _restored, _undo, target=_newest),
    Scenario("turn of Hermes", _to_be_restored, _hermes_turn, target=_newest, tells_paths=False),
    Scenario("pin", _history, _pin, _is_pinned),
    Scenario("purge", _history, _purge, _is_purged, becomes=_without_large),
)
