"""Several processes and threads on one store, and processes killed in the middle of a snapshot."""

import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place, StoreBusy
from hermes_checkpoints.plugins import load
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.witness import difference, picture

BACKENDS = ("shadow-git", "cow")
ROUNDS = 6
KILLS = 20

# Edits its own file by rename, takes a snapshot, and notes what the workspace held if nobody else edits it.
_AGENT = textwrap.dedent(
    """
    import os, pickle, sys
    from pathlib import Path
    from hermes_checkpoints import Engine
    from hermes_checkpoints.testing.witness import picture
    workspace, store, backend, name, rounds = sys.argv[1:]
    sys.stdin.readline()
    held = []
    with Engine(store=store, backend=backend) as engine:
        for number in range(int(rounds)):
            beside = Path(workspace, f".{name}.new")
            beside.write_text(f"{name} {number}\\n" * 500)
            beside.rename(Path(workspace, name))
            outcome = engine.snapshot(workspace, reason=name)
            now = getattr(outcome, "snapshot", None) or outcome.latest
            with engine.read(workspace, now.id, name) as file:
                assert file.read() == f"{name} {number}\\n".encode() * 500, "the snapshot is older than its request"
            held.append((now.id, picture(workspace) if name == "mine" else None))  # others move names meanwhile
    sys.stdout.buffer.write(pickle.dumps(held))
    """
)
# Says when it begins, then changes many files and takes snapshots until it is killed.
_VICTIM = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from hermes_checkpoints import Engine
    workspace, store, backend = sys.argv[1:]
    with Engine(store=store, backend=backend) as engine:
        engine.list(workspace)
        print("ready", flush=True)
        engine.snapshot(workspace, reason="killed")
        print("done", flush=True)
        sys.stdin.readline()
    """
)
# Stands still in the middle of a snapshot, lock in hand, until its input is closed.
_SLOW = textwrap.dedent(
    """
    import sys
    from hermes_checkpoints import Engine
    workspace, store, backend = sys.argv[1:]

    def wait(files):
        print("walking", flush=True)
        sys.stdin.read()

    Engine(store=store, backend=backend, progress=wait).snapshot(workspace)
    """
)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """``start(script, ...)`` runs a script with these arguments; none of them outlives the test."""
    started = []

    def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(BrokenPipeError):
                stream.close()


def roomy(store: Path) -> Path:
    """A store that keeps every snapshot of these tests."""
    (store / "store").mkdir(mode=0o700, parents=True)
    (store / "store" / "config.toml").write_text("max_snapshots = 1000\n")
    return store


def filled(workspace: Path, files: int) -> Path:
    workspace.mkdir(parents=True)
    for number in range(files):
        Path(workspace, f"file-{number}").write_bytes(b"%d\n" % number * 100)
    return workspace


def end(process: subprocess.Popen[bytes]) -> list[tuple[str, object]]:
    answer, told = process.communicate(timeout=120)
    assert process.returncode == 0, told.decode()
    return pickle.loads(answer)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_with_workspaces_of_their_own_do_not_hinder_each_other(backend, processes, fresh_directory, start):
    store = roomy(fresh_directory / "store")
    workspaces = [filled(fresh_directory / f"workspace-{number}", 100) for number in range(processes)]
    agents = [start(_AGENT, workspace, store, backend, "mine", ROUNDS) for workspace in workspaces]
    for agent in agents:
        agent.stdin.write(b"go\n")
        agent.stdin.flush()
    with Engine(store=store, backend=backend) as engine:
        for workspace, agent in zip(workspaces, agents, strict=True):
            held = end(agent)
            assert [snapshot.id for snapshot in reversed(engine.list(workspace))] == [snapshot for snapshot, _ in held]
            for number, (snapshot, there) in enumerate(held):
                target = fresh_directory / f"export-{workspace.name}-{number}"
                engine.export(workspace, snapshot, target)
                assert not difference(there, picture(target))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_that_share_a_workspace_each_find_their_edit_in_the_snapshot(
    backend, processes, fresh_directory, start
):
    store, workspace = roomy(fresh_directory / "store"), filled(fresh_directory / "workspace", 100)
    base = picture(workspace)
    with Engine(store=store, backend=backend) as engine:
        engine.snapshot(workspace)
        agents = [start(_AGENT, workspace, store, backend, f"agent-{number}", ROUNDS) for number in range(processes)]
        for agent in agents:
            agent.stdin.write(b"go\n")
            agent.stdin.flush()
        # A reader meanwhile, and somebody who gives space back.
        exports = 0
        backend_here = load(backend).open(Place(engine.settings.store, workspace.resolve()))
        while any(agent.poll() is None for agent in agents):
            for snapshot in engine.list(workspace):
                target = fresh_directory / f"export-{exports}"
                assert not engine.export(workspace, snapshot.id, target).failed
                there = picture(target)
                assert {path: there[path] for path in base if path} == {path: base[path] for path in base if path}
                exports += 1
            backend_here.reclaim()
        backend_here.close()
        found = {snapshot for agent in agents for snapshot, _ in end(agent)}
        listed = engine.list(workspace)
    assert exports > 0
    assert found <= {snapshot.id for snapshot in listed}
    dates = [snapshot.created_ns for snapshot in listed]
    assert dates == sorted(set(dates), reverse=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_process_killed_in_a_snapshot_leaves_nothing_in_the_way_of_the_next(backend, fresh_directory, start):
    store, workspace = roomy(fresh_directory / "store"), filled(fresh_directory / "workspace", 400)
    chance = random.Random(20)
    pictures = {}
    longest = 0.0
    with Engine(store=store, backend=backend, wait=5) as engine:
        engine.snapshot(workspace)
        pictures[engine.list(workspace)[0].id] = picture(workspace)
        cut = 0
        for number in range(KILLS):
            for file in chance.sample(range(400), 150):
                Path(workspace, f"file-{file}").write_bytes(chance.randbytes(5_000))
            victim = start(_VICTIM, workspace, store, backend)
            assert victim.stdout.readline() == b"ready\n"
            begun = time.monotonic()
            killer = threading.Timer(chance.uniform(0, longest or 0.05), victim.send_signal, [signal.SIGKILL])
            if number:
                killer.start()
            finished = victim.stdout.readline() == b"done\n"
            longest = max(longest, time.monotonic() - begun)
            cut += not finished
            victim.kill()
            victim.wait()
            killer.cancel()
            there = picture(workspace)
            for snapshot in engine.list(workspace):
                pictures.setdefault(snapshot.id, there)  # published just before the kill
            outcome = engine.snapshot(workspace)
            if isinstance(outcome, Taken):
                assert pictures.setdefault(outcome.snapshot.id, there) is there
            else:
                assert isinstance(outcome, Unchanged)
                assert pictures[outcome.latest.id] == there
        assert cut >= KILLS // 4, "the kills came too late to prove anything"
        assert {snapshot.id for snapshot in engine.list(workspace)} == pictures.keys()
        for number, (snapshot, there) in enumerate(pictures.items()):
            target = fresh_directory / f"export-{number}"
            assert not engine.export(workspace, snapshot, target).failed
            assert not difference(there, picture(target))
    assert not [name for name in os.listdir(workspace) if not name.startswith("file-")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_waiting_for_another_process_ends_with_an_error_that_says_so(backend, fresh_directory, start):
    store, workspace = fresh_directory / "store", filled(fresh_directory / "workspace", 300)
    with Engine(store=store, backend=backend, wait=0.3) as engine:
        engine.snapshot(workspace)
        for file in workspace.iterdir():
            file.write_bytes(b"changed")
        holder = start(_SLOW, workspace, store, backend)
        assert holder.stdout.readline() == b"walking\n"
        begun = time.monotonic()
        with pytest.raises(StoreBusy, match="another process"):
            engine.snapshot(workspace)
        assert 0.3 <= time.monotonic() - begun < 5
        with pytest.raises(StoreBusy, match="another process"):
            engine.restore(workspace, "1")
        begun = time.monotonic()
        assert len(engine.list(workspace)) == 1, "a reader waits for nobody"
        assert not engine.export(workspace, "1", fresh_directory / "export").failed
        assert time.monotonic() - begun < 5
        assert {file.read_bytes() for file in workspace.iterdir()} == {b"changed"}
        holder.communicate()
        assert holder.returncode == 0
        assert isinstance(engine.snapshot(workspace), Unchanged)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_of_one_engine_get_in_nobodys_way(backend, fresh_directory):
    shared = filled(fresh_directory / "shared", 50)
    own = [filled(fresh_directory / f"own-{number}", 50) for number in range(2)]

    def work(number: int) -> list[tuple[Path, str, bytes]]:
        held = []
        for turn in range(ROUNDS):
            for workspace in (own[number], shared):
                name, content = f"thread-{number}", b"%d %d\n" % (number, turn) * 500
                beside = workspace / f".{name}.new"
                beside.write_bytes(content)
                beside.rename(workspace / name)
                outcome = engine.snapshot(workspace)
                assert isinstance(outcome, Taken | Unchanged)
                now = outcome.snapshot if isinstance(outcome, Taken) else outcome.latest
                with engine.read(workspace, now.id, name) as file:
                    assert file.read() == content
                held.append((workspace, now.id, content))
        return held

    with Engine(store=fresh_directory / "store", backend=backend) as engine, ThreadPoolExecutor(2) as pool:
        for number, held in enumerate(pool.map(work, range(2))):
            for workspace, snapshot, content in held:
                with engine.read(workspace, snapshot, f"thread-{number}") as file:
                    assert file.read() == content
        assert len(engine.list(own[0])) == len(engine.list(own[1])) == ROUNDS
