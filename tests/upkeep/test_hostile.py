"""Stores that are damaged, lie somewhere odd, or are not ours at all."""

import json
import os
import shutil
import subprocess

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import CheckpointError, Place, StoreRefused, silent
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.records import read_record, records
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.upkeep.pins import Pins
from made import snapshot
from trees import BACKENDS, put

MB = 1 << 20


@pytest.fixture(params=BACKENDS)
def opened(request, fresh_directory):
    """``opened(**limits)``: an engine on a store in ``fresh_directory``."""
    engines = []

    def open_engine(**limits):
        limits = Limits(**{"min_free_disk": 0, **limits})
        engines.append(Engine(store=fresh_directory / "base", backend=request.param, limits=limits))
        return engines[-1]

    yield open_engine
    for engine in engines:
        engine.close()


def take(engine, workspace, size=MB // 2):
    put(workspace, "a", os.urandom(size))
    outcome = engine.snapshot(workspace)
    assert isinstance(outcome, Taken)
    return outcome.snapshot


def size_of(directory):
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))


def test_a_directory_that_only_has_the_name_of_a_store_is_never_emptied(opened, fresh_directory):
    theirs = fresh_directory / "base" / "store"
    put(theirs, "customers.db", b"precious")
    engine = opened()
    for work in (
        engine.upkeep.maintain,
        lambda: engine.upkeep.purge(fresh_directory, "customers.db"),
        lambda: engine.upkeep.prune(engine.upkeep.plan()),
    ):
        with pytest.raises(CheckpointError):
            work()
    with pytest.raises(StoreRefused):
        engine.upkeep.clear()
    assert [path.name for path in theirs.iterdir()] == ["customers.db"]


def test_a_store_that_is_not_there_is_not_begun_by_looking_after_it(opened, fresh_directory):
    engine = opened()
    engine.upkeep.maintain()
    engine.upkeep.prune(engine.upkeep.plan())
    assert not (fresh_directory / "base").exists()


def test_no_directory_is_taken_for_an_archive_but_by_its_whole_name(opened, fresh_directory):
    """A store may be made in a directory of projects."""
    project = fresh_directory / "base" / "legacy-app"
    put(project, "main.py", b"precious")
    os.utime(project, (0, 0))
    engine = opened(max_total_size=2 * MB)
    for _ in range(8):
        take(engine, fresh_directory / "w")
    engine.upkeep.prune(engine.upkeep.plan(max_total_size=1))
    assert engine.upkeep.clear_legacy() == []
    assert (project / "main.py").read_bytes() == b"precious"


def test_a_workspace_that_is_a_symlink_by_now_is_pruned_as_itself(opened, fresh_directory):
    old, new = fresh_directory / "old", fresh_directory / "new"
    engine = opened()
    kept = [take(engine, old) for _ in range(3)][1]
    engine.upkeep.pin(kept)
    old.rename(new)
    old.symlink_to(new)
    newest = [take(engine, new) for _ in range(2)][-1]
    pruned, done = engine.upkeep.prune(engine.upkeep.plan(max_total_size=1))
    assert pruned.failed == ()
    left = {one.id for known in engine.upkeep.status().workspaces for one in [s.snapshot for s in known.snapshots]}
    assert left == {kept.id, newest.id}
    assert done.after < 1.5 * MB


def test_counts_of_what_is_no_part_of_the_store_cost_nobody_a_snapshot(opened, fresh_directory):
    """A home of clones that was moved, or a backend that was removed, is never measured again."""
    engine = opened(max_total_size=50 * MB)
    for number in range(3):
        take(engine, fresh_directory / f"{number}")
    engine.upkeep.budget.ledger.add("cow-deadbeef", 100 * MB)
    take(engine, fresh_directory / "large", 2 * MB)
    assert all(len(engine.list(fresh_directory / f"{number}")) == 1 for number in range(3))
    assert engine.upkeep.budget.ledger.count("cow-deadbeef") is None


def test_a_store_whose_counts_are_lost_stays_within_its_budget(opened, fresh_directory):
    engine = opened(max_total_size=10 * MB, max_snapshots=100)
    for _ in range(3):
        for _ in range(10):
            take(engine, fresh_directory / "w")
            assert size_of(fresh_directory / "base") <= 10 * MB
        shutil.rmtree(fresh_directory / "base" / "store" / "used")


def test_pins_that_cannot_be_read_keep_everything_and_fail_no_take(opened, fresh_directory):
    engine = opened(max_snapshots=2)
    workspace = fresh_directory / "w"
    first = take(engine, workspace)
    directory = fresh_directory / "base" / "store" / "pins" / engine._opener.place(workspace).workspace_id
    directory.parent.mkdir(exist_ok=True)
    directory.write_text("no directory")
    for _ in range(4):
        take(engine, workspace)
    assert first in engine.list(workspace)
    counted = engine.upkeep.budget.ledger.total().size
    assert counted > 0.9 * size_of(fresh_directory / "base" / "store")
    directory.unlink()
    take(engine, workspace)
    assert len(engine.list(workspace)) == 2


def test_a_pin_that_goes_while_they_are_read_does_not_hide_the_others(tmp_path):
    place, kept, going = Place(tmp_path, tmp_path / "w"), snapshot(1), snapshot(2)
    for one in (kept, going):
        Pins(place).pin(one, "kept")

    def going_meanwhile():
        assert Pins(place).unpin(going)
        yield from (going, kept)

    assert Pins(place).labels(going_meanwhile()) == {kept.id: "kept"}


def test_a_bare_repository_that_is_called_store_is_not_taken_over(opened, fresh_directory):
    engine = opened()
    store = fresh_directory / "base" / "store"
    subprocess.run(["git", "init", "--quiet", "--bare", store], check=True)
    (store / "locks").mkdir()  # as somebody leaves who only asked
    before = picture(store)
    with pytest.raises(StoreRefused, match="not a snapshot store"):
        take(engine, fresh_directory / "workspace")
    assert difference(before, picture(store)) == []


def test_snapshots_of_two_workspaces_are_not_forgotten_by_halves(opened, fresh_directory):
    engine = opened()
    both = [take(engine, fresh_directory / name, 10) for name in ("one", "other")]
    with pytest.raises(CheckpointError, match="several workspaces"):
        engine.upkeep.forget(both)
    assert all(len(engine.list(one.workspace)) == 1 for one in both)


def test_what_was_restored_since_the_plan_was_made_stays(opened, fresh_directory):
    workspace = fresh_directory / "w"
    engine = opened()
    listed = [take(engine, workspace) for _ in range(3)]
    plan = engine.upkeep.plan(max_total_size=MB)
    assert listed[0] in plan.removals[0].snapshots
    engine.restore(workspace, listed[0].id)
    pruned, _ = engine.upkeep.prune(plan)
    assert "it was restored meanwhile" in {failure.reason for failure in pruned.failed}
    assert listed[0] in engine.list(workspace)
    engine.undo(workspace)


def test_what_an_interrupted_prune_forgot_is_in_the_log(opened, fresh_directory):
    workspace = fresh_directory / "w"
    engine = opened()
    for _ in range(4):
        take(engine, workspace)

    def interrupted(count):
        if count == 2:
            raise KeyboardInterrupt

    plan = engine.upkeep.plan(max_total_size=1)
    engine.upkeep._progress = interrupted
    with pytest.raises(KeyboardInterrupt):
        engine.upkeep.prune(plan)
    assert len(engine.list(workspace)) == 2
    assert len(engine.upkeep.status().forgotten) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"last_touch": float("-inf")},
        {"last_touch": float("nan")},
        {"created_at": 10**400},
        {"parent": [float("inf"), 1, 1]},
        {"workdir": "with\0in it"},
        {"workdir": "/somewhere/else"},
        {"backends": 7},
    ],
    ids=str,
)
def test_a_record_of_nonsense_is_as_good_as_none(opened, fresh_directory, change):
    workspace = fresh_directory / "w"
    engine = opened(max_total_size=3 * MB)
    take(engine, workspace)
    (path,) = (fresh_directory / "base" / "store" / "projects").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    assert read_record(path.parent.parent, path.stem) is None
    assert len(engine.upkeep.status().workspaces) == 1
    engine.upkeep.plan()
    engine.upkeep.maintain()
    take(engine, workspace)
    assert read_record(path.parent.parent, path.stem).workspace == workspace


def test_records_that_cannot_be_read_fail_no_take(opened, fresh_directory):
    workspace = fresh_directory / "w"
    engine = opened(max_total_size=3 * MB, max_snapshots=100)
    take(engine, workspace)
    projects = fresh_directory / "base" / "store" / "projects"
    shutil.rmtree(projects)
    projects.write_text("no directory")
    assert list(records(projects.parent)) == []
    for _ in range(10):
        take(engine, workspace)
    assert size_of(fresh_directory / "base") <= 3 * MB


def test_a_volume_that_takes_its_mount_point_along_is_not_gone(opened, fresh_directory, volume):
    """As desktops do it: the directory that a stick is mounted on is removed with it."""
    stick = fresh_directory / "stick"
    stick.mkdir()
    volume.mount(stick)
    engine = opened()
    take(engine, stick)
    volume.unmount(stick)
    stick.rmdir()
    (known,) = engine.upkeep.status().workspaces
    assert known.standing is Standing.AWAY
    assert engine.upkeep.plan().removals == []


def test_an_interrupted_purge_costs_no_pin(opened, fresh_directory):
    workspace = fresh_directory / "w"
    engine = opened(max_snapshots=1)
    put(workspace, "key", b"secret")
    engine.upkeep.pin(take(engine, workspace, 10), "kept")
    engine.upkeep.pin(take(engine, workspace, 20), "kept, too")

    def interrupted(count):
        if count == 1:
            raise KeyboardInterrupt

    engine.upkeep._progress = interrupted
    with pytest.raises(KeyboardInterrupt):
        engine.upkeep.purge(workspace, "key")
    engine.upkeep._progress = silent
    engine.upkeep.purge(workspace, "key")
    assert set(engine.upkeep.pins(workspace)) == {one.id for one in engine.list(workspace)}


def test_another_store_with_its_clones_in_the_same_directory_loses_nothing(fresh_directory, on_filesystem, monkeypatch):
    """Its pins and its locks are not to be seen from here, and both may protect the same workspace."""
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(on_filesystem))
    workspace = on_filesystem / "workspace"
    stores = [fresh_directory / name for name in ("mine", "theirs")]
    mine, theirs = (Engine(store=store, backend="cow", limits=Limits(min_free_disk=0)) for store in stores)
    with mine, theirs:
        for _ in range(3):
            take(mine, workspace)
            take(theirs, workspace)
        homes = [{part.home.parent for part in one.upkeep._inventory().parts.values()} for one in (mine, theirs)]
        assert all(on_filesystem / "cow" in parents for parents in homes)
        mine.upkeep.prune(mine.upkeep.plan(max_total_size=1))
        assert len(mine.list(workspace)) == 1
        mine.upkeep.clear()
        assert mine.list(workspace) == []
        assert len(theirs.list(workspace)) == 3
