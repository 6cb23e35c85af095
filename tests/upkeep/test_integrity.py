"""Damage: found, named with what it costs, and mended as far as somebody still has the bytes."""

import os
import shutil

import pytest
from losing import LOST, exported, lost_by, take

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Mending, Place, StoreDamaged
from hermes_checkpoints.testing.privileges import obeying_modes
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.underway import Journal, Underway
from spoiling import cut, flip, opened_anew, remove, spoil, store_of
from trees import ground, put


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


def test_a_dry_run_changes_no_byte_and_says_what_will_be_done(there):
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        before = picture(there.store)
        plan = engine.upkeep.repair(dry_run=True)
        assert difference(before, picture(there.store)) == []
        done = engine.upkeep.repair()
        assert lost_by(plan) == lost_by(done)
        assert len(lost_by(done)) == 2


def test_a_dry_run_makes_no_lock_and_notes_nothing_about_what_it_reads(filesystem, on_filesystem):
    """Large clones are read for the first time: what they hold is what ``verify`` would note."""
    with ground(on_filesystem, "cow") as there:
        put(there.workspace, "large", os.urandom(5_000_000))
        put(there.workspace, "lost", LOST)
        there.take()
        for lock in (store_of(there) / "locks").iterdir():
            lock.unlink()
        spoil(store_of(there), LOST)
        with opened_anew(there) as engine:
            before = picture(there.store)
            assert engine.upkeep.repair(dry_run=True).done
            assert difference(before, picture(there.store)) == []
            engine.upkeep.verify()
            assert bool([*there.store.rglob("digests")]) == filesystem.clones


def test_a_dry_run_looks_at_a_store_that_cannot_be_written(there):
    spoil(store_of(there), LOST)
    paths = [path for path in there.store.rglob("*") if path.is_dir()]
    for path in paths:
        path.chmod(0o500)
    with obeying_modes(), opened_anew(there) as engine:
        plan = engine.upkeep.repair(dry_run=True)
    for path in paths:
        path.chmod(0o700)
    assert (len(lost_by(plan)), plan.undone) == (2, [])


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
    Journal(place).write(Underway(safety.id, safety.note.restoring, (safety.created_ns, first.created_ns)))
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        assert engine.upkeep.verify().interrupted == [there.workspace]
        engine.upkeep.repair()
        ids = [one.id for one in engine.list(there.workspace)]
        assert first.id not in ids
        assert engine.finish_restore(there.workspace).snapshot.id == ids[-1]


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
