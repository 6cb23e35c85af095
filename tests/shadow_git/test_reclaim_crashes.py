"""Reclaims killed at any moment, and several at once."""

import random
import shutil
import subprocess
import sys
import time

import pytest

from hermes_checkpoints.testing.processes import at_once, finish, killed_after, killed_at, start, steps_of
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import fill, forget, leftovers, packed, turn, turns, whole

# Opens the store at a workspace and reclaims.
_RECLAIM = """
import sys
from pathlib import Path
from hermes_checkpoints.contract import Place
from hermes_checkpoints_shadow_git.backend import ShadowGit
with ShadowGit.open(Place(Path(sys.argv[1]), Path(sys.argv[2]))) as backend:
    backend.reclaim(thorough=True)
"""
# Every way in which a name or a byte of the store changes or becomes durable.
_CALLS = ("fsync", "/^rename", "/^unlink", "rmdir", "write")


@pytest.fixture
def pictures(place):
    """A store with packs that are dead, half alive, small and many."""
    pictures = {}
    with ShadowGit.open(place) as backend:
        for number in range(12):
            fill(place.workspace, f"file {number}", 60_000, number)
        turn(backend, pictures)
        turns(backend, pictures, 20)
        for number in range(0, 12, 2):
            (place.workspace / f"file {number}").unlink()
        turn(backend, pictures)
        turns(backend, pictures, 20)
        forget(backend, pictures, list(pictures)[:18])
    return pictures


def reclaim(place):
    with ShadowGit.open(place) as backend:
        backend.reclaim(thorough=True)


def check(place, pictures, ground):
    with ShadowGit.open(place) as backend:
        whole(backend, pictures, ground)


def reset(place, kept):
    shutil.rmtree(place.store)
    shutil.copytree(kept, place.store)


def test_a_reclaim_killed_at_any_step_loses_nothing(place, pictures, tmp_path):
    kept = shutil.copytree(place.store, tmp_path / "kept")
    steps = steps_of(lambda: reclaim(place))
    assert steps > 100
    for step in range(20, steps, steps // 30):
        reset(place, kept)
        assert killed_at(step, lambda: reclaim(place))
        check(place, pictures, tmp_path)
    reclaim(place)
    check(place, pictures, tmp_path)
    with ShadowGit.open(place) as backend:
        assert leftovers(backend) == []


def test_reclaims_killed_at_random_moments_one_after_the_other_come_to_an_end(place, pictures, tmp_path):
    begun = time.monotonic()
    finish(start(lambda: reclaim(place)))
    took = time.monotonic() - begun
    with ShadowGit.open(place) as backend:
        for number in range(8):
            turns(backend, pictures, 8, size=30_000)
            forget(backend, pictures, list(pictures)[1:7])
            killed_after(random.Random(number).uniform(0, took), lambda: reclaim(place))
            whole(backend, pictures, tmp_path)
        assert backend.reclaim(thorough=True)
        assert leftovers(backend) == []
        live = sum(size for holders, size in backend.shares().items() if holders)
        assert packed(backend) < live + 60_000


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("call", _CALLS)
def test_a_reclaim_killed_by_the_kernel_at_a_system_call_loses_nothing(place, pictures, tmp_path, call):
    kept = shutil.copytree(place.store, tmp_path / "kept")
    killed = 0
    for when in (1, 2, 4, 9):
        reset(place, kept)
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        command += ["-e", f"inject={call}:signal=KILL:when={when}"]
        done = subprocess.run([*command, sys.executable, "-c", _RECLAIM, place.store, place.workspace])
        killed += done.returncode != 0
        check(place, pictures, tmp_path)
    assert killed
    reclaim(place)
    check(place, pictures, tmp_path)


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["fsync", "/^rename", "/^unlink"])
def test_a_reclaim_whose_system_calls_fail_loses_nothing(place, pictures, tmp_path, call, error):
    kept = shutil.copytree(place.store, tmp_path / "kept")
    failed = 0
    for when in ("1+", "3+"):
        reset(place, kept)
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
        command += ["-e", f"inject={call}:error={error}:when={when}", sys.executable, "-B", "-c", _RECLAIM]
        failed += subprocess.run([*command, place.store, place.workspace], capture_output=True).returncode != 0
        check(place, pictures, tmp_path)
    assert failed


def test_reclaims_and_saves_at_once_lose_nothing(place, pictures, tmp_path):
    def save():
        found = {}
        with ShadowGit.open(place) as backend:
            for number in range(30):
                for old in place.workspace.glob("file *"):
                    old.unlink()
                for name in random.Random(number).sample(range(12), 6):
                    fill(place.workspace, f"file {name}", 60_000, name)
                fill(place.workspace, "edited", 100, f"at once {number}")
                turn(backend, found)
                if number % 3 == 0:
                    forget(backend, found, list(found)[:-2])
        return found

    def reclaim_often():
        for _ in range(10):
            reclaim(place)

    saved, *_ = at_once(save, reclaim_often, reclaim_often)
    check(place, pictures | saved, tmp_path)
