"""What killed processes leave is swept, whatever moment they were killed at; and no snapshot is harmed."""

import os
import random
import time

import pytest

from cow_ground import MB, ground_at
from hermes_checkpoints.contract import Place
from hermes_checkpoints.testing.processes import at_once, finish, killed_after, killed_at, start, steps_of
from hermes_checkpoints_cow.backend import CopyOnWrite


def _files(home):
    return {path.relative_to(home).parts[0] for path in home.rglob("*") if path.is_file()}


def _turns(root, count=4):
    """Snapshots of which all but the newest are forgotten, with packed and own files in each."""
    with ground_at(root) as ground:
        for turn in range(count):
            for number in range(20):
                ground.write(f"{turn} {number}", 30_000)
            ground.write(f"large {turn}", 200_000)
            for number in range(0, 20, 2):
                (ground.workspace / f"{max(turn - 1, 0)} {number}").unlink(missing_ok=True)
            ground.take()
        ground.backend.forget([snapshot.id for snapshot in ground.backend.snapshots()][1:])


def _whole_and_swept(root, contents):
    with ground_at(root) as ground:
        assert ground.backend.reclaim()
        (newest,) = ground.backend.snapshots()
        for name, content in contents.items():
            assert ground.read(newest, name) == content
        assert _files(ground.home) <= {"batches", "snapshots", "seen", "lock", "hermes-checkpoints-format"}
        assert list((ground.home / "trash").iterdir()) == []


def _contents(root):
    return {path.name: path.read_bytes() for path in (root / "workspace").iterdir()}


@pytest.mark.parametrize("thorough", [False, True])
def test_a_reclaim_killed_at_any_step_loses_nothing_and_the_next_one_finishes_it(on_filesystem, thorough):
    def reclaim():
        with ground_at(on_filesystem) as ground:
            ground.backend.reclaim(thorough=thorough)

    _turns(on_filesystem)
    steps = steps_of(reclaim)
    for step in range(1, steps, max(1, steps // 14)):
        _turns(on_filesystem)
        killed_at(step, reclaim)
        with ground_at(on_filesystem) as ground:
            ground.verify()
    _whole_and_swept(on_filesystem, _contents(on_filesystem))


def test_a_save_and_a_reclaim_killed_at_random_moments_leave_what_the_next_reclaim_sweeps(on_filesystem):
    def save():
        with ground_at(on_filesystem) as ground:
            ground.take()

    def reclaim():
        with ground_at(on_filesystem) as ground:
            ground.backend.reclaim()

    _turns(on_filesystem, 2)
    rng = random.Random(7)
    for turn in range(12):
        with ground_at(on_filesystem) as ground:
            ground.write("large 0", MB)
            for number in range(30):
                ground.write(f"new {number}", 30_000 + turn)
        killed_after(rng.uniform(0, 0.06), save)
        killed_after(rng.uniform(0, 0.03), reclaim)
        with ground_at(on_filesystem) as ground:
            ground.verify()
    with ground_at(on_filesystem) as ground:
        ground.write("last", 10)
        newest = ground.take()
        ground.backend.forget({snapshot.id for snapshot in ground.backend.snapshots()} - {newest.id})
    _whole_and_swept(on_filesystem, _contents(on_filesystem))


def test_what_a_killed_save_left_is_swept_also_when_its_workspace_never_comes_back(ground):
    gone = ground.root / "gone"
    gone.mkdir()
    place = Place(ground.backend.place.store, gone)

    def save():
        (gone / "large").write_bytes(os.urandom(MB))
        with CopyOnWrite.open(place) as backend:

            def full(size):
                os.kill(os.getpid(), 9)

            from hermes_checkpoints.contract import Note, Scope

            backend.save(Scope(excludes=(), max_file_size=0), Note(), growing=full)

    assert finish(start(save))[0] == -9
    left = ground.home / "tmp" / place.workspace_id
    left.mkdir(exist_ok=True)
    (left / "0123456789abcdef").mkdir(exist_ok=True)
    (left / "0123456789abcdef" / "0").write_bytes(b"cut")
    ground.write("a", 10)
    ground.take()
    assert ground.backend.reclaim()
    assert not left.exists()
    assert list((ground.home / "trash").iterdir()) == []
    ground.verify()


def test_nothing_stays_of_a_workspace_without_snapshots_and_it_can_come_back(ground):
    """hermes 112150: hundreds of throw-away worktrees keep the store large for ever."""
    ground.write("a", 100_000)
    ground.backend.forget([ground.take().id])
    assert ground.backend.reclaim()
    name = ground.backend.place.workspace_id
    assert [str(path) for path in ground.home.rglob("*") if path.name == name] == []
    assert os.listdir(ground.home / "batches") == []
    ground.take()
    ground.verify()


def test_several_reclaims_at_once_and_saves_meanwhile_lose_nothing(on_filesystem):
    def reclaim():
        for _ in range(4):
            with ground_at(on_filesystem) as ground:
                ground.backend.reclaim()
            time.sleep(0.01)

    def save():
        _turns(on_filesystem, 6)

    _turns(on_filesystem)
    at_once(save, reclaim, reclaim)
    _whole_and_swept(on_filesystem, _contents(on_filesystem))


def test_what_is_not_ours_stays(ground):
    ground.write("a", 100_000)
    ground.take()
    batch = next((ground.home / "batches").iterdir())
    for path in (batch / "notes", ground.home / "batches" / "notes"):
        path.write_bytes(b"mine")
    assert ground.backend.reclaim(thorough=True)
    assert (batch / "notes").read_bytes() == b"mine"
    assert (ground.home / "batches" / "notes").read_bytes() == b"mine"
    ground.verify()
