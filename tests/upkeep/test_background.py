"""The process that reclaims while nobody waits for it."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.testing.witness import difference, picture
from soak import allocated
from trees import put

MB = 1 << 20


def processes(store):
    """The processes that maintain a store, by id."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"hermes_checkpoints.upkeep.background" in words and os.fsencode(store) in words:
                found.append(int(entry.name))
    return found


def children():
    """The ids of this process's children, the dead that nobody has asked after included."""
    return {int(one) for task in Path("/proc/self/task").iterdir() for one in (task / "children").read_text().split()}


def eventually(question, patience=300):
    """Wait for something to become true: long, for a process of the lowest priority on a busy machine."""
    end = time.monotonic() + patience
    while not question():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def store(fresh_directory, monkeypatch):
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("processes are found in /proc")
    monkeypatch.delenv("HERMES_CHECKPOINT_BACKGROUND")
    yield fresh_directory / "checkpoints"
    for process in processes(fresh_directory / "checkpoints"):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


@pytest.fixture
def engine(store):
    with Engine(store=store, backend="cow", limits=Limits(max_snapshots=2, min_free_disk=0)) as engine:
        yield engine


def turns(engine, workspace, count, size=20_000):
    for _ in range(count):
        put(workspace, "a", os.urandom(size))
        engine.snapshot(workspace)


def stored(store):
    """Bytes of the contents in a store."""
    return allocated(store / "store" / "cow" / "batches")


def test_enough_garbage_starts_a_process_that_reclaims_it(engine, store, fresh_directory, monkeypatch):
    workspace = fresh_directory / "workspace"
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKGROUND", "0")
    turns(engine, workspace, 60)
    assert stored(store) > MB, "garbage is not reclaimed in a turn"
    monkeypatch.delenv("HERMES_CHECKPOINT_BACKGROUND")
    before = children()
    turns(engine, workspace, 10)
    eventually(lambda: stored(store) < MB // 2)
    eventually(lambda: not processes(store))
    assert children() <= before, "a zombie"


def test_it_can_be_switched_off(engine, store, fresh_directory, monkeypatch):
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKGROUND", "0")
    turns(engine, fresh_directory / "workspace", 80)
    assert processes(store) == []
    assert stored(store) > MB


def test_it_has_a_low_priority_and_a_session_of_its_own_and_is_alone(engine, store, fresh_directory):
    workspace = fresh_directory / "workspace"

    def started():
        turns(engine, workspace, 1)
        return processes(store)

    turns(engine, workspace, 60)
    eventually(lambda: not processes(store))  # how far it has come by now is for the machine to say
    with locked(store / "store" / "cow" / "lock", shared=True):  # as somebody who saves for long: it has to wait
        eventually(started)
        turns(engine, workspace, 5)
        (process,) = processes(store)
        assert os.getpriority(os.PRIO_PROCESS, process) == 19
        assert os.getsid(process) != os.getsid(0)
        assert Path(f"/proc/{process}/cwd").readlink() == Path("/")
        os.kill(process, signal.SIGKILL)
        eventually(lambda: not processes(store))

    def goes_on():
        time.sleep(0.25)  # it has the lowest priority, and is not to be outrun
        turns(engine, workspace, 1)
        return stored(store) < MB // 2

    eventually(goes_on)
    seen = picture(workspace)
    put(workspace, "a", b"later")
    engine.restore(workspace, "1")
    assert difference(seen, picture(workspace)) == []


def test_a_store_that_nears_its_budget_is_brought_down_before_anybody_has_to_wait(store, fresh_directory):
    limits = Limits(max_snapshots=100, max_total_size=8 * MB, min_free_disk=0)
    with Engine(store=store, backend="shadow-git", limits=limits) as engine:
        workspace = fresh_directory / "workspace"
        turns(engine, workspace, 14, size=MB // 2)
        assert len(engine.list(workspace)) == 14
        eventually(lambda: len(engine.list(workspace)) < 14)
        eventually(lambda: not processes(store))
        assert engine.upkeep.status().real < 6 * MB
        assert "the oldest of the workspace that holds the most" in {
            one.reason for one in engine.upkeep.status().forgotten
        }


def test_thousands_of_snapshots_do_not_leave_thousands_of_packs(store, fresh_directory):
    """A pack a turn, and none ever forgotten: they are united in the background."""
    with Engine(store=store, backend="shadow-git", limits=Limits(max_snapshots=10_000, min_free_disk=0)) as engine:
        workspace = fresh_directory / "workspace"
        turns(engine, workspace, 260, size=100)
        packs = store / "store" / "shadow-git" / "objects" / "pack"
        eventually(lambda: len(list(packs.glob("*.pack"))) < 100)
        eventually(lambda: not processes(store))
        assert len(engine.list(workspace)) == 260
