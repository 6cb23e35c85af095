"""Thousands of turns under a small disk budget, with kills and several processes.

    python benchmarks/soak.py [--turns 2000] [--workspaces 30] [--cap-mb 50] [--processes 2] [--backend NAME]
                              [--by-filesystem] [DIR]

With --by-filesystem, which needs a filesystem that nothing else uses, the store's size is what the filesystem has in
use less what the workspaces' files take: the blocks that only the store has, where others share theirs.

Agents take turns in workspaces that they pick at random and edit incompressibly. They are killed now and then, and so
are the processes that reclaim in the background. All the while the size of the store is sampled from outside. At the
end every listed snapshot is laid out and compared with what was in the workspace when it was taken.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import SnapshotNotFound
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.results import Taken


@dataclass(frozen=True, slots=True)
class Soak:
    """What is to be done."""

    ground: Path
    backend: str
    turns: int = 2000
    workspaces: int = 30
    cap: int = 50 << 20
    processes: int = 2
    kill_every: float = 1.5
    """Seconds between two kills of an agent or a reclaiming process, on average; 0: none."""
    seed: int = 1

    @property
    def store(self) -> Path:
        return self.ground / "checkpoints"

    @property
    def log(self) -> Path:
        """One line a snapshot: its id and the digest of what was there."""
        return self.ground / "taken.jsonl"

    def workspace(self, number: int) -> Path:
        return self.ground / "workspaces" / f"{number:03}"

    def engine(self) -> Engine:
        limits = Limits(max_total_size=self.cap, min_free_disk=0)
        return Engine(store=self.store, backend=self.backend, limits=limits)


@dataclass(slots=True)
class Outcome:
    """What came of it. Sizes in bytes, times in seconds."""

    turns: int = 0
    kills: int = 0
    sizes: list[int] = field(default_factory=list)
    listed: int = 0
    damaged: list[str] = field(default_factory=list)
    lost_workspaces: list[str] = field(default_factory=list)
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)


def digest(directory: Path) -> str:
    """Of every file's name and content."""
    summed = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        summed.update(b"%s\0%d\0" % (os.fsencode(path.relative_to(directory)), path.stat().st_size))
        summed.update(path.read_bytes())
    return summed.hexdigest()


def edit(workspace: Path, chance: random.Random) -> None:
    """One turn's work: some files written anew with bytes that do not compress, now and then a large one."""
    workspace.mkdir(parents=True, exist_ok=True)
    for _ in range(chance.randint(1, 4)):
        size = chance.choice([500, 5_000, 20_000, 80_000])
        (workspace / f"file {chance.randint(0, 9)}").write_bytes(os.urandom(size))
    if chance.random() < 0.03:
        (workspace / "large").write_bytes(os.urandom(1_200_000))
    for name, share in (("large", 0.2), (f"file {chance.randint(0, 9)}", 0.1)):
        if chance.random() < share:
            (workspace / name).unlink(missing_ok=True)


def agent(soak: Soak, number: int) -> None:
    """Take turns until killed; each process has every ``processes``-th workspace to itself."""
    chance = random.Random(f"{soak.seed} {number} {os.getpid()}")
    mine = range(number, soak.workspaces, soak.processes)
    with soak.engine() as engine, soak.log.open("ab", buffering=0) as log:
        while True:
            workspace = soak.workspace(chance.choice(mine))
            edit(workspace, chance)
            seen = digest(workspace)
            outcome = engine.snapshot(workspace, "turn")
            if isinstance(outcome, Taken):
                row = {"id": outcome.snapshot.id, "digest": seen}
                log.write(json.dumps(row).encode() + b"\n")


def run(soak: Soak, measure: Callable[[], int] | None = None) -> Outcome:
    """The whole of it. ``measure`` gives the bytes that the store takes, as an outsider sees them."""
    outcome = Outcome()
    outcome.first = timed(soak)
    done = threading.Event()
    sampler = threading.Thread(target=_sample, args=(measure or (lambda: allocated(soak.store)), outcome.sizes, done))
    sampler.start()
    try:
        _drive(soak, outcome)
    finally:
        done.set()
        sampler.join()
    _kill_background(soak)
    outcome.last = timed(soak)
    _check(soak, outcome)
    return outcome


def _drive(soak: Soak, outcome: Outcome) -> None:
    chance = random.Random(soak.seed)
    soak.log.touch()
    agents = [_start(soak, number) for number in range(soak.processes)]
    next_kill = time.monotonic() + 1
    try:
        while (turns := _lines(soak.log)) < soak.turns:
            time.sleep(0.05)
            for number, process in enumerate(agents):
                if process.poll() not in (None, -signal.SIGKILL):
                    raise RuntimeError(f"an agent ended by itself with {process.returncode}")
                if process.poll() is not None:
                    agents[number] = _start(soak, number)
            if soak.kill_every and time.monotonic() > next_kill:
                next_kill = time.monotonic() + chance.uniform(0, 2 * soak.kill_every)
                outcome.kills += 1
                if chance.random() < 0.5:
                    chance.choice(agents).kill()
                else:
                    _kill_background(soak)
        outcome.turns = turns
    finally:
        for process in agents:
            process.kill()
            process.wait()


def _start(soak: Soak, number: int) -> subprocess.Popen[bytes]:
    words = ["--agent", str(number), "--backend", soak.backend, "--workspaces", str(soak.workspaces)]
    words += ["--cap-mb", str(soak.cap >> 20), "--processes", str(soak.processes), "--seed", str(soak.seed)]
    return subprocess.Popen([sys.executable, __file__, *words, str(soak.ground)])


def _kill_background(soak: Soak) -> None:
    """Kill whatever process reclaims this store."""
    wanted = {b"hermes_checkpoints.upkeep.background", os.fsencode(soak.store)}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if wanted <= set(words):
                    os.kill(int(entry.name), signal.SIGKILL)


def _sample(measure: Callable[[], int], sizes: list[int], done: threading.Event) -> None:
    while not done.wait(0.05):
        sizes.append(measure())


def allocated(directory: Path) -> int:
    """Bytes of the blocks of all files and directories, as ``du`` counts them."""
    total, todo = 0, [os.fspath(directory)]
    while todo:
        with suppress(FileNotFoundError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def by_filesystem(soak: Soak) -> Callable[[], int]:
    """Measures what a filesystem has in use, less what the workspaces' files take."""
    workspaces = soak.ground / "workspaces"
    workspaces.mkdir(exist_ok=True)

    def used() -> int:
        status = os.statvfs(soak.ground)
        return (status.f_blocks - status.f_bfree) * status.f_frsize

    before = used()

    def measure() -> int:
        theirs = allocated(workspaces)
        size = used() - before
        return size - max(theirs, allocated(workspaces))  # they are edited meanwhile

    return measure


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def timed(soak: Soak, rounds: int = 25) -> dict[str, float]:
    """Medians of a one-file turn, and of listing, in a workspace that only this touches."""
    workspace = soak.workspace(soak.workspaces)
    times: dict[str, list[float]] = {"turn": [], "list": []}
    workspace.mkdir(parents=True, exist_ok=True)
    for number in range(100):
        (workspace / f"file {number}").write_bytes(os.urandom(2000))
    with soak.engine() as engine:
        engine.snapshot(workspace, "warm")
        for _ in range(rounds):
            (workspace / "file 0").write_bytes(os.urandom(2000))
            began = time.perf_counter()
            engine.snapshot(workspace, "timed")
            times["turn"].append(time.perf_counter() - began)
            began = time.perf_counter()
            engine.list(workspace)
            times["list"].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _check(soak: Soak, outcome: Outcome) -> None:
    """Lay out every listed snapshot, and compare it with what was logged when it was taken."""
    known = {row["id"]: row["digest"] for row in map(json.loads, soak.log.read_bytes().splitlines())}
    target = soak.ground / "laid out"
    with soak.engine() as engine:
        for number in range(soak.workspaces):
            listed = engine.list(soak.workspace(number))
            if not listed and soak.workspace(number).exists():
                outcome.lost_workspaces.append(f"{number:03}")
            for snapshot in listed:
                outcome.listed += 1
                try:
                    exported = engine.export(snapshot.workspace, snapshot.id, target)
                except SnapshotNotFound:  # a process in the background is still making room
                    continue
                expected = known.get(snapshot.id)  # killed before it could be logged: whole, whatever it is
                if exported.failed or (expected is not None and digest(target) != expected):
                    outcome.damaged.append(snapshot.id)
                shutil.rmtree(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--workspaces", type=int, default=30)
    parser.add_argument("--cap-mb", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--backend", default="shadow-git")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--by-filesystem", action="store_true")
    parser.add_argument("--agent", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    ground = asked.directory or Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(ground, asked.backend, asked.turns, asked.workspaces, asked.cap_mb << 20, asked.processes)
    if asked.agent is not None:
        agent(soak, asked.agent)
    outcome = run(soak, by_filesystem(soak) if asked.by_filesystem else None)
    print(f"{outcome.turns} turns, {outcome.kills} kills, {len(outcome.sizes)} samples")
    print(f"size: most {max(outcome.sizes) / 1e6:.1f} MB, median {statistics.median(outcome.sizes) / 1e6:.1f} MB")
    print(f"budget: {soak.cap / 1e6:.1f} MB; over it: {sum(size > soak.cap for size in outcome.sizes)} samples")
    print(
        f"{outcome.listed} snapshots listed, {len(outcome.damaged)} damaged; lost: {outcome.lost_workspaces or 'none'}"
    )
    for what, before in outcome.first.items():
        after = outcome.last[what]
        print(f"{what}: {before * 1000:.2f} ms at the start, {after * 1000:.2f} ms at the end ({after / before:.2f}x)")
    return 1 if outcome.damaged or max(outcome.sizes) > soak.cap else 0


if __name__ == "__main__":
    sys.exit(main())
