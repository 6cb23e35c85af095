"""Which snapshots of a workspace are kept. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_checkpoints.contract import Restoring
from hermes_checkpoints.policy.retention import Limits, verdicts
from made import newest_first, snapshot


def kept(snapshots, limits, **more):
    return [one.snapshot for one in verdicts(newest_first(snapshots), limits, **more) if one.keep]


def numbers(snapshots):
    return [int(one.note.reason) for one in snapshots]


def test_without_requests_the_newest_are_kept():
    taken = [snapshot(number) for number in range(30)]
    assert numbers(kept(taken, Limits(max_snapshots=20))) == list(range(29, 9, -1))


@pytest.mark.parametrize("limit", [1, 2, 3, 20])
def test_no_more_than_the_limit_are_kept(limit):
    taken = [snapshot(number, request=f"{number // 7}") for number in range(50)]
    found = kept(taken, Limits(max_snapshots=limit))
    assert len(found) == limit
    assert numbers(found)[0] == 49


def test_twenty_turns_within_one_request_do_not_push_out_the_states_before_earlier_requests():
    taken = [snapshot(number, request="earlier") for number in range(5)]
    taken += [snapshot(5 + number, request="later") for number in range(5)]
    taken += [snapshot(10 + number, request="now") for number in range(40)]
    found = numbers(kept(taken, Limits(max_snapshots=20)))
    assert {0, 5, 10} <= set(found)
    assert found[:10] == list(range(49, 39, -1))
    assert len(found) == 20


def test_a_snapshot_between_two_of_a_request_does_not_make_it_two_requests():
    taken = [snapshot(0, request="one"), snapshot(1), snapshot(2, request="one"), snapshot(3), snapshot(4)]
    assert set(numbers(kept(taken, Limits(max_snapshots=4)))) == {4, 3, 1, 0}


def test_a_pinned_snapshot_is_kept_beside_the_others():
    taken = [snapshot(number) for number in range(10)]
    assert numbers(kept(taken, Limits(max_snapshots=3), pinned={taken[2].id})) == [9, 8, 7, 2]


def test_what_undo_leans_on_is_kept_as_long_as_it_can_be_undone():
    target = snapshot(0)
    safety = snapshot(1, restoring=Restoring(target.id))
    later = [snapshot(number) for number in range(2, 12)]
    assert numbers(kept([target, safety, *later], Limits(max_snapshots=2))) == [11, 10, 1, 0]
    another = snapshot(12, restoring=Restoring(later[-1].id))
    assert numbers(kept([target, safety, *later, another], Limits(max_snapshots=2))) == [12, 11, 10]


def test_restoring_the_oldest_at_the_limit_does_not_make_it_go():
    """Measured on hermes-agent 0.19.0: it was pruned first, and then could not be restored."""
    taken = [snapshot(number) for number in range(20)]
    safety = snapshot(20, restoring=Restoring(taken[0].id))
    found = kept([*taken, safety], Limits(max_snapshots=20))
    assert taken[0] in found
    assert safety in found


def test_safety_snapshots_come_on_top_and_are_bounded_themselves():
    taken = [snapshot(number) for number in range(20)]
    restores = [snapshot(20 + number, restoring=Restoring(taken[0].id)) for number in range(50)]
    found = kept([*taken, *restores], Limits(max_snapshots=20))
    assert set(taken) <= set(found)
    assert len(found) == 40


def test_a_safety_snapshot_older_than_all_that_is_kept_goes_with_its_time():
    old = snapshot(0, restoring=Restoring("f" * 40))
    newer = snapshot(1, restoring=Restoring("e" * 40))
    later = [snapshot(number) for number in range(2, 30)]
    assert old not in kept([old, newer, *later], Limits(max_snapshots=20))
    assert newer in kept([old, newer, *later], Limits(max_snapshots=20)), "it can be undone"


def test_thinning_keeps_the_last_of_each_hour_and_day():
    taken = [snapshot(number, hours=number / 2) for number in range(200)]
    found = kept(taken, Limits(max_snapshots=2, keep_hourly=3, keep_daily=2))
    assert numbers(found)[:4] == [199, 198, 197, 195]
    days = {one.created_ns // (24 * 3600 * 10**9) for one in found}
    assert len(days) == 2
    assert len(found) == 5


def test_a_history_that_goes_as_one_stays_as_one():
    ours = [snapshot(number) for number in range(10, 14)]
    theirs = [snapshot(number) for number in range(5)]
    together = [frozenset(one.id for one in theirs)]
    assert len(kept([*ours, *theirs], Limits(max_snapshots=5), together=together)) == 9
    assert numbers(kept([*ours, *theirs], Limits(max_snapshots=4), together=together)) == [13, 12, 11, 10]


def test_every_verdict_has_its_reason():
    taken = [snapshot(number) for number in range(5)]
    judged = verdicts(newest_first(taken), Limits(max_snapshots=2), pinned={taken[0].id})
    assert [one.reason for one in judged] == [
        "one of the newest",
        "one of the newest",
        "beyond the 2 that are kept",
        "beyond the 2 that are kept",
        "pinned",
    ]


requests = st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=1, max_size=60)


@given(requests, st.integers(1, 25))
def test_the_newest_is_kept_and_judging_again_forgets_nothing_more(asked, limit):
    taken = [snapshot(number, request=request) for number, request in enumerate(asked)]
    limits = Limits(max_snapshots=limit)
    found = kept(taken, limits)
    assert found[0] == taken[-1]
    assert len(found) == min(limit, len(taken))
    assert kept(found, limits) == found


@given(requests, st.integers(1, 25))
def test_forgetting_at_every_take_keeps_as_much_as_the_limit(asked, limit):
    held = []
    for number, request in enumerate(asked):
        held = kept([*held, snapshot(number, request=request)], Limits(max_snapshots=limit))
        assert len(held) == min(limit, number + 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_snapshots": 0},
        {"keep_hourly": -1},
        {"max_total_size": -1},
        {"min_free_disk": 1.5},
        {"min_free_disk": -0.1},
        {"retention_days": -1},
    ],
)
def test_limits_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)
