"""A process that is killed while it removes what Hermes saved leaves a store that Hermes and we can go on with."""

import os
import shutil
import time
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Place
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints_hermes_v2.backend import HermesV2

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture
def place(hermes, project):
    for number in range(2):
        (project / "run.sh").write_text(f"{number}\n")
        hermes.take(project, f"turn {number}")
    return Place(Path(os.path.realpath(hermes.base)) / "store", Path(os.path.realpath(project)))


def forget(place):
    with HermesV2.open(place) as backend:
        backend.forget([snapshot.id for snapshot in backend.snapshots()])


def reclaim(place):
    with HermesV2.open(place) as backend:
        backend.reclaim()


def again(place, kept):
    shutil.rmtree(place.store)
    shutil.copytree(kept, place.store, symlinks=True)


def test_a_killed_removal_of_the_whole_repository_can_be_repeated_and_hermes_can_begin_anew(hermes, place, tmp_path):
    forget(place)
    kept = tmp_path / "kept"
    shutil.copytree(place.store, kept, symlinks=True)
    steps = steps_of(lambda: reclaim(place))
    assert not (place.store / "HEAD").exists()
    for number, step in enumerate(range(1, steps + 1, max(1, steps // 12))):
        again(place, kept)
        killed_at(step, lambda: reclaim(place))
        if number % 2:  # Hermes comes first, or we do
            reclaim(place)
            assert not (place.store / "objects").exists()
        (place.workspace / "run.sh").write_text(f"step {number}\n")
        hermes.take(place.workspace)
        reclaim(place)
        (taken,) = hermes.ids(place.workspace)
        with HermesV2.open(place) as backend:
            assert [snapshot.id for snapshot in backend.snapshots()] == [taken]
            assert [*backend.verify(taken)] == []


def test_killed_forgetting_forgets_all_or_nothing(hermes, place, tmp_path):
    kept = tmp_path / "kept"
    shutil.copytree(place.store, kept, symlinks=True)
    before = hermes.ids(place.workspace)
    steps = steps_of(lambda: forget(place))
    for step in range(1, steps + 1, max(1, steps // 12)):
        again(place, kept)
        killed_at(step, lambda: forget(place))
        time.sleep(0.1)  # a git that was started outlives its parent
        with HermesV2.open(place) as backend:
            assert [snapshot.id for snapshot in backend.snapshots()] in ([], before)
