"""Many processes and threads that take, list, restore, forget and reclaim on one store, and some of them killed."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from crowd import LIMITS, Member, ThroughCommand, ThroughEngine, accounted_for
from hermes_checkpoints import Engine
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import Child, at_once, finish, start

BACKENDS = ("shadow-git", "cow")
PROCESSES = 8
WAIT = 30.0  # seconds; the documented one


@pytest.fixture(scope="module")
def longer(request):
    """How many times as much is tried when all faults are asked for."""
    return 4 if request.config.getoption("--faults") == "all" else 1


@pytest.fixture
def ground(fresh_directory):
    (fresh_directory / "notes").mkdir()
    return fresh_directory


class Crowd:
    """A store and its workspaces, for any number of members."""

    def __init__(self, ground: Path, backend: str, workspaces: int, tried: Callable[..., None]) -> None:
        self.ground, self.tried = ground, tried
        self.backend = backend
        self.store = ground / "store"
        self.notes = ground / "notes"
        self.workspaces = [ground / f"workspace-{number}" for number in range(workspaces)]
        for workspace in self.workspaces:
            workspace.mkdir()

    def engine(self) -> Engine:
        return Engine(store=self.store, backend=self.backend, limits=LIMITS, wait=WAIT)

    def works(self, engine: Engine, number: int, acts: int) -> Counter[str]:
        """One member with an engine; the workspaces are shared out in turn."""
        workspace = self.workspaces[number % len(self.workspaces)]
        return Member(f"m{number}", ThroughEngine(engine, workspace), workspace, self.notes, WAIT).work(acts)

    def alone(self, number: int, acts: int) -> Counter[str]:
        """One member with an engine of its own."""
        with self.engine() as engine:
            return self.works(engine, number, acts)

    def accounts(self, done: list[Counter[str]]) -> None:
        """Nothing is lost; counts what was tried."""
        total = sum(done, Counter())
        listed = sum(
            accounted_for(workspace, self.store, self.backend, self.notes, self.ground) for workspace in self.workspaces
        )
        self.tried(f"operations in a crowd: {self.backend}", total.total())
        self.tried(f"snapshots whole after a crowd: {self.backend}", listed)
        assert listed and all(total[act] for act in ("take", "list", "restore", "export", "forget", "reclaim"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workspaces", [1, PROCESSES])
def test_eight_processes_lose_nothing_of_each_other(backend, workspaces, ground, longer, tried):
    crowd = Crowd(ground, backend, workspaces, tried)
    acts = 25 * longer
    crowd.accounts(at_once(*(lambda number=number: crowd.alone(number, acts) for number in range(PROCESSES))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workspaces", [1, 3])
def test_threads_that_share_an_engine_lose_nothing_of_each_other(backend, workspaces, ground, longer, tried):
    crowd = Crowd(ground, backend, workspaces, tried)

    def threads(first: int) -> Counter[str]:
        with crowd.engine() as engine, ThreadPoolExecutor(4) as pool:
            done = pool.map(lambda number: crowd.works(engine, number, 15 * longer), range(first, first + 4))
            return sum(done, Counter())

    crowd.accounts(at_once(lambda: threads(0), lambda: threads(4)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_command_line_loses_nothing_in_a_crowd(backend, ground, longer, tried):
    crowd = Crowd(ground, backend, 2, tried)
    (crowd.store / "store").mkdir(mode=0o700, parents=True)
    (crowd.store / "store" / "config.toml").write_text("max_snapshots = 100000\n")

    def works(number: int) -> Counter[str]:
        workspace = crowd.workspaces[number % 2]
        door = ThroughCommand(crowd.store, backend, workspace)
        return Member(f"m{number}", door, workspace, crowd.notes, WAIT).work(5 * longer)

    crowd.accounts(at_once(*(lambda number=number: works(number) for number in range(PROCESSES))))


def at_work(member: Child) -> bool:
    return os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("workspaces", [1, 3])
def test_members_that_are_killed_hold_nobody_up_and_lose_nothing(backend, workspaces, ground, longer, tried):
    crowd = Crowd(ground, backend, workspaces, tried)
    chance = random.Random(workspaces)
    acts, kills = 12, 25 * longer
    members = [start(lambda number=number: crowd.alone(number, acts)) for number in range(PROCESSES)]
    for number in range(PROCESSES, PROCESSES + kills):
        time.sleep(chance.uniform(0.02, 0.2))
        # A zombie until it is waited for: never somebody else's number.
        os.kill(chance.choice([*filter(at_work, members)] or members[-1:]).pid, signal.SIGKILL)
        members.append(start(lambda number=number: crowd.alone(number, acts)))
    ends = [finish(member) for member in members]
    killed = sum(code == -signal.SIGKILL for code, _ in ends)
    assert killed > kills // 2, "the kills came too late to prove anything"
    done = [counts for _, counts in ends if counts is not None]
    assert not sum(done, Counter())["busy"], "somebody was held up by the dead"
    with Engine(store=crowd.store, backend=backend, limits=LIMITS, wait=5) as engine:
        for workspace in crowd.workspaces:
            (workspace / "after").mkdir()
            assert isinstance(engine.snapshot(workspace, "before the end"), Taken)
    tried(f"members of a crowd killed at work: {backend}", killed)
    crowd.accounts(done)
