"""Hermes's own snapshots count in the budget and go by the same policy, a workspace's all at once."""

import os
import shutil

import pytest

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.policy.budget import Standing

MB = 1 << 20


@pytest.fixture
def history(hermes, project):
    """Three snapshots of Hermes's in a workspace, with a megabyte in them."""
    (project / "large").write_bytes(os.urandom(MB))
    for number in range(3):
        (project / "src" / "main.py").write_text(f"hermes {number}\n")
        hermes.take(project, f"hermes {number}")
    return hermes.ids(project)


def turns(engine, project, count):
    for number in range(count):
        (project / "src" / "main.py").write_text(f"ours {number} {os.urandom(4).hex()}\n")
        engine.snapshot(project, f"ours {number}")


def ids(engine, project):
    return [one.id for one in engine.list(project)]


def test_they_count_in_the_budget_and_in_the_status(hermes, history, project, taking):
    with Engine(backend=taking) as engine:
        turns(engine, project, 1)
        told = engine.upkeep.status()
        assert told.usage["hermes-v2"].real > MB
        (known,) = told.workspaces
        assert (known.standing, len(known.snapshots)) == (Standing.LIVE, 4)
        assert {"hermes-v2", taking} == set(known.backends)
        assert known.gives_back > MB
        assert [one.gives_back for one in known.snapshots[1:]] == [0, 0, 0], "no single one can be forgotten"
        assert engine.upkeep.maintain().after > MB


def test_as_long_as_one_of_them_is_within_the_limit_all_stay_and_then_all_go(hermes, history, project, taking):
    with Engine(backend=taking, limits=Limits(max_snapshots=4, min_free_disk=0)) as engine:
        turns(engine, project, 3)
        assert ids(engine, project)[3:] == history
        assert hermes.ids(project) == history
        turns(engine, project, 1)
        assert len(ids(engine, project)) == 4
        assert not set(ids(engine, project)) & set(history)
        assert hermes.ids(project) == []


def test_a_pinned_one_keeps_them_all(hermes, history, project, taking):
    with Engine(backend=taking, limits=Limits(max_snapshots=2, min_free_disk=0)) as engine:
        engine.upkeep.pin(engine.find(project, history[2]), "before the change of engines")
        turns(engine, project, 5)
        assert ids(engine, project)[2:] == history
        assert hermes.ids(project) == history


def test_for_room_they_go_as_one_and_the_space_comes_back(hermes, history, project, taking, tmp_path):
    store = hermes.base / "store"
    for path in (store / "objects").rglob("*"):
        os.utime(path, (0, 0))  # written long ago: nobody is at work on it
    with Engine(backend=taking, limits=Limits(max_total_size=3 * MB, min_free_disk=0)) as engine:
        turns(engine, project, 1)
        for number in range(12):
            other = tmp_path / "other"
            other.mkdir(exist_ok=True)
            (other / "noise").write_bytes(os.urandom(MB // 4))
            engine.snapshot(other, f"{number}")
        assert not set(ids(engine, project)) & set(history)
        assert len(ids(engine, project)) == 1
        assert hermes.ids(project) == []
        assert engine.upkeep.status().real <= 3 * MB


def test_a_workspace_of_which_only_hermes_knows_is_never_called_gone(hermes, history, project, taking):
    """Its records do not say where it was: there is no evidence."""
    shutil.rmtree(project)
    with Engine(backend=taking) as engine:
        (known,) = engine.upkeep.status().workspaces
        assert known.standing is Standing.AWAY
        engine.upkeep.prune(engine.upkeep.plan())
        assert ids(engine, project) == history


def test_a_workspace_that_we_have_seen_and_that_is_gone_is_pruned_with_them(hermes, history, project, taking):
    with Engine(backend=taking) as engine:
        turns(engine, project, 1)
        shutil.rmtree(project)
        pruned, _ = engine.upkeep.prune(engine.upkeep.plan())
        assert sorted(len(removal.snapshots) for removal in pruned.done) == [1, 3]
        assert ids(engine, project) == []
        assert hermes.ids(project) == []
