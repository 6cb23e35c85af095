"""What goes when a store holds too much. Pure."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_checkpoints.contract import Restoring
from hermes_checkpoints.policy.budget import Archive, Standing, prune
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.policy.space import Space
from made import NOW, holding, snapshot

MB = 1 << 20


def history(workspace, count, first=0):
    return [snapshot(first + number, workspace=workspace) for number in range(count)]


def each(snapshots, size=MB):
    return {frozenset([one.id]): size for one in snapshots}


def plan(holdings, shares, allowed, archives=(), **more):
    size = sum(shares.values()) + sum(one.size for one in archives)
    more.setdefault("only_for_room", True)
    return prune(holdings, archives, shares, size=size, allowed=allowed, limits=Limits(), now=NOW, **more)


def went(pruning):
    return [one.id for removal in pruning.removals for one in removal.snapshots]


def test_a_store_within_its_budget_loses_nothing():
    mine = history("/w", 5)
    assert plan([holding("/w", mine, standing=Standing.GONE, days=99)], each(mine), 5 * MB).removals == []


def test_the_gone_go_first_then_the_stale_then_the_oldest_of_the_largest():
    gone, stale, live = history("/gone", 2), history("/stale", 3, 10), history("/live", 6, 20)
    holdings = [
        holding("/live", live),
        holding("/stale", stale, days=30),
        holding("/gone", gone, standing=Standing.GONE),
    ]
    shares = each([*gone, *stale, *live])
    order = [one.id for one in (*gone, *stale[:2], *live[:5])]
    for left in range(11, 1, -1):
        pruning = plan(holdings, shares, left * MB)
        assert went(pruning) == order[: 11 - left]
        assert pruning.size_after == left * MB
        assert not any(removal.loud for removal in pruning.removals)


def test_the_last_snapshot_of_a_live_workspace_goes_only_when_nothing_else_does_and_loudly():
    one, other = history("/one", 2), history("/other", 2, 10)
    holdings = [holding("/one", one, days=1), holding("/other", other)]
    pruning = plan(holdings, each([*one, *other]), MB)
    assert went(pruning)[:2] == [one[0].id, other[0].id]
    assert went(pruning)[2:] == [one[1].id]
    assert [removal.loud for removal in pruning.removals] == [False, False, True]
    assert "last one of its workspace" in pruning.removals[-1].reason
    quiet = plan(holdings, each([*one, *other]), MB, last_resort=2 * MB)
    assert went(quiet) == [one[0].id, other[0].id]
    assert quiet.shortfall == MB


def test_a_workspace_that_is_away_is_neither_gone_nor_stale():
    """hermes 69063: an unmounted volume looked like a deleted workspace."""
    away, live = history("/volume", 3), history("/w", 3, 10)
    holdings = [holding("/volume", away, standing=Standing.AWAY, days=400), holding("/w", live)]
    pruning = plan(holdings, each([*away, *live]), 0, only_for_room=False)
    assert went(pruning) == []


def test_all_of_a_workspace_that_is_gone_goes_even_the_newest_snapshot_of_all():
    live, gone = history("/w", 2), history("/gone", 2, 10)
    holdings = [holding("/w", live), holding("/gone", gone, standing=Standing.GONE)]
    assert went(plan(holdings, each([*live, *gone]), 0, only_for_room=False)) == [one.id for one in gone]


def test_nobody_will_undo_a_restore_in_a_workspace_that_is_gone():
    target, safety = history("/gone", 1)[0], snapshot(1, workspace="/gone", restoring=Restoring("f" * 40))
    live = history("/w", 1, 10)
    holdings = [holding("/gone", [target, safety], standing=Standing.GONE), holding("/w", live)]
    pruning = plan(holdings, each([target, safety, *live]), 0, only_for_room=False)
    assert went(pruning) == [target.id, safety.id]
    assert not any(removal.spares_undo for removal in pruning.removals)


def test_hundreds_of_throw_away_worktrees_do_not_keep_the_store_above_its_budget():
    """hermes 112150: one snapshot each, and nothing was ever old enough."""
    trees = {f"/tree{number}": history(f"/tree{number}", 1, number) for number in range(300)}
    holdings = [
        holding(name, mine, standing=Standing.GONE if number % 2 else Standing.LIVE)
        for number, (name, mine) in enumerate(trees.items())
    ]
    shares = each([one for mine in trees.values() for one in mine])
    assert plan(holdings, shares, 50 * MB).size_after == 50 * MB


def test_pinned_snapshots_never_go():
    mine = history("/w", 6)
    pruning = plan([holding("/w", mine, standing=Standing.GONE, days=99, pinned=mine[:3])], each(mine), MB)
    assert went(pruning) == [one.id for one in mine[3:]]
    assert pruning.shortfall == 2 * MB


def test_the_newest_snapshot_of_all_never_goes_and_does_not_count_when_it_alone_is_too_large():
    small, large = history("/small", 3), history("/large", 1, 10)
    shares = {**each(small), frozenset([large[0].id]): 100 * MB}
    pruning = plan([holding("/small", small), holding("/large", large)], shares, 10 * MB)
    assert went(pruning) == []
    assert pruning.shortfall == 93 * MB


def test_what_undo_leans_on_goes_after_everything_else():
    mine = history("/w", 4)
    safety = snapshot(4, workspace="/w", restoring=Restoring(mine[0].id))
    newest = snapshot(5, workspace="/w")
    everything = [*mine, safety, newest]
    pruning = plan([holding("/w", everything)], each(everything), 2 * MB)
    assert went(pruning) == [mine[1].id, mine[2].id, mine[3].id, mine[0].id]
    assert [removal.loud for removal in pruning.removals] == [False, False, False, True]


def test_what_snapshots_share_comes_back_with_the_last_of_them():
    mine = history("/w", 3)
    ids = [one.id for one in mine]
    shares = {frozenset(ids[:2]): 10 * MB, frozenset(ids[:1]): MB, frozenset(ids): 5 * MB}
    pruning = plan([holding("/w", mine)], shares, 6 * MB)
    assert [removal.gives_back for removal in pruning.removals] == [MB, 10 * MB]
    assert pruning.size_after == 5 * MB


def test_a_history_that_goes_as_one_goes_at_once_and_counts_as_one():
    theirs, ours = history("/w", 5), history("/other", 2, 10)
    holdings = [holding("/w", theirs, as_one=True, standing=Standing.GONE), holding("/other", ours)]
    pruning = plan(holdings, {frozenset(one.id for one in theirs): 9 * MB, **each(ours)}, 10 * MB)
    assert [len(removal.snapshots) for removal in pruning.removals] == [5]
    assert pruning.size_after == 2 * MB


def test_archives_go_by_age_and_for_room_before_live_history():
    old, young = Archive(Path("/a/old"), MB, NOW - 30 * 86400), Archive(Path("/a/young"), MB, NOW)
    mine = history("/w", 3)
    holdings = [holding("/w", mine)]
    asked = plan(holdings, each(mine), 0, archives=[old, young], only_for_room=False)
    assert [removal.archive for removal in asked.removals] == [old]
    for_room = plan(holdings, each(mine), 2 * MB, archives=[old, young])
    assert [removal.archive for removal in for_room.removals] == [old, young, None]


def test_an_asked_for_prune_spares_the_newest_of_a_stale_workspace_and_the_gone_if_told_to():
    gone, stale = history("/gone", 2), history("/stale", 3, 10)
    holdings = [holding("/gone", gone, standing=Standing.GONE), holding("/stale", stale, days=8)]
    shares = each([*gone, *stale])
    newest = stale[-1].id
    assert went(plan(holdings, shares, 0, only_for_room=False)) == [one.id for one in (*gone, *stale[:2])]
    assert went(plan(holdings, shares, 0, only_for_room=False, orphans=False)) == [one.id for one in stale[:1]] + [
        stale[1].id
    ]
    assert newest not in went(plan(holdings, shares, 1, only_for_room=False))


def test_every_removal_has_a_reason_and_names_what_it_is_about():
    gone, live = history("/gone", 2), history("/w", 25, 10)
    holdings = [holding("/gone", gone, standing=Standing.GONE), holding("/w", live)]
    pruning = plan(holdings, each([*gone, *live]), 0, only_for_room=False)
    assert {(removal.workspace, removal.reason) for removal in pruning.removals} == {
        (Path("/w"), "beyond the 20 that are kept"),
        (Path("/gone"), "the workspace is gone"),
    }


sizes = st.dictionaries(st.frozensets(st.integers(0, 11), min_size=1), st.integers(1, 100), max_size=30)


@given(sizes, st.integers(1, 1500), st.sets(st.integers(0, 11)))
def test_the_plan_reaches_what_is_allowed_unless_only_what_must_stay_is_left(shared, allowed, fixed):
    names = ["/a", "/b", "/c"]
    mine = {name: history(name, 4, 10 * index) for index, name in enumerate(names)}
    flat = [one for name in names for one in mine[name]]
    shares = {frozenset(flat[number].id for number in numbers): size for numbers, size in shared.items()}
    pinned = [flat[number] for number in fixed]
    pruning = plan([holding(name, mine[name], pinned=pinned) for name in names], shares, allowed)
    gone = set(went(pruning))
    assert len(gone) == len(went(pruning))
    assert gone.isdisjoint(one.id for one in pinned)
    assert flat[-1].id not in gone
    left = sum(size for holders, size in shares.items() if not holders <= gone)
    assert pruning.size_after == left
    must_stay = {flat[-1].id, *(one.id for one in pinned)}
    alone = Space(shares).gives_back([flat[-1].id])
    if left > allowed + (alone if alone > allowed else 0):
        assert gone == {one.id for one in flat} - must_stay


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_forgetting_gives_back_the_same_in_any_order(order):
    shares = {frozenset("ab"): 10, frozenset("abc"): 5, frozenset("c"): 1}
    space = Space(shares)
    assert space.gives_back("ab") == 10
    assert space.gives_back("abc") == 16
    assert sum(space.forget("abc"[number]) for number in order) == 16
    assert space.gives_back("abc") == 0
