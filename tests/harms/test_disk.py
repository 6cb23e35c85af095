"""Eating the disk, and full disks. More about retention and the budget in ``tests/upkeep``."""

import os
import shutil
import signal
import time
from itertools import pairwise

import pytest

from hermes_checkpoints.contract import Scope, StoreError
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.results import Declined
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import BACKENDS, ground, put


def used(directory) -> int:
    """Bytes in use on the filesystem of a directory."""
    os.sync()
    status = os.statvfs(directory)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_store_is_told_lists_nothing_and_leaves_nothing_behind(small_filesystem, fresh_directory, backend):
    """opencode 9290, 14811: temporary packs of failed tries, 9.5 GB an hour. rustic 1731: zeros taken for data."""
    with small_filesystem("ext4", 8) as small, ground(fresh_directory, backend, store=small.root / "store") as at:
        put(at.workspace, "a", b"1")
        first = at.take()
        for number in range(12):
            put(at.workspace, f"large{number}", os.urandom(900_000))
        after_one = None
        for _ in range(4):
            with pytest.raises(StoreError, match="No space left"):
                at.engine.snapshot(at.workspace)
            assert [found.id for found in at.engine.list(at.workspace)] == [first.snapshot.id]
            after_one = after_one or used(small.root)
        assert used(small.root) <= after_one
        assert after_one < 4_000_000
        for number in range(3, 12):
            (at.workspace / f"large{number}").unlink()
        before = picture(at.workspace)
        taken = at.take()
        shutil.rmtree(at.workspace)
        assert at.engine.restore(at.workspace, taken.snapshot.id).failed == []
        assert difference(before, picture(at.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_killed_commands_leave_is_cleared_away(fresh_directory, backend):
    for number in range(600):
        put(fresh_directory, f"workspace/{number}", os.urandom(3000))
    sizes = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            with ground(fresh_directory, backend, progress=lambda files: os.kill(os.getpid(), signal.SIGKILL)) as at:
                at.engine.snapshot(at.workspace)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        sizes.append(_size(fresh_directory / "checkpoints"))
    assert max(sizes) <= sizes[0] * 1.5, "each killed command leaves more"
    with ground(fresh_directory, backend) as at:
        put(at.workspace, "0", b"small now")
        at.take()
    assert _size(fresh_directory / "checkpoints") < 600 * 3000 * 1.5


def _size(directory) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def test_the_history_does_not_swallow_its_own_store(fresh_directory):
    """claude-code 10107: each snapshot held the ones before."""
    for backend in BACKENDS:
        with ground(fresh_directory / backend, backend, store=fresh_directory / backend / "workspace/.store") as at:
            sizes = []
            for number in range(6):
                put(at.workspace, "a", os.urandom(50_000))
                taken = at.take(f"{number}")
                assert taken.snapshot.size == 50_000
                sizes.append(_size(at.store))
            steps = [later - earlier for earlier, later in pairwise(sizes)]
            assert max(steps) < 70_000


def test_a_large_file_that_changes_a_little_is_not_stored_anew_each_time(on_filesystem, filesystem):
    """codex 41147: an 11 GB file became 200 GB."""
    if not filesystem.clones:
        pytest.skip("blocks can be shared on XFS and Btrfs only; elsewhere the size limit leaves such files out")
    with ground(on_filesystem, "cow") as at:
        large = put(at.workspace, "database", os.urandom(1 << 20) * 40)
        at.take()
        before = used(on_filesystem)
        for number in range(8):
            with large.open("r+b") as file:
                file.seek(number * 4_000_000)
                file.write(os.urandom(4096))
            at.take()
        assert used(on_filesystem) - before < 20 << 20  # 320 MB if each were stored in full
        at.engine.restore(at.workspace, "9")
        assert large.stat().st_size == 40 << 20


def test_a_file_beyond_the_limit_takes_no_room_where_it_would_be_copied(fresh_directory):
    with ground(fresh_directory, "shadow-git", scope=Scope(max_file_size=1 << 20)) as at:
        put(at.workspace, "database", os.urandom((1 << 20) + 1))
        put(at.workspace, "a", b"")
        at.take()
        assert _size(at.store) < 100_000


def test_the_same_content_in_many_worktrees_is_stored_once(fresh_directory):
    """Throw-away worktrees (hermes 112150), as far as content goes."""
    content = os.urandom(500_000)
    store = fresh_directory / "store"
    for number in range(6):
        with ground(fresh_directory, "shadow-git", store=store) as at:
            worktree = put(fresh_directory, f"worktree{number}/a", content).parent
            at.engine.snapshot(worktree)
    assert _size(store) < 2 * len(content)


def test_turns_without_a_change_write_nothing(here):
    put(here.workspace, "a", b"1")
    here.take()
    here.engine.snapshot(here.workspace)
    before = picture(here.store), stamps(here.store)
    for _ in range(20):
        here.engine.snapshot(here.workspace)
    assert difference(before[0], picture(here.store)) == []
    files = {path for path, seen in before[0].items() if seen.kind == "file"}
    after = stamps(here.store)
    assert [path for path in files if before[1][path] != after[path]] == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unmounted_volume_keeps_its_history(fresh_directory, volume, backend):
    """hermes 69063: it looked like a deleted workspace, and its history was deleted."""
    disk = fresh_directory / "disk"
    disk.mkdir()
    volume.mount(disk)
    limits = Limits(max_total_size=4 << 20, retention_days=0.000001)
    with ground(disk / "mine", backend, store=fresh_directory / "checkpoints", limits=limits) as at:
        put(at.workspace, "a", b"1")
        taken = at.take()
        volume.unmount(disk)
        assert isinstance(at.engine.snapshot(at.workspace), Declined)
        time.sleep(0.1)  # stale by now
        at.engine.upkeep.prune(at.engine.upkeep.plan())
        for number in range(12):  # and the store is short of room
            other = fresh_directory / "other"
            put(other, "a", os.urandom(1 << 20))
            at.engine.snapshot(other, f"{number}")
        (known,) = (one for one in at.engine.upkeep.status().workspaces if one.workspace == at.workspace)
        assert known.standing is Standing.AWAY
        assert [held.snapshot.id for held in known.snapshots] == [taken.snapshot.id]
        volume.mount(disk)
        at.engine.restore(at.workspace, taken.snapshot.id)
        assert (at.workspace / "a").read_bytes() == b"1"
