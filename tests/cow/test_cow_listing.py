"""Nothing that stands where snapshots are listed hides one, or lends its name to another."""

import pytest

from cow_ground import EVERYTHING, ground_at
from hermes_checkpoints.contract import Mending, Note, Place, StoreDamaged
from hermes_checkpoints_cow.backend import CopyOnWrite
from test_cow_damage import found


@pytest.fixture
def ground(tmp_path):
    with ground_at(tmp_path) as made:
        for size in (300, 70_000):
            made.write("file", size)
            made.take()
        yield made


def batches(ground):
    return sorted(path.relative_to(ground.home) for path in (ground.home / "batches").rglob("*"))


def listed(ground):
    return {path.relative_to(ground.home) for path in ground.home.glob("snapshots/*/*")}


def refuses_to_reclaim(ground):
    before = batches(ground)
    with pytest.raises(StoreDamaged):
        ground.backend.reclaim(thorough=True)
    return batches(ground) == before


def test_a_directory_of_snapshots_that_was_moved_and_linked_to_is_not_reclaimed(ground):
    (directory,) = (ground.home / "snapshots").iterdir()
    directory.rename(ground.root / "away")
    directory.symlink_to(ground.root / "away")
    assert any(str(directory) in damage.what for damage in found(ground))
    assert list(ground.backend.rebuild()) == []
    assert directory.is_symlink()
    assert refuses_to_reclaim(ground)
    directory.unlink()
    (ground.root / "away").rename(directory)
    assert found(ground) == []
    ground.verify()


@pytest.mark.parametrize("at", [0, 8, 17, 30, 56])
def test_a_damaged_letter_in_a_snapshots_name_costs_nothing(ground, at):
    before = listed(ground)
    path = min(ground.home.glob("snapshots/*/*"))
    path.rename(path.with_name(path.name[:at] + ("7" if at < 16 else "x") + path.name[at + 1 :]))
    assert any(path.name[-20:-1] in damage.what or path.name[17:] == damage.snapshot for damage in found(ground))
    if at >= 16:
        assert refuses_to_reclaim(ground)
    (would,) = ground.backend.rebuild(dry_run=True)
    assert listed(ground) != before
    assert list(ground.backend.rebuild()) == [would]
    assert listed(ground) == before
    assert found(ground) == []
    assert ground.backend.reclaim()
    ground.verify()


def test_a_header_in_another_workspaces_directory_is_not_its_snapshot(ground):
    other = Place(ground.backend.place.store, ground.root / "other")
    other.workspace.mkdir()
    (other.workspace / "theirs").write_bytes(b"theirs")
    with CopyOnWrite.open(other) as backend:
        theirs = backend.save(EVERYTHING, Note()).snapshot
        path = min((ground.home / "snapshots" / ground.backend.place.workspace_id).iterdir())
        planted = ground.home / "snapshots" / other.workspace_id / path.name
        planted.write_bytes(path.read_bytes())
        assert [snapshot.id for snapshot in backend.snapshots()] == [theirs.id]
        assert len(found(ground)) == 1
        assert [one.what for one in backend.rebuild()] == [Mending.QUARANTINED]
        assert found(ground) == []
        before = listed(ground)
        path.rename(planted)  # moved, not copied
        assert found(ground) != []
        assert [one.what for one in backend.rebuild()] == [Mending.REBUILT]
        assert listed(ground) == before
        assert found(ground) == []


def test_a_header_with_other_bytes_is_not_listed_again_under_the_id_that_those_make(ground):
    before = {snapshot.id for snapshot in ground.backend.snapshots()}
    path = min(ground.home.glob("snapshots/*/*"))
    path.write_bytes(path.read_bytes().replace(b'"reason":"', b'"reason":"forged'))
    path.rename(path.with_name(path.name[:-1] + "x"))
    assert [one.what for one in ground.backend.rebuild()] == [Mending.QUARANTINED]
    assert {snapshot.id for snapshot in ground.backend.snapshots()} < before


@pytest.mark.parametrize("below", [False, True])
def test_what_was_put_among_the_snapshots_is_told_and_put_aside_and_space_comes_back_again(ground, below):
    (directory,) = (ground.home / "snapshots").iterdir()
    stray = (directory if below else directory.parent) / "notes"
    stray.write_bytes(b"notes")
    (damage,) = found(ground)
    assert str(stray) in damage.what
    assert refuses_to_reclaim(ground)
    assert [one.what for one in ground.backend.rebuild()] == [Mending.QUARANTINED]
    assert [path.read_bytes() for path in ground.home.glob("quarantine/*/notes-*")] == [b"notes"]
    assert found(ground) == []
    assert ground.backend.reclaim()
    ground.verify()
