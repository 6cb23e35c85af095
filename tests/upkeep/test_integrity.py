"""Damage: found, named with what it costs, and mended as far as somebody still has the bytes."""

import os
import shutil

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Mending, Place, Reason, StoreDamaged
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.underway import Journal, Underway
from hermes_checkpoints.upkeep.forgetting import workspace_lock
from spoiling import cut, flip, opened_anew, remove, spoil, store_of
from trees import BACKENDS, ground, put

LOST = os.urandom(20_000)


@pytest.fixture(params=BACKENDS)
def there(request, tmp_path):
    """A workspace whose first two snapshots hold ``lost``, of which nobody else has the bytes."""
    with ground(tmp_path, request.param, wait=0.1) as made:
        put(made.workspace, "dir/lost", LOST)
        put(made.workspace, "dir/stays", b"stays")
        made.take("first")
        put(made.workspace, "notes", b"more")
        made.take("second")
        (made.workspace / "dir/lost").unlink()
        made.take("third")
        yield made


def take(engine, workspace):
    taken = engine.snapshot(workspace)
    assert isinstance(taken, Taken)
    return taken.snapshot


def exported(engine, there, snapshot, name):
    target = there.workspace.parent / name
    assert not engine.export(there.workspace, snapshot.id, target).failed
    return picture(target)


def test_a_store_that_is_whole_is_found_to_be_and_repairing_it_changes_nothing(there):
    for full in (True, False):
        found = there.engine.upkeep.verify(full=full)
        assert (found.damaged, found.unseen, found.workspaces, found.snapshots) == ([], [], 1, 3)
    before = picture(store_of(there))
    for dry_run in (True, False):
        done = there.engine.upkeep.repair(dry_run=dry_run)
        assert (done.done, done.undone, done.after, done.before.damaged) == ((), (), None, [])
    assert [line for line in difference(before, picture(store_of(there))) if "locks" not in line] == []


def test_a_store_that_is_not_there_is_not_begun_by_looking_for_damage(tmp_path):
    with Engine(store=tmp_path / "base") as engine:
        assert engine.upkeep.verify().snapshots == 0
        assert engine.upkeep.repair().done == ()
    assert not (tmp_path / "base").exists()


def test_what_damage_costs_is_named_with_snapshot_date_workspace_and_path(there):
    _, second, first = there.engine.list(there.workspace)
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        found = engine.upkeep.verify()
        costs = [one for one in found.damaged if one.damage.snapshot]
        assert {(one.snapshot, one.workspace, one.damage.path) for one in costs} == {
            (first, there.workspace, "dir/lost"),
            (second, there.workspace, "dir/lost"),
        }
        assert engine.upkeep.verify(there.workspace).damaged == found.damaged


def test_damage_of_another_workspace_is_not_told_of_one(there, tmp_path):
    other = tmp_path / "other"
    put(other, "theirs", b"theirs")
    take(there.engine, other)
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        assert [one for one in engine.upkeep.verify(other).damaged if one.damage.snapshot] == []
        assert engine.upkeep.verify(other).snapshots == 1


def test_what_a_workspace_still_has_is_stored_again_and_every_id_stays(there):
    listed = there.engine.list(there.workspace)
    spoil(store_of(there), LOST)
    put(there.workspace, "kept elsewhere", LOST)
    with opened_anew(there) as engine:
        done = engine.upkeep.repair()
        assert done.after.damaged == []
        assert Mending.HEALED in {one.mended.what for one in done.done}
        assert lost_by(done) == set()
        assert engine.list(there.workspace) == listed
        assert engine.read(there.workspace, listed[-1].id, "dir/lost").read() == LOST


def test_what_nobody_has_any_more_is_left_out_and_all_else_restores_bit_for_bit(there):
    old = there.engine.list(there.workspace)
    pictures = [exported(there.engine, there, one, f"before-{one.short_id}") for one in old]
    there.engine.upkeep.pin(old[-1], "the first")
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        done = engine.upkeep.repair()
        assert done.after.damaged == []
        left_out = {one.snapshot: one.mended for one in done.done if one.mended.what is Mending.LEFT_OUT}
        assert {one: mended.path for one, mended in left_out.items()} == {old[1]: "dir/lost", old[2]: "dir/lost"}
        now = engine.list(there.workspace)
        assert [one.id for one in now] == [old[0].id, left_out[old[1]].new_id, left_out[old[2]].new_id]
        assert [(one.created_ns, one.note) for one in now] == [(one.created_ns, one.note) for one in old]
        assert engine.upkeep.pins(there.workspace) == {now[-1].id: "the first"}
        for one, before in zip(now, pictures, strict=True):
            after = exported(engine, there, one, f"after-{one.short_id}")
            assert {path: seen for path, seen in before.items() if b"lost" not in path} == after
        shown = engine.show(there.workspace, now[-1].id)
        assert [(left.path, left.reason) for left in shown.left_out] == [("dir/lost", Reason.DAMAGED)]


def test_a_dry_run_changes_no_byte_and_says_what_will_be_done(there):
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        before = picture(store_of(there))
        plan = engine.upkeep.repair(dry_run=True)
        assert [line for line in difference(before, picture(store_of(there))) if "locks" not in line] == []
        done = engine.upkeep.repair()
        assert lost_by(plan) == lost_by(done)
        assert len(lost_by(done)) == 2


def lost_by(done):
    return {(one.snapshot, one.mended.path) for one in done.done if one.mended.what is Mending.LEFT_OUT}


def test_one_workspaces_files_heal_what_anothers_snapshots_share(there, tmp_path):
    """What is given up of one is not given up before all others were asked."""
    if there.engine.settings.backend == "cow":
        pytest.skip("workspaces share nothing there")
    other = tmp_path / "zz-other"
    put(other, "theirs", LOST)
    take(there.engine, other)
    listed = there.engine.list(there.workspace)
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        done = engine.upkeep.repair()
        assert done.after.damaged == []
        assert lost_by(done) == set()
        assert engine.list(there.workspace) == listed
        assert engine.read(there.workspace, listed[-1].id, "dir/lost").read() == LOST


def test_nothing_is_given_up_for_lost_while_somebody_is_at_work_in_a_workspace(there, tmp_path):
    other = tmp_path / "other"
    put(other, "theirs", LOST)
    take(there.engine, other)
    listed = there.engine.list(there.workspace)
    spoil(store_of(there), LOST)
    place = Place(store_of(there), other)
    with opened_anew(there) as engine:
        with locked(workspace_lock(place)):
            done = engine.upkeep.repair()
        assert str(other) in {failure.path for failure in done.undone}
        assert lost_by(done) == set()
        assert engine.list(there.workspace) == listed
        assert engine.upkeep.repair().after.damaged == []


def test_a_repair_that_is_interrupted_anywhere_loses_nothing_and_can_be_repeated(there):
    listed = there.engine.list(there.workspace)
    before = exported(there.engine, there, listed[0], "before")
    spoil(store_of(there), LOST)
    shutil.copytree(there.store, there.store.with_name("spoilt"), symlinks=True)
    steps, stop_at = 0, 0

    def interrupted(_done):
        nonlocal steps
        steps += 1
        if steps == stop_at:
            raise KeyboardInterrupt

    while steps >= stop_at:
        shutil.rmtree(there.store)
        shutil.copytree(there.store.with_name("spoilt"), there.store, symlinks=True)
        steps, stop_at = 0, stop_at + 1
        with Engine(store=there.store, backend=listed[0].backend, progress=interrupted) as engine:
            try:
                engine.upkeep.repair()
            except KeyboardInterrupt:
                assert engine.list(there.workspace)[0] == listed[0]
        with opened_anew(there) as engine:
            engine.upkeep.repair()
            assert engine.upkeep.verify().damaged == []
            assert [one.note.reason for one in engine.list(there.workspace)] == ["third", "second", "first"]
            assert difference(before, exported(engine, there, listed[0], f"after-{stop_at}")) == []
    assert stop_at > 4


@pytest.mark.parametrize("damage", [flip, cut, remove])
def test_whatever_file_of_a_store_is_damaged_what_is_listed_after_a_repair_is_whole(there, damage):
    whole = there.store.with_name("whole")
    there.store.rename(whole)
    for name in sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file()):
        shutil.rmtree(there.store, ignore_errors=True)
        shutil.copytree(whole, there.store, symlinks=True)
        damage(there.store / name)
        with opened_anew(there) as engine:
            engine.upkeep.repair()
        with opened_anew(there) as engine:
            found = engine.upkeep.verify()
            assert (found.damaged, found.unseen) == ([], []), name
            for snapshot in engine.list(there.workspace):
                exported(engine, there, snapshot, "looked at")
                shutil.rmtree(there.workspace.with_name("looked at"))
            engine.snapshot(there.workspace)


def test_a_restore_that_was_interrupted_finds_its_snapshots_under_their_new_ids(there):
    first = there.engine.list(there.workspace)[-1]
    safety = there.engine.restore(there.workspace, first.id).safety
    (there.workspace / "dir/lost").unlink()
    place = Place(store_of(there), there.workspace)
    Journal(place).write(Underway(safety.id, safety.note.restoring))
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        assert engine.upkeep.verify().interrupted == [there.workspace]
        engine.upkeep.repair()
        underway = Journal(place).read()
        ids = [one.id for one in engine.list(there.workspace)]
        assert (underway.safety, underway.restoring.target) == (ids[0], ids[-1])
        assert first.id not in ids


def test_what_is_forgotten_while_it_is_verified_is_no_damage(there):
    listed = there.engine.list(there.workspace)
    went = []

    def forget(_done):
        if not went:
            went.extend(listed[1:])
            there.engine.upkeep.forget(went)
            there.engine.upkeep.maintain()

    with Engine(store=there.store, backend=listed[0].backend, progress=forget) as engine:
        found = engine.upkeep.verify()
    assert went
    assert (found.damaged, found.snapshots) == ([], 1)


def test_nothing_damaged_is_ever_handed_out_as_if_it_were_good(there):
    first = there.engine.list(there.workspace)[-1]
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        with pytest.raises(StoreDamaged):
            engine.read(there.workspace, first.id, "dir/lost").read()
        done = engine.restore(there.workspace, first.id)
        assert [failure.path for failure in done.failed] == ["dir/lost"]
        assert not (there.workspace / "dir/lost").exists()
