"""Restores that were killed, and what comes before, between and after them: undo, other restores, retention, purges."""

from bisect import bisect_left

import pytest

from hermes_checkpoints.contract import RestoreRefused, StoreError
from hermes_checkpoints.looking import Looking
from hermes_checkpoints.testing.processes import killed_at
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.underway import Journal
from interrupted_ground import (
    Ground,
    half_done,
    interrupted_ends,
    kinds,
    listed,
    steps_of_on_a_copy,
)
from trees import BACKENDS, put


@pytest.fixture(params=BACKENDS)
def ground(request, fresh_directory):
    return Ground(fresh_directory, request.param)


def test_another_restore_takes_the_place_of_an_interrupted_one(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.restore(ground.workspace, ground.target)
        assert engine.interrupted(ground.workspace) is None
        assert difference(ground.then, picture(ground.workspace)) == []


def test_undo_after_an_interrupted_restore_brings_the_state_before_back(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.undo(ground.workspace)
        here = picture(ground.workspace)
    assert difference(kinds(ground.now), kinds(here)) == []


def test_a_snapshot_that_is_gone_is_told_when_a_restore_is_to_be_finished(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.upkeep.forget([engine.find(ground.workspace, ground.target)])
        with pytest.raises(RestoreRefused, match="is gone"):
            engine.finish_restore(ground.workspace)
        assert engine.interrupted(ground.workspace) is not None


def test_an_interrupted_restore_can_be_finished_after_a_purge_gave_its_snapshots_new_ids(ground):
    half_done(ground)
    with ground.engine() as engine:
        assert engine.upkeep.purge(ground.workspace, "mode").replaced
        done = engine.finish_restore(ground.workspace)
        assert not done.failed
    wanted = {path: one for path, one in ground.then.items() if path != b"mode"}
    there = picture(ground.workspace)
    assert difference(wanted, {path: one for path, one in there.items() if path != b"mode"}) == []


def test_what_an_interrupted_restore_needs_is_not_forgotten_for_room(ground):
    """Or the state before it would be nowhere: it was killed as it was taken back, and the agent went on."""
    half_done(ground)

    def abort() -> None:
        with ground.engine() as engine:
            engine.abort_restore(ground.workspace)

    step = steps_of_on_a_copy(ground, abort) // 2
    ends = interrupted_ends(ground)
    assert killed_at(step, abort)
    with ground.engine() as engine:
        for number in range(45):
            put(ground.workspace, "turn", b"%d" % number)
            engine.snapshot(ground.workspace)
        assert ends <= {one.id for one in engine.list(ground.workspace)}
        (ground.workspace / "turn").unlink()
        assert not engine.abort_restore(ground.workspace).failed
    assert difference(kinds(ground.now), kinds(picture(ground.workspace))) == []


def test_a_restore_that_was_refused_is_not_undone_in_the_place_of_the_one_that_was_finished(ground):
    half_done(ground)
    ends = interrupted_ends(ground)
    notes = ground.store / "store" / "restoring"
    with ground.engine() as engine:
        notes.rename(notes.with_name("elsewhere"))
        notes.write_bytes(b"no room for a note")
        with pytest.raises(RestoreRefused, match="not begun"):
            engine.restore(ground.workspace, ground.target)
        notes.unlink()
        notes.with_name("elsewhere").rename(notes)
        assert interrupted_ends(ground) == ends
        engine.finish_restore(ground.workspace)
        engine.undo(ground.workspace)
    assert difference(ground.now, picture(ground.workspace)) == []


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("act", ["finish_restore", "abort_restore", "restore"])
def test_where_no_note_can_be_made_what_was_interrupted_can_still_be_finished(ground, monkeypatch, act, named):
    half_done(ground)
    ends = interrupted_ends(ground)
    really = Journal.write

    def fails(self, underway):
        if named:
            really(self, underway)
        raise StoreError("the disk is full")

    with ground.engine() as engine:
        engine.snapshot(ground.workspace)  # what was left is swept, and that is noted
        before = picture(ground.workspace)
        listed_before = [one.id for one in engine.list(ground.workspace)]
        monkeypatch.setattr(Journal, "write", fails)
        with pytest.raises(RestoreRefused, match="not begun"):
            getattr(engine, act)(ground.workspace, *([ground.target] if act == "restore" else []))
        monkeypatch.undo()
        assert [one.id for one in engine.list(ground.workspace)] == listed_before
        assert difference(before, picture(ground.workspace)) == []
        if act == "restore" and named:  # it had taken the place of the other one
            assert engine.interrupted(ground.workspace) is None
            return
        assert interrupted_ends(ground) == ends
        engine.finish_restore(ground.workspace)
    assert difference(ground.then, picture(ground.workspace)) == []


def test_a_restore_killed_before_its_note_is_not_undone_in_the_place_of_the_one_that_is_taken_back(ground):
    half_done(ground)
    before = len(listed(ground))

    def published(step: int) -> bool:
        half_done(ground)
        killed_at(step, ground.restore)
        return len(listed(ground)) > before

    steps = range(1, steps_of_on_a_copy(ground, ground.restore))
    first = steps[bisect_left(steps, True, key=published)]
    half_done(ground)
    known = interrupted_ends(ground)
    assert killed_at(first, ground.restore)
    assert len(listed(ground)) > before
    assert interrupted_ends(ground) == known
    with ground.engine() as engine:
        engine.abort_restore(ground.workspace)
        assert difference(ground.now, picture(ground.workspace)) == []
        with pytest.raises(RestoreRefused, match="nothing to undo"):
            engine.undo(ground.workspace)


def test_two_who_undo_at_once_take_one_restore_back(ground, monkeypatch):
    with ground.engine() as engine, ground.engine() as other:
        engine.restore(ground.workspace, ground.target)
        really = Looking._alone

        def alone(self, place):
            monkeypatch.setattr(Looking, "_alone", really)
            other.undo(ground.workspace)
            return really(self, place)

        monkeypatch.setattr(Looking, "_alone", alone)
        with pytest.raises(RestoreRefused, match="meanwhile"):
            engine.undo(ground.workspace)
        assert difference(ground.now, picture(ground.workspace)) == []
        engine.redo(ground.workspace)
    assert difference(ground.then, picture(ground.workspace)) == []
