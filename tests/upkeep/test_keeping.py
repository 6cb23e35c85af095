"""What is kept and what goes, with both backends."""

import os
import shutil
import time

import pytest

from hermes_checkpoints.contract import CheckpointError, SnapshotNotFound
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, ground, put

MB = 1 << 20


@pytest.fixture(params=BACKENDS)
def few(request, fresh_directory):
    """A workspace of which three snapshots are kept."""
    with ground(fresh_directory, request.param, limits=Limits(max_snapshots=3)) as made:
        yield made


def reasons(here):
    return [one.note.reason for one in here.engine.list(here.workspace)]


def test_no_more_snapshots_are_kept_than_the_limit_says(few):
    for number in range(7):
        put(few.workspace, "a", b"%d" % number)
        few.take(f"{number}")
    assert reasons(few) == ["6", "5", "4"]


def test_restoring_the_oldest_at_the_limit_does_not_destroy_it(few):
    """Measured on hermes-agent 0.19.0: it was pruned by its own safety snapshot."""
    states = []
    for number in range(3):
        put(few.workspace, "a", b"%d" % number)
        few.take(f"{number}")
        states.append(picture(few.workspace))
    oldest = few.engine.list(few.workspace)[-1]
    few.engine.restore(few.workspace, oldest.id)
    assert difference(states[0], picture(few.workspace)) == []
    for number in range(8):
        put(few.workspace, "later", b"%d" % number)
        few.take("later")
    assert oldest in few.engine.list(few.workspace)
    few.engine.restore(few.workspace, oldest.id)
    assert difference(states[0], picture(few.workspace)) == []


def test_restoring_undoing_and_redoing_push_out_nothing_that_somebody_took(few):
    for number in range(3):
        put(few.workspace, "a", b"%d" % number)
        few.take(f"{number}")
    taken = few.engine.list(few.workspace)
    for snapshot in reversed(taken):
        few.engine.restore(few.workspace, snapshot.id)
        few.engine.undo(few.workspace)
        few.engine.redo(few.workspace)
        few.engine.undo(few.workspace)
    listed = few.engine.list(few.workspace)
    assert [one for one in listed if one.note.restoring is None] == taken
    assert len(listed) <= 2 * len(taken) + 2


def test_ids_and_dates_stay_when_others_go(few):
    seen = {}
    for number in range(10):
        put(few.workspace, "a", b"%d" % number)
        taken = few.take().snapshot
        seen[taken.id] = taken
        assert all(seen[one.id] == one for one in few.engine.list(few.workspace))


def test_a_pinned_snapshot_stays_until_it_is_unpinned(few):
    put(few.workspace, "a", b"pinned")
    kept = few.take("kept").snapshot
    few.engine.upkeep.pin(kept, "before the refactoring")
    for number in range(5):
        put(few.workspace, "a", b"%d" % number)
        few.take(f"{number}")
    assert reasons(few) == ["4", "3", "2", "kept"]
    assert few.engine.upkeep.pins(few.workspace) == {kept.id: "before the refactoring"}
    with pytest.raises(CheckpointError, match="pinned"):
        few.engine.upkeep.forget([kept])
    assert few.engine.upkeep.unpin(kept)
    put(few.workspace, "a", b"5")
    few.take("5")
    assert reasons(few) == ["5", "4", "3"]


def test_forgetting_takes_what_was_named_and_nothing_else(store):
    with store.engine() as engine:
        store.turns(engine, 0, 5, size=10)
        listed = engine.list(store.workspace(0))
        engine.upkeep.forget([listed[1], listed[3]])
        assert engine.list(store.workspace(0)) == [listed[0], listed[2], listed[4]]
        with pytest.raises(SnapshotNotFound):
            engine.find(store.workspace(0), listed[1].id)
        engine.upkeep.forget(listed)
        assert engine.list(store.workspace(0)) == []


def test_many_turns_stay_within_the_budget(store):
    with store.engine(max_total_size=10 * MB, max_snapshots=100) as engine:
        sizes = []
        for turn in range(60):
            store.turns(engine, turn % 3, 1)
            sizes.append(store.size())
        assert max(sizes) <= 10 * MB
        assert all(engine.list(store.workspace(number)) for number in range(3))
        assert engine.upkeep.status().real <= 10 * MB


def test_a_snapshot_for_which_there_is_no_room_gets_room_first(store):
    with store.engine(max_total_size=10 * MB) as engine:
        for number in range(4):
            store.turns(engine, number, 4)
        for part in range(60):  # small files, which every backend copies
            put(store.workspace(9), f"{part}", os.urandom(60_000))
        assert isinstance(engine.snapshot(store.workspace(9)), Taken)
        assert store.size() <= 10 * MB


def test_a_snapshot_that_alone_exceeds_the_budget_is_taken_and_others_are_not_all_given_up_for_it(store):
    with store.engine(max_total_size=6 * MB) as engine:
        store.turns(engine, 0, 2)
        for part in range(150):
            put(store.workspace(1), f"{part}", os.urandom(60_000))
        assert isinstance(engine.snapshot(store.workspace(1)), Taken)
        before = picture(store.workspace(1))
        put(store.workspace(1), "0", b"damaged")
        engine.restore(store.workspace(1), engine.list(store.workspace(1))[0].id)
        assert difference(before, picture(store.workspace(1))) == []


def test_throw_away_worktrees_do_not_keep_the_store_above_its_budget(store):
    """hermes 112150: hundreds of them, one snapshot each."""
    with store.engine(max_total_size=8 * MB) as engine:
        mine = store.workspace("mine")
        put(mine, "a", os.urandom(MB))
        engine.snapshot(mine)
        for number in range(40):
            store.turns(engine, number, 1)
            shutil.rmtree(store.workspace(number))
            assert store.size() <= 8 * MB
        assert len(engine.list(mine)) == 1
        assert {one.reason for one in engine.upkeep.status().forgotten} == {"the workspace is gone"}


def test_the_last_snapshot_of_a_live_workspace_goes_only_without_other_room_and_is_told(store):
    with store.engine(max_total_size=5 * MB) as engine:
        notices = []
        for number in range(12):
            put(store.workspace(number), "a", os.urandom(MB))
            outcome = engine.snapshot(store.workspace(number))
            notices.append(outcome.notice)
            assert store.size() <= 5 * MB
        lost = [number for number in range(12) if not engine.list(store.workspace(number))]
        assert lost
        assert engine.list(store.workspace(11))
        said = "\n".join(notices)
        assert all(f"{store.workspace(number)} lost" in said for number in lost)
        assert {one.loud for one in engine.upkeep.status().forgotten} == {True}


def test_what_is_pinned_stays_even_beyond_the_budget(store):
    with store.engine(max_total_size=4 * MB) as engine:
        pinned = []
        for number in range(6):
            store.turns(engine, number, 1, size=MB)
            pinned.append(engine.list(store.workspace(number))[0])
            engine.upkeep.pin(pinned[-1])
        assert [engine.list(store.workspace(number)) for number in range(6)] == [[one] for one in pinned]


def test_pruning_does_exactly_what_the_plan_said(store):
    with store.engine() as engine:
        for number in range(3):
            store.turns(engine, number, 3)
        shutil.rmtree(store.workspace(1))
        plan = engine.upkeep.plan()
        assert {removal.workspace for removal in plan.removals} == {store.workspace(1)}
        store.turns(engine, 0, 1)  # meanwhile somebody goes on
        before = {number: engine.list(store.workspace(number)) for number in (0, 2)}
        size = store.size()
        pruned, reclaimed = engine.upkeep.prune(plan)
        assert pruned.failed == ()
        assert engine.list(store.workspace(1)) == []
        assert {number: engine.list(store.workspace(number)) for number in (0, 2)} == before
        assert store.size() < size - MB
        assert reclaimed.after < reclaimed.before


def test_what_was_pinned_after_the_plan_was_made_stays(store):
    with store.engine() as engine:
        store.turns(engine, 0, 2)
        shutil.rmtree(store.workspace(0))
        plan = engine.upkeep.plan()
        kept = engine.list(store.workspace(0))[0]
        engine.upkeep.pin(kept)
        pruned, _ = engine.upkeep.prune(plan)
        assert [failure.reason for failure in pruned.failed] == [
            "it was pinned meanwhile, or a restore with it interrupted"
        ]
        assert engine.list(store.workspace(0)) == [kept]


def test_pruning_leaves_a_workspace_alone_in_which_somebody_is_at_work(store):
    with store.engine() as engine:
        store.turns(engine, 0, 2)
        shutil.rmtree(store.workspace(0))
        plan = engine.upkeep.plan()
        engine.upkeep._wait = 0
        lock = next(path for path in (store.base / "store" / "locks").iterdir() if len(path.name) == 16)
        with locked(lock):
            pruned, _ = engine.upkeep.prune(plan)
        assert len(pruned.failed) == 2
        assert len(engine.list(store.workspace(0))) == 2


def test_a_stale_workspace_keeps_its_newest_snapshot(store):
    with store.engine(retention_days=0.00001) as engine:
        store.turns(engine, 0, 3)
        store.turns(engine, 1, 1)
        newest = engine.list(store.workspace(0))[0]
        time.sleep(1)
        engine.upkeep.prune(engine.upkeep.plan())
        assert engine.list(store.workspace(0)) == [newest]
