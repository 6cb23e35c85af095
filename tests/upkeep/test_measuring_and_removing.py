"""What a store takes, and getting rid of what is in it: purge, clear, maintain; with both backends."""

import os
import shutil

import pytest

from hermes_checkpoints.contract import PathNotFound, RestoreRefused, StoreBusy
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.policy.budget import Standing
from trees import put

MB = 1 << 20


def test_the_status_says_what_forgetting_gives_back(store):
    with store.engine() as engine:
        store.turns(engine, 0, 3)
        store.turns(engine, 1, 1)
        shutil.rmtree(store.workspace(1))
        told = engine.upkeep.status()
        assert [(one.workspace, one.standing) for one in told.workspaces] == [
            (store.workspace(0), Standing.LIVE),
            (store.workspace(1), Standing.GONE),
        ]
        listed = told.workspaces[0].snapshots
        assert all(abs(one.gives_back - MB // 2) < 60_000 for one in listed)
        assert abs(told.workspaces[0].gives_back - 3 * MB // 2) < 200_000
        assert abs(told.real - store.size()) < 300_000


def test_a_purged_path_is_nowhere_in_the_store_and_is_left_alone_by_a_restore(store):
    with store.engine() as engine:
        mine = store.workspace(0)
        secret = os.urandom(300_000)
        put(mine, "a", b"1")
        engine.snapshot(mine)
        put(mine, "key", secret)
        put(mine, "copy of key", secret)
        engine.snapshot(mine, "with the key")
        pinned = engine.list(mine)[0]
        engine.upkeep.pin(pinned, "label")
        purged = engine.upkeep.purge(mine, "key")
        assert list(purged.replaced) == [pinned.id]
        assert purged.in_workspace
        assert list(engine.upkeep.pins(mine).values()) == ["label"]
        assert engine.upkeep.purge(mine, "copy of key").still_in == ()
        for path in store.base.rglob("*"):
            if path.is_file():
                assert secret[1000:1100] not in path.read_bytes(), path
        engine.restore(mine, "1")
        assert (mine / "key").read_bytes() == secret
        with pytest.raises(PathNotFound):
            engine.upkeep.purge(mine, "nothing")


def test_after_a_purge_the_last_restore_can_still_be_undone(store):
    with store.engine() as engine:
        mine = store.workspace(0)
        put(mine, "a", b"1")
        put(mine, "key", b"secret")
        engine.snapshot(mine)
        put(mine, "a", b"2")
        engine.restore(mine, "1", ["a"])
        engine.upkeep.purge(mine, "key")
        engine.undo(mine)
        assert (mine / "a").read_bytes() == b"2"
        assert (mine / "key").read_bytes() == b"secret"


def test_clearing_removes_everything_but_the_configuration(store):
    with store.engine() as engine:
        store.turns(engine, 0, 2)
        (store.base / "store" / "config.toml").write_text("max_snapshots = 5\n")
        engine.upkeep.clear()
        assert {path.name for path in (store.base / "store").iterdir()} == {"config.toml", "locks"}
        assert engine.list(store.workspace(0)) == []
        store.turns(engine, 0, 2)
        assert len(engine.list(store.workspace(0))) == 2


def test_nothing_is_cleared_while_somebody_is_at_work(store):
    with store.engine() as engine:
        store.turns(engine, 0, 1)
        engine.upkeep._wait = 0
        lock = next(path for path in (store.base / "store" / "locks").iterdir() if len(path.name) == 16)
        with locked(lock), pytest.raises(StoreBusy):
            engine.upkeep.clear()
        assert len(engine.list(store.workspace(0))) == 1


def test_the_space_of_what_was_forgotten_comes_back_with_the_next_maintenance(store):
    with store.engine() as engine:
        store.turns(engine, 0, 4)
        size = store.size()
        engine.upkeep.forget(engine.list(store.workspace(0))[1:])
        done = engine.upkeep.maintain()
        assert done.complete
        assert store.size() < size - MB
        assert abs(done.after - store.size()) < 100_000


def test_an_undo_whose_reference_was_forgotten_by_hand_is_refused(store):
    with store.engine() as engine:
        mine = store.workspace(0)
        store.turns(engine, 0, 2, size=10)
        target = engine.list(mine)[1]
        engine.restore(mine, target.id)
        engine.upkeep.forget([target])
        with pytest.raises(RestoreRefused):
            engine.undo(mine)
