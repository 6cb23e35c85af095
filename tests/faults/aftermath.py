"""What must hold after a fault, by the eyes of the independent witness."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from field import Field, Picture
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX
from hermes_checkpoints.results import Restored, Taken
from hermes_checkpoints.testing.trees import differing
from hermes_checkpoints.testing.witness import Seen, difference, picture
from scenarios import Answer, Scenario
from trees import put

_SCRATCH = {"tmp", "trash"}
_UNFINISHED = ".new"


def after_a_kill(field: Field, scenario: Scenario, before: Picture) -> None:
    """A process was killed: everything that was there still is, and the next one goes on at once."""
    if scenario.target is None:
        assert difference(before, picture(field.workspace)) == []
    else:
        _each_is_old_or_new(before, scenario.target(field), picture(field.workspace))
    _goes_on(field, scenario, before)


def after_an_answer(field: Field, scenario: Scenario, before: Picture, answer: Answer) -> None:
    """A process met a failure and said what came of it: so it is, and the next one goes on at once."""
    now = picture(field.workspace)
    if not answer.done:
        known = {**before, **(scenario.target(field) if scenario.target else {})}
        assert _names_a_path(answer.message, known) or answer.told, f"names no path: {answer.message!r}"
    if scenario.target is None or (answer.told is None and not answer.done):
        assert difference(before, now) == []
    else:
        target = scenario.target(field)
        _each_is_old_or_new(before, target, now)
        unlike = {path for path in differing(target, now) if not _is_scratch(path)}
        untold = _without(dict.fromkeys(unlike), [path.encode() for path in answer.told or ()])
        if answer.done or scenario.tells_paths:
            assert untold == {}, "it does not say that these are not as the snapshot has them"
    if answer.done:
        scenario.done(field)
    _goes_on(field, scenario, before)


def _names_a_path(message: str, workspace: Picture) -> bool:
    """Whether it has a path of the workspace in it, by itself, or of the store, which are told whole."""
    paths = "|".join(re.escape(os.fsdecode(path)) for path in workspace if path)
    return "/" in message or re.search(rf"(?<!\w)({paths})(?!\w)", message) is not None


def _goes_on(field: Field, scenario: Scenario, before: Picture) -> None:
    _all_whole(field, scenario, before)
    if scenario.target is not None:
        _can_be_ended(field, before, scenario.target(field))
    put(field.workspace, "after the fault", "something new")
    field.take()
    with field.engine() as engine:
        done = engine.upkeep.maintain()
    assert done.troubles == ()
    _all_whole(field, scenario, before)
    assert leftovers(field.store) == []
    assert [path for path in picture(field.workspace) if _is_scratch(path)] == []


def _can_be_ended(field: Field, before: Picture, target: Picture) -> None:
    """A snapshot can be taken at once, and the restore done; one that was begun can be finished or taken back."""
    with field.engine() as engine:
        begun = engine.interrupted(field.workspace)
        outcome = engine.snapshot(field.workspace)
        if isinstance(outcome, Taken):
            field.pictures[outcome.snapshot.created_ns] = picture(field.workspace)
        assert [path for path in picture(field.workspace) if _is_scratch(path)] == []
        if begun is None:
            ref = next(one.id for one in engine.list(field.workspace) if field.pictures.get(one.created_ns) == target)
            _without_trouble(field, engine.restore, ref)
        elif field.beginnings % 2:
            _without_trouble(field, engine.abort_restore)
        else:
            _without_trouble(field, engine.finish_restore)
            assert difference(target, picture(field.workspace)) == []
            _without_trouble(field, engine.redo if begun.action == "undo" else engine.undo)
        assert difference(target if begun is None else before, picture(field.workspace)) == []


def _without_trouble(field: Field, act: Callable[..., Restored], *arguments: str) -> None:
    present = picture(field.workspace)
    done = act(field.workspace, *arguments)
    assert ([*done.failed], [*done.kept]) == ([], [])
    field.pictures[done.safety.created_ns] = present


def _all_whole(field: Field, scenario: Scenario, before: Picture) -> None:
    """Nothing is lost, and each snapshot on the list comes back as the witness saw it when it was taken."""
    target = Path(tempfile.mkdtemp(dir=field.top))
    with field.engine() as engine:
        listed = engine.list(field.workspace)
        dates = {snapshot.created_ns for snapshot in listed}
        assert field.pictures.keys() - dates <= set(scenario.goes(field)), "snapshots are lost"
        for number, snapshot in enumerate(listed):
            known = field.pictures.get(snapshot.created_ns)
            if known is None:  # of the disturbed operation, which began with this, and says what it could not read
                left_out = engine.show(field.workspace, snapshot.id).left_out
                allowed = [_without(before, [one.path.encode() for one in left_out])]
            else:
                allowed = [known, *scenario.becomes(field, known)]
            engine.export(field.workspace, snapshot.id, target / f"{number}")
            found = picture(target / f"{number}")
            assert found in allowed, (snapshot, difference(allowed[0], found))
    shutil.rmtree(target)


def _without(tree: dict[bytes, Any], paths: list[bytes]) -> dict[bytes, Any]:
    """All but these paths and what is below them."""
    return {path: seen for path, seen in tree.items() if not any((path + b"/").startswith(one + b"/") for one in paths)}


def _each_is_old_or_new(before: Picture, target: Picture, now: Picture) -> None:
    """No file is cut or mixed, and none is missing that is in both; modes may be on their way."""
    wrong = []
    for path in before.keys() | target.keys() | now.keys():
        old, new, seen = before.get(path), target.get(path), now.get(path)
        if seen not in (old, new) and not _is_scratch(path) and not _in_between(old, new, seen):
            wrong.append(f"{path!r} is {seen}, was {old}, was to be {new}")
    assert wrong == []


def _in_between(old: Seen | None, new: Seen | None, seen: Seen | None) -> bool:
    if seen is None:  # on the way from one kind to another, of which one has no content to lose
        return "directory" in {old.kind if old else "", new.kind if new else ""}
    kinds = {one.kind for one in (old, new) if one is not None}
    if seen.kind == "directory":
        return "directory" in kinds
    return any(one is not None and (one.kind, one.content) == (seen.kind, seen.content) for one in (old, new))


def _is_scratch(path: bytes) -> bool:
    return SCRATCH_PREFIX.encode() in path


def leftovers(store: Path) -> list[Path]:
    """What is in a store and is of no use to anybody: half-made files, and what was to be removed."""
    files = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    return [path for path in files if path.name.endswith(_UNFINISHED) or not _SCRATCH.isdisjoint(path.parts)]
