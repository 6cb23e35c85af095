"""Restores that are killed: each file is the old or the new one, and the restore can be finished or taken back."""

import os

import pytest

from hermes_checkpoints.contract import RestoreRefused
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import difference, picture
from interrupted_ground import (
    FILES,
    INSIDE,
    Ground,
    assert_old_or_new,
    half_done,
)
from trees import BACKENDS, put


@pytest.fixture(params=BACKENDS)
def ground(request, fresh_directory):
    return Ground(fresh_directory, request.param)


@pytest.fixture(params=[FILES, 20])
def any_ground(request, ground, fresh_directory):
    """Also one in which so much changes that files are written in portions."""
    return ground if request.param == FILES else Ground(fresh_directory / "many", ground.backend, request.param)


def test_a_restore_killed_at_any_step_can_be_finished(any_ground):
    ground, interrupted = any_ground, 0
    for step in ground.steps():
        if not ground.killed(step):
            continue  # it had fewer steps this time: what was asked before is remembered
        assert_old_or_new(ground)
        with ground.engine() as engine:
            before = {one.id for one in engine.list(ground.workspace)}
            assert ground.target in before
            if engine.interrupted(ground.workspace) is None:
                assert picture(ground.workspace) in (ground.now, ground.then)
                continue
            interrupted += 1
            done = engine.finish_restore(ground.workspace)
            assert not done.failed and not done.kept
            assert difference(ground.then, picture(ground.workspace)) == []
            assert engine.interrupted(ground.workspace) is None
            engine.undo(ground.workspace)
            assert difference(ground.now, picture(ground.workspace)) == [], "undo takes all of the restore back"
    assert interrupted > INSIDE // 2


def test_a_restore_killed_at_any_step_can_be_taken_back(any_ground):
    ground, interrupted = any_ground, 0
    for step in ground.steps():
        if not ground.killed(step):
            continue  # it had fewer steps this time: what was asked before is remembered
        with ground.engine() as engine:
            if engine.interrupted(ground.workspace) is None:
                continue
            interrupted += 1
            done = engine.abort_restore(ground.workspace)
            assert not done.failed and not done.kept
            assert difference(ground.now, picture(ground.workspace)) == []
            assert engine.interrupted(ground.workspace) is None
            with pytest.raises(RestoreRefused):
                engine.undo(ground.workspace)
    assert interrupted > INSIDE // 2


def test_snapshots_go_on_after_an_interrupted_restore_and_sweep_what_it_left(ground, caplog):
    half_done(ground)
    put(ground.workspace, "edited since", b"mine")
    with ground.engine() as engine:
        taken = engine.snapshot(ground.workspace)
        assert isinstance(taken, Taken)
        assert "restore --continue" in caplog.text
        assert not list(ground.workspace.rglob(".hermes-checkpoints-*"))
        assert engine.interrupted(ground.workspace) is not None


def test_what_was_edited_after_the_kill_is_kept_when_it_is_finished_or_taken_back(ground):
    for act in ("finish_restore", "abort_restore"):
        half_done(ground)
        for name in ("edited/0", "edited/2", "gone/file", "mine"):
            put(ground.workspace, name, b"edited since")
        with ground.engine() as engine:
            done = getattr(engine, act)(ground.workspace)
        assert {one.path for one in done.kept} >= {"edited/0", "edited/2", "mine"}
        there = picture(ground.workspace)
        mine = {b"edited/0", b"edited/2", b"gone/file", b"mine"}
        assert all((ground.workspace / name.decode()).read_bytes() == b"edited since" for name in mine)
        wanted = ground.then if act == "finish_restore" else ground.now
        others = {path: one for path, one in wanted.items() if path not in mine and one.kind != "directory"}
        assert difference(others, {path: there[path] for path in others}) == []


def test_a_kill_while_it_is_finished_can_be_finished_or_taken_back_too(ground):
    def finish() -> None:
        with ground.engine() as engine:
            engine.finish_restore(ground.workspace)

    half_done(ground)
    every = steps_of(finish)
    for number, step in enumerate(range(every // 3, every, max(1, every // 8))):
        half_done(ground)
        if not killed_at(step, finish):
            continue
        assert_old_or_new(ground)
        with ground.engine() as engine:
            if engine.interrupted(ground.workspace) is None:
                continue
            wanted = ground.now if number % 2 else ground.then
            (engine.abort_restore if number % 2 else engine.finish_restore)(ground.workspace)
            assert difference(wanted, picture(ground.workspace)) == []


def test_only_an_interrupted_restore_can_be_finished_or_taken_back(ground):
    with ground.engine() as engine:
        for act in (engine.finish_restore, engine.abort_restore, engine.plan_finish, engine.plan_abort):
            with pytest.raises(RestoreRefused, match=r"no restore of .* was interrupted"):
                act(ground.workspace)
        engine.restore(ground.workspace, ground.target)
        with pytest.raises(RestoreRefused):
            engine.finish_restore(ground.workspace)


@pytest.mark.parametrize("spoilt", [b"", b"x", b"[" * 100_000, None])
def test_a_damaged_journal_does_not_keep_anybody_from_working(ground, spoilt):
    half_done(ground)
    (journal,) = (ground.store / "store" / "restoring").glob("*.json")
    if spoilt is None:
        journal.unlink()
        os.mkfifo(journal)
    elif spoilt == b"x":
        data = bytearray(journal.read_bytes())
        data[len(data) // 2] ^= 1
        journal.write_bytes(data)
    else:
        journal.write_bytes(spoilt)
    with ground.engine() as engine:
        assert engine.interrupted(ground.workspace) is None
        assert isinstance(engine.snapshot(ground.workspace), Taken)
        engine.restore(ground.workspace, ground.target)
        assert not journal.exists()
