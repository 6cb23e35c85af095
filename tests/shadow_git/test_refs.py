"""Which snapshots there are is never misread: not through links, nor under other names than their own."""

import os
import shutil

import pytest

from hermes_checkpoints.contract import Mending, Place, StoreDamaged
from hermes_checkpoints.testing.trees import contents, populate, take
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.refs import every_ref
from reclaim_building import fill, turn, whole


def ref_of(place, snapshot):
    return next((place.store / "shadow-git" / "refs").rglob(f"*-{snapshot}"))


def repair(place):
    with ShadowGit.open(place) as backend:
        return [*backend.rebuild(), *backend.mend(give_up=True)]


@pytest.fixture
def two(place, pictures):
    """The ids of two snapshots, the older first."""
    with ShadowGit.open(place) as backend:
        for number in range(2):
            fill(place.workspace, "noise", 3000, number)
            turn(backend, pictures)
    return list(pictures)


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["of a workspace", "of all workspaces", "of all refs"])
def test_a_link_among_the_refs_does_not_cost_the_contents_of_what_it_lists(place, two, pictures, tmp_path, depth):
    directory = ref_of(place, two[0]).parents[depth]
    directory.rename(tmp_path / "away")
    directory.symlink_to(tmp_path / "away")
    with ShadowGit.open(place) as backend:
        if depth < 2:
            with pytest.raises(StoreDamaged, match=str(directory)):
                list(backend.snapshots())
        with pytest.raises(StoreDamaged, match=directory.name):
            list(backend.examine())
        with pytest.raises(StoreDamaged, match=directory.name):
            backend.reclaim(thorough=True)
    directory.unlink()
    (tmp_path / "away").rename(directory)
    with ShadowGit.open(place) as backend:
        whole(backend, pictures, tmp_path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink(path.parents[2], path)])
def test_whatever_has_a_snapshots_name_keeps_its_contents_alive(place, two, pictures, tmp_path, make):
    ref = ref_of(place, two[0])
    ref.unlink()
    make(ref)
    with ShadowGit.open(place) as backend:
        assert {bytes.fromhex(one) for one in two} == {oid for oid, _ in every_ref(backend.home)}
        backend.reclaim(thorough=True)
        assert [one.what for one in backend.examine()] == [f"{ref} does not say {two[0]}"]
    assert {one.what for one in repair(place)} == {Mending.REBUILT}
    with ShadowGit.open(place) as backend:
        assert [*backend.examine()] == []
        whole(backend, pictures, tmp_path)


def test_another_workspaces_snapshot_is_not_listed_nor_restored_in_this_one(place, two, tmp_path):
    theirs = Place(place.store, tmp_path / "theirs")
    theirs.workspace.mkdir()
    with ShadowGit.open(theirs) as other:
        populate(theirs.workspace)
        own = take(other)
        shutil.copy(ref_of(place, two[0]), other._refs)
        assert [one.id for one in other.snapshots()] == [own.id]
        with pytest.raises(StoreDamaged, match=str(place.workspace)):
            other.entry(two[0], "noise")
        assert [one.snapshot for one in other.examine()] == [""], "it costs the snapshot nothing"
    assert {one.what for one in repair(theirs)} == {Mending.QUARANTINED}
    with ShadowGit.open(theirs) as other, ShadowGit.open(place) as backend:
        assert [*other.examine()] == []
        assert [one.id for one in other.snapshots()] == [own.id]
        assert [one.id for one in backend.snapshots()] == [two[1], two[0]]


@pytest.mark.parametrize("name", ["7{0}", "{1}x", "elsewhere"])
def test_a_snapshot_under_another_name_is_found_and_gets_its_own_back(place, two, pictures, tmp_path, name):
    ref = ref_of(place, two[0])
    if name == "elsewhere":
        wrong = ref.parents[1] / ("0" * 16) / ref.name
        wrong.parent.mkdir()
    else:
        wrong = ref.parent / name.format(ref.name[1:], ref.name[:-1])
    ref.rename(wrong)
    with ShadowGit.open(place) as backend:
        assert [one.id for one in backend.snapshots()] == two[1:]
        (found,) = backend.examine()
        assert two[0][:10] in found.what
        backend.reclaim(thorough=True)
        held = contents(backend, two[1])
    assert [(one.what, one.snapshot) for one in repair(place)] == [(Mending.REBUILT, two[0])]
    with ShadowGit.open(place) as backend:
        assert [one.id for one in backend.snapshots()] == [two[1], two[0]]
        assert contents(backend, two[1]) == held
        assert [*backend.examine()] == []
        whole(backend, pictures, tmp_path)


@pytest.mark.parametrize("make", [lambda path: path.write_bytes(b"no id"), os.mkfifo])
@pytest.mark.parametrize("depth", [0, 1])
def test_what_keeps_space_from_being_given_back_is_found_and_put_aside(place, two, pictures, tmp_path, depth, make):
    stray = ref_of(place, two[0]).parents[depth] / "stray"
    make(stray)
    with ShadowGit.open(place) as backend:
        (found,) = backend.examine()
        assert str(stray) in found.what
        with pytest.raises(StoreDamaged, match=str(stray)):
            backend.reclaim()
    assert {one.what for one in repair(place)} == {Mending.QUARANTINED}
    with ShadowGit.open(place) as backend:
        assert [*backend.examine()] == []
        assert backend.reclaim(thorough=True)
        whole(backend, pictures, tmp_path)
