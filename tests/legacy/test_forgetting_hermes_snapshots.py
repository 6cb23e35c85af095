"""Hermes's own snapshots are forgotten a workspace at a time, and only what was theirs goes."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place, StoreError
from hermes_checkpoints_hermes_v2 import repository
from hermes_checkpoints_hermes_v2.backend import HermesV2

NOISE = 1 << 20


@pytest.fixture
def store(hermes):
    return Path(os.path.realpath(hermes.base)) / "store"


@pytest.fixture
def other(tmp_path, project):
    """A second workspace: half of what it holds is also in the first."""
    directory = tmp_path / "other"
    shutil.copytree(project, directory, symlinks=True)
    shared = os.urandom(NOISE)
    (project / "shared").write_bytes(shared)
    (directory / "shared").write_bytes(shared)
    (project / "own").write_bytes(os.urandom(NOISE))
    return directory


@pytest.fixture
def both(hermes, project, other):
    for workspace in (project, other):
        hermes.take(workspace, "one")
        (workspace / "src" / "main.py").write_text(f"{workspace.name} two\n")
        hermes.take(workspace, "two")
    return project, other


def at(store, workspace):
    return HermesV2.open(Place(store, Path(os.path.realpath(workspace))))


def ids(backend):
    return [snapshot.id for snapshot in backend.snapshots()]


def older(store):
    """As if everything in Hermes's repository had been written an hour ago."""
    for path in (store / "objects").rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)


def fsck(store):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--git-dir", store, "fsck", "--full", "--strict", "--no-dangling"]
    subprocess.run(command, check=True, capture_output=True, env=environment)


def test_forgetting_removes_one_workspace_and_hermes_goes_on_with_both(hermes, store, both):
    project, other = both
    with at(store, project) as backend:
        backend.forget(ids(backend))
        backend.forget(hermes.ids(other))  # not this workspace's: passed over
        assert ids(backend) == []
    assert hermes.ids(project) == []
    assert len(hermes.ids(other)) == 2
    hermes.take(project, "again")
    assert len(hermes.ids(project)) == 1
    fsck(store)


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
def test_reclaiming_gives_back_what_only_the_forgotten_history_held(hermes, store, both, packed):
    project, other = both
    if packed:
        hermes.call("prune_checkpoints")
    with at(store, project) as backend:
        before, shares = backend.usage(), backend.shares()
        mine = frozenset(ids(backend))
        theirs = frozenset(hermes.ids(other))
        assert set(shares) == {mine, theirs, mine | theirs}
        assert NOISE <= shares[mine] <= NOISE + 200_000
        assert NOISE <= shares[mine | theirs] <= NOISE + 200_000
        backend.forget(mine)
        older(store)
        assert backend.reclaim()
        assert before.real - backend.usage().real == pytest.approx(shares[mine], abs=100_000)
    hermes.restore(other, hermes.ids(other)[-1])
    fsck(store)


def test_what_a_running_hermes_has_just_written_is_spared(hermes, store, both):
    """It has written its objects, and no ref leads to them yet."""
    project, _ = both
    environment = os.environ | {"GIT_DIR": str(store)}
    command = ["git", "hash-object", "-w", "--stdin"]
    fresh = subprocess.run(command, input=b"fresh", env=environment, check=True, capture_output=True).stdout.strip()
    with at(store, project) as backend:
        backend.forget(ids(backend))
        backend.reclaim()
        assert not backend.reclaim(thorough=True)  # and says that something is left
    read = ["git", "cat-file", "blob", fresh]
    assert subprocess.run(read, env=environment, check=True, capture_output=True).stdout == b"fresh"


def test_the_last_history_takes_the_repository_with_it_and_nothing_of_ours(hermes, store, both):
    project, other = both
    with Engine(backend="shadow-git") as engine:
        ours = engine.snapshot(project, "ours").snapshot
    for workspace in both:
        with at(store, workspace) as backend:
            backend.forget(ids(backend))
    with at(store, project) as backend:
        assert backend.reclaim()
        assert backend.usage().real == 0
    assert not {path.name for path in store.iterdir()} & {*repository._PARTS, repository._ASIDE}
    with Engine() as engine:
        assert [snapshot.id for snapshot in engine.list(project)] == [ours.id]
        assert engine.list(other) == []
    hermes.take(project, "Hermes makes its repository anew")
    assert len(hermes.ids(project)) == 1
    with Engine() as engine:
        assert {snapshot.id for snapshot in engine.list(project)} == {ours.id, *hermes.ids(project)}


def test_a_snapshot_that_turned_up_in_what_was_being_removed_is_put_back(hermes, store, project):
    """Killed between putting the refs aside and looking at them."""
    hermes.take(project)
    (taken,) = hermes.ids(project)
    aside = store / repository._ASIDE
    aside.mkdir()
    (store / "HEAD").rename(aside / "HEAD")
    (store / "refs").rename(aside / "refs")
    with at(store, project) as backend:
        backend.reclaim()
        assert ids(backend) == [taken]
    assert hermes.ids(project) == [taken]
    assert not aside.exists()


def test_a_lock_that_a_killed_git_left_keeps_nobody_from_forgetting(hermes, store, project):
    hermes.take(project)
    lock = store / "refs" / "hermes" / f"{at(store, project).place.workspace_id}.lock"
    lock.touch()
    with at(store, project) as backend:
        with pytest.raises(StoreError, match="lock"):
            backend.forget(ids(backend))  # a fresh one is somebody's
        os.utime(lock, (0, 0))
        backend.forget(ids(backend))
        assert ids(backend) == []


def test_a_history_that_hermes_continued_meanwhile_is_not_forgotten(hermes, store, project):
    hermes.take(project)
    with at(store, project) as backend:
        seen = ids(backend)
        (project / "later").write_text("later")
        hermes.take(project)
        with pytest.raises(StoreError):
            backend.forget(seen)
    assert len(hermes.ids(project)) == 2


def test_a_deadline_that_has_passed_leaves_everything_in_place(hermes, store, both):
    project, other = both
    with at(store, project) as backend:
        backend.forget(ids(backend))
        assert not backend.reclaim(until=time.monotonic())
    assert len(hermes.ids(other)) == 2
    fsck(store)
