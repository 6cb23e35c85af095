"""What is given up for lost: what nobody has any more, as far as everybody could be asked."""

import pytest
from losing import LOST, exported, lost_by, take

from hermes_checkpoints.contract import Mending, Place, Reason
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.testing.privileges import obeying_modes
from hermes_checkpoints.upkeep.forgetting import workspace_lock
from spoiling import opened_anew, spoil, store_of
from trees import put


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


def test_what_is_given_up_keeps_its_space_until_the_next_maintenance(there):
    """Somebody may know better: one flipped byte has made a repair leave the whole file out."""
    spoil(store_of(there), LOST)
    with opened_anew(there) as engine:
        assert len(lost_by(engine.upkeep.repair())) == 2
    assert any(LOST[-1000:] in path.read_bytes() for path in store_of(there).rglob("*") if path.is_file())


@pytest.mark.parametrize("hidden", ["away", "empty"])
def test_nothing_is_given_up_of_a_workspace_that_is_not_there_since_it_may_still_have_it(there, hidden):
    put(there.workspace, "kept elsewhere", LOST)
    there.take("fourth")
    listed = there.engine.list(there.workspace)
    spoil(store_of(there), LOST)
    away = there.workspace.with_name("unmounted")
    there.workspace.rename(away)
    if hidden == "empty":
        there.workspace.mkdir()
    with opened_anew(there) as engine:
        for dry_run in (True, False):
            done = engine.upkeep.repair(dry_run=dry_run)
            assert (lost_by(done), done.absent) == (set(), [there.workspace])
            assert ["--absent" in failure.reason for failure in done.undone] == [True]
        assert engine.list(there.workspace) == listed
        if hidden == "empty":
            there.workspace.rmdir()
        away.rename(there.workspace)
        done = engine.upkeep.repair()
        assert (lost_by(done), done.undone, done.after.damaged) == (set(), [], [])
        assert engine.list(there.workspace) == listed


def test_what_an_absent_workspace_lost_is_given_up_when_that_is_asked_for(there):
    spoil(store_of(there), LOST)
    there.workspace.rename(there.workspace.with_name("removed"))
    with opened_anew(there) as engine:
        plan = engine.upkeep.repair(dry_run=True, absent=True)
        done = engine.upkeep.repair(absent=True)
        assert lost_by(plan) == lost_by(done)
        assert len(lost_by(done)) == 2
        assert (done.undone, done.after.damaged) == ([], [])


def test_nothing_is_given_up_for_lost_while_a_workspaces_snapshots_cannot_be_read(there, tmp_path):
    other = tmp_path / "other"
    put(other, "theirs", LOST)
    take(there.engine, other)
    listed = there.engine.list(there.workspace)
    names = {"cow": "snapshots", "shadow-git": "refs/hermes-checkpoints"}[there.engine.settings.backend]
    directory = store_of(there) / there.engine.settings.backend / names / Place(store_of(there), other).workspace_id
    (header,) = directory.iterdir()
    spoil(store_of(there), LOST)
    header.chmod(0)
    with opened_anew(there) as engine:
        with obeying_modes():
            done = engine.upkeep.repair()
        assert lost_by(done) == set()
        assert header.exists()
        assert "nothing was given up" in done.undone[-1].reason
        assert engine.list(there.workspace) == listed
        header.chmod(0o600)
        assert engine.upkeep.repair().after.damaged == []
