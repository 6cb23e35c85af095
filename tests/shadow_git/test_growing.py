"""What a save says beforehand that the store will grow by, and how the space divides."""

import random
from itertools import pairwise

import pytest

from git_building import names_below
from hermes_checkpoints.contract import Note, StoreError
from hermes_checkpoints.testing.trees import EVERYTHING, populate, take
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.compaction import Holding, bound, plan
from reclaim_building import MIB, fill, forget, packed, turn, turns


def allocated(backend):
    """Of packs, indexes and refs: what a save's contents take."""
    files = [path for part in ("objects/pack", "refs") for path in (backend.home / part).rglob("*")]
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


def saved(backend):
    told = []
    before = allocated(backend)
    assert backend.save(EVERYTHING, Note(), growing=told.append).snapshot
    return sum(told), allocated(backend) - before


@pytest.mark.parametrize(("count", "size"), [(1, 10), (1, 100_000), (300, 3000), (20, MIB), (2, 17 * MIB)])
def test_what_is_told_is_what_the_store_grows_by(place, backend, count, size):
    populate(place.workspace)
    for number in range(count):
        fill(place.workspace, f"file {number}", size, number)
    told, grown = saved(backend)
    assert told == pytest.approx(grown, rel=0.02, abs=4096)
    fill(place.workspace, "one more", 500, "more")
    told, grown = saved(backend)
    assert told == grown


def test_content_that_is_stored_already_grows_by_nothing_in_the_end(place, backend):
    fill(place.workspace, "large", 17 * MIB, 1)
    take(backend)
    (place.workspace / "copy").write_bytes((place.workspace / "large").read_bytes())
    told, grown = saved(backend)
    assert told == grown
    assert told < 20_000


@pytest.mark.parametrize("size", [3000, MIB, 20 * MIB])
def test_a_save_that_outgrows_its_room_is_stopped_early_and_leaves_nothing(place, backend, size):
    take(backend)
    before = names_below(backend.home)
    room = 2 * MIB
    for number in range(max(1, 40 * MIB // size)):
        fill(place.workspace, f"file {number}", size, number)
    told = 0

    def growing(more):
        nonlocal told
        told += more
        if told > room:
            raise StoreError("no room")

    with pytest.raises(StoreError, match="no room"):
        backend.save(EVERYTHING, Note(), growing=growing)
    assert told < room + 2 * MIB
    assert names_below(backend.home) == before
    with ShadowGit.open(place) as reopened:
        assert len(list(reopened.snapshots())) == 1
    take(backend)


def test_the_shares_of_all_snapshots_are_what_their_packs_take(place, backend):
    pictures = {}
    populate(place.workspace)
    for number in range(30):
        fill(place.workspace, f"file {number}", 20_000, number)
    turn(backend, pictures)
    turns(backend, pictures, 10, size=30_000)
    assert backend.reclaim()
    shares = backend.shares()
    refs = 4096 * len(pictures)
    assert sum(shares.values()) - refs == pytest.approx(packed(backend), rel=0.02)
    assert set().union(*shares) == set(pictures)
    second = list(pictures)[1]
    alone = shares[frozenset({second})]
    caches = sum(path.stat().st_blocks * 512 for path in (backend.home / "seen").iterdir())
    before = backend.usage().real - caches  # which go, too
    forget(backend, pictures, [second])
    assert backend.reclaim(thorough=True)
    # A pack of the snapshot's own went, with its index: each rounded up to blocks.
    assert alone <= before - backend.usage().real <= alone + 3 * 4096
    assert 30_000 < alone < 40_000


def test_a_thousand_turns_keep_few_packs_and_move_each_byte_seldom():
    """The plan by itself, a reclaim after every turn."""
    chance = random.Random(1)
    packs, moved, stored = {}, 0, 0
    for number in range(3000):
        packs[f"turn {number}"] = size = int(chance.lognormvariate(9, 1.5))
        stored += size
        while groups := plan([Holding(n, s, s) for n, s in packs.items()], bound(stored), thorough=False):
            for group in groups:
                moved += (merged := sum(packs.pop(name) for name in group))
                packs[f"merged {moved}"] = merged
        assert len(packs) < 16 * 4 + 2 * 16 + stored // (16 * MIB)
    assert moved < 3 * stored


@pytest.mark.parametrize("thorough", [False, True])
def test_groups_stay_within_their_bound_and_hold_what_is_worth_it(thorough):
    chance = random.Random(2)
    packs = [Holding(str(n), 1000 + n, chance.randrange(1, 1001 + n)) for n in range(500)]
    groups = plan(packs, 20_000, thorough=thorough)
    by_name = {pack.name: pack for pack in packs}
    assert all(sum(by_name[name].live for name in group) <= 20_000 for group in groups)
    taken = {name for group in groups for name in group}
    worth = {pack.name for pack in packs if pack.size - pack.live > (0 if thorough else pack.size * 0.2)}
    assert worth <= taken
    assert len(taken) == sum(map(len, groups))
    sizes = [[by_name[name].live for name in group] for group in groups]
    assert all(before <= after for group in sizes for before, after in pairwise(group))


def test_a_pack_larger_than_the_bound_is_rewritten_alone():
    packs = [Holding("small", 100, 50), Holding("large", 1000, 500), Holding("larger", 1000, 600)]
    assert plan(packs, 200, thorough=False) == [["small"], ["large"], ["larger"]]
