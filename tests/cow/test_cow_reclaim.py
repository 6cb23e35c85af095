"""Reclaiming gives back all that no snapshot leans on, keeps nobody waiting, and needs no room for it."""

import os
import threading
import time

import pytest

from cow_ground import MB, allocated, data_files, free_space, ground_at, half_dead, packed_turn, raw_bytes
from hermes_checkpoints.contract import StoreBusy
from hermes_checkpoints.kit import locked


def test_dead_ranges_of_a_live_batch_become_holes_and_live_contents_stay(ground):
    kept, contents = half_dead(ground)
    data = max(data_files(ground.home), key=lambda path: path.stat().st_size)
    size, before, mode = data.stat().st_size, allocated(data), data.stat().st_mode
    assert ground.backend.reclaim()
    assert allocated(data) < before // 2
    assert (data.stat().st_size, data.stat().st_mode) == (size, mode)
    for name, content in contents.items():
        assert ground.read(kept, name) == content
    ground.verify()


def test_holes_give_back_to_the_disk_what_usage_says(ground):
    """On Btrfs a hole alone frees nothing: the extent stays while any part of it is in use."""
    ground.write("first", 10)
    ground.take()
    doomed, _ = packed_turn(ground, "packed", files=120, size=60_000)
    for number in range(120):
        if number % 4:
            (ground.workspace / f"packed {number}").unlink()
    ground.take()
    ground.backend.forget([doomed.id])
    free, real = free_space(ground.root), ground.real()
    assert ground.backend.reclaim()
    freed, fallen = free_space(ground.root) - free, real - ground.real()
    assert fallen > 120 * 60_000 // 2
    assert abs(freed - fallen) < fallen * 0.05
    ground.verify()


def test_what_is_a_hole_already_is_not_touched_again(ground):
    half_dead(ground)
    ground.backend.reclaim()
    before = {path: path.stat().st_ctime_ns for path in ground.home.rglob("*")}
    ground.backend.reclaim()
    assert {path: path.stat().st_ctime_ns for path in ground.home.rglob("*")} == before
    ground.backend.reclaim(thorough=True)
    before = {path: path.stat().st_ctime_ns for path in data_files(ground.home)}
    ground.backend.reclaim(thorough=True)
    assert {path: path.stat().st_ctime_ns for path in data_files(ground.home)} == before


@pytest.mark.parametrize("size", [20, 3000, 50_000, 300_000])
@pytest.mark.parametrize("how", ["forgotten", "purged"])
def test_a_thorough_reclaim_leaves_no_trace_of_a_secret(ground, size, how):
    """claude-code 50429: private keys found in a tool's history."""
    ground.write("first", 10)
    first = ground.take()
    secret = os.urandom(size)
    (ground.workspace / "b secret").write_bytes(secret)
    for name in ("a before", "c after"):
        (ground.workspace / name).write_bytes(name.encode() * 50)
    doomed = ground.take()
    (ground.workspace / "b secret").unlink()
    kept = ground.take()
    needles = [secret[at : at + 16] for at in range(0, size - 15, 1000)]
    stored = raw_bytes(ground.home)
    assert all(needle in stored for needle in needles)
    if how == "purged":
        ground.backend.purge("b secret")
    else:
        ground.backend.forget([doomed.id])
    assert ground.backend.reclaim(thorough=True)
    stored = raw_bytes(ground.home)
    assert not any(needle in stored for needle in needles)
    if how == "forgotten":
        assert b"b secret" not in stored, "the name is a trace as well"
    assert {first.id, kept.id} <= {snapshot.id for snapshot in ground.backend.snapshots()}
    assert ground.read(kept, "a before") == b"a before" * 50
    ground.verify()


def test_an_ordinary_user_can_reclaim(on_filesystem, as_user):
    as_user.owns(on_filesystem)

    def reclaimed():
        with ground_at(on_filesystem) as ground:
            kept, contents = half_dead(ground)
            assert os.geteuid() != 0
            assert ground.backend.reclaim(thorough=True)
            assert all(ground.read(kept, name) == content for name, content in contents.items())
            return {path.stat().st_mode & 0o777 for path in data_files(ground.home)}

    assert as_user(reclaimed) == {0o400}


def test_no_extra_space_is_needed(ground):
    """opencode 17397: gc needs twice the space it frees."""
    ground.write("first", 10)
    doomed = [ground.take()]
    for turn in range(12):
        doomed.append(packed_turn(ground, turn)[0])
        for number in range(0, 30, 2):
            (ground.workspace / f"{turn} {number}").unlink()
    kept = ground.take()
    ground.backend.forget([snapshot.id for snapshot in doomed])
    before = least = free_space(ground.root)
    done = threading.Event()

    def sample():
        nonlocal least
        while not done.is_set():
            status = os.statvfs(ground.root)
            least = min(least, status.f_bfree * status.f_frsize)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        assert ground.backend.reclaim()
    finally:
        done.set()
        sampler.join()
    print(f"{(before - least) / 1024:.0f} KiB more for a while")
    assert before - least < MB
    assert list(ground.backend.verify(kept.id)) == []


def test_a_save_between_marking_and_deleting_loses_nothing(ground, monkeypatch):
    """What the newest snapshot held is garbage when it is marked, and what the next one leans on when it is swept."""
    contents = {f"{number}": ground.write(f"{number}", 100_000) for number in range(5)}
    first = ground.take()
    small = {f"small {number}": ground.write(f"small {number}", 1000) for number in range(5)}
    second = ground.take()
    marked = threading.Event()
    answers = []

    def about_to_lock(path, **how):
        marked.set()
        return locked(path, **how)

    def reclaim():
        with ground_at(ground.root) as other:
            other.backend.forget([first.id, second.id])
            answers.append(other.backend.reclaim())

    reclaiming = threading.Thread(target=reclaim)

    def in_the_middle_of_saving(size):
        if not marked.is_set():
            reclaiming.start()
            assert marked.wait(30)

    monkeypatch.setattr("hermes_checkpoints_cow.reclaiming.locked", about_to_lock)
    ground.write("more", 10)
    taken = ground.take(in_the_middle_of_saving)
    reclaiming.join()
    assert answers == [True]
    assert [snapshot.id for snapshot in ground.backend.snapshots()] == [taken.id]
    for name, content in {**contents, **small}.items():
        assert ground.read(taken, name) == content
    ground.verify()


def test_forgotten_headers_are_gone_for_good_before_the_first_deletion(ground, monkeypatch):
    """Else a power cut could list a snapshot again whose contents are gone."""
    half_dead(ground)
    ground.write("large", 100_000)
    ground.backend.forget([ground.take().id])
    synced = []

    def stored():
        return {path: path.stat().st_blocks for path in (ground.home / "batches").rglob("*")}

    def sync_path(path):
        synced.append((path, stored()))

    before = stored()
    monkeypatch.setattr("hermes_checkpoints_cow.reclaiming.sync_path", sync_path)
    assert ground.backend.reclaim()
    listed = ground.home / "snapshots"
    assert [path for path, _ in synced] == [listed / ground.backend.place.workspace_id, listed]
    assert all(seen == before for _, seen in synced)
    assert stored() != before


def test_nobody_waits_while_it_marks_and_deletes(ground):
    for turn in range(3):
        packed_turn(ground, turn)
    ground.backend.forget([snapshot.id for snapshot in ground.backend.snapshots()][1:])
    told = []

    def progress(steps):
        with locked(ground.home / "lock", shared=True, wait=0):
            told.append(steps)

    with ground_at(ground.root) as other:
        assert other.backend.reclaim(progress=progress)
    assert len(told) > 3


def test_it_stops_when_its_time_is_over_and_goes_on_the_next_time(ground):
    kept, contents = half_dead(ground)
    before = ground.real()
    assert not ground.backend.reclaim(time.monotonic() - 1)
    assert ground.real() == before
    assert ground.backend.reclaim(time.monotonic() + 600)
    assert ground.real() < before
    assert all(ground.read(kept, name) == content for name, content in contents.items())


def test_a_busy_store_is_waited_for_no_longer_than_there_is_time(ground):
    half_dead(ground)
    before = ground.real()
    with locked(ground.home / "lock", shared=True):
        assert not ground.backend.reclaim(time.monotonic() + 0.1)
    assert ground.real() == before
    assert ground.backend.reclaim()


def test_progress_that_raises_leaves_a_store_that_works(ground):
    class Interrupted(Exception):
        pass

    kept, contents = half_dead(ground)
    for stop in range(1, 40):
        told = 0

        def progress(steps, stop=stop):
            nonlocal told
            told += 1
            if told == stop:
                raise Interrupted

        try:
            finished = ground.backend.reclaim(progress=progress)
        except Interrupted:
            ground.verify()
            continue
        assert finished
        break
    assert stop > 3
    assert all(ground.read(kept, name) == content for name, content in contents.items())


def test_a_save_that_is_always_going_on_is_said_to_be_in_the_way(ground, monkeypatch):
    monkeypatch.setattr("hermes_checkpoints_cow.reclaiming.DEFAULT_WAIT", 0.1)
    with locked(ground.home / "lock", shared=True), pytest.raises(StoreBusy):
        ground.backend.reclaim()
