"""Measure what people would take instead, beside both of our backends, in one run.

    python benchmarks/peers.py [--on KIND]... [--rounds 5] [--results FILE] [--dir DIR]

Each has an equal tree of 5,000 files of 10 kB and a place of its own; each round, all take their turns. What is not
installed here is left out and named; hermes-agent and unedit are installed from PyPI into ``.benchmarks``. All samples
go into the file of results; ``report.py`` makes the tables and plots of them.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT / "tests" / "real_hermes")]

from ground import KEPT, RESULTS, Ground, grounds, note
from hermes_checkpoints import Engine
from rivals import Copy, Git, Hermes, Restic, Rival, Rsync, Unedit
from workload import EDITED, change_one, make_tree, source_text
from yardsticks import Absent, remove, run, timed, used

FILES = 5_000


class Ours(Rival):
    """The engine, in process."""

    what = "this package in process: `Engine.snapshot`; `Engine.restore`, which saves first"
    backend = ""

    def open(self, kept: Path) -> None:
        self._engine = Engine(store=self.place / "base", backend=self.backend)

    def save(self) -> None:
        self._engine.snapshot(self.tree)

    def rebuild(self) -> None:
        self._engine.restore(self.tree, "1")

    def close(self) -> None:
        self._engine.close()


class Command(Ours):
    """The command, a process each time."""

    what = "the command as a process: `hermes-checkpoints snapshot`; `restore 1`"

    def open(self, kept: Path) -> None:
        program = Path(sys.executable).with_name("hermes-checkpoints")
        self._command = [program, "--store", self.place / "base", "--backend", self.backend]

    def save(self) -> None:
        run(*self._command, "snapshot", cwd=self.tree)

    def rebuild(self) -> None:
        run(*self._command, "restore", "1", "--yes", cwd=self.tree)

    def close(self) -> None: ...


def ours(backend: str) -> dict[str, type[Rival]]:
    return {
        backend: type(backend, (Ours,), {"backend": backend}),
        f"{backend}, command": type(backend, (Command,), {"backend": backend}),
    }


RIVALS: dict[str, type[Rival]] = {
    **ours("shadow-git"),
    **ours("cow"),
    "hermes-agent 0.19.0": Hermes,
    "git": Git,
    "cp": Copy,
    "rsync": Rsync,
    "restic": Restic,
    "unedit": Unedit,
}


class Lane:
    """A rival at work, and what it was seen to take."""

    def __init__(self, rival: type[Rival], place: Path) -> None:
        self.tree = place / "tree"
        self.tree.mkdir(parents=True)
        make_tree(self.tree, FILES)
        self.rival = rival(KEPT, self.tree, place / "store")
        self.samples: dict[str, list[float]] = {}

    def note(self, work: str, value: float) -> None:
        self.samples.setdefault(work, []).append(round(value, 4))

    def first(self) -> None:
        before = used(self.tree)
        self.note("first", timed(self.rival.save))
        self.note("disk MB", (used(self.tree) - before) / 1e6)

    def turn(self, number: int) -> None:
        self.note("unchanged", timed(self.rival.save))
        change_one(self.tree, 2 * number)
        before = used(self.tree) if number else None
        self.note("one file", timed(self.rival.save))
        if before is not None:
            self.note("disk a turn MB", (used(self.tree) - before) / 1e6)

    def put_back(self, number: int) -> None:
        saved = (self.tree / EDITED).read_bytes()
        change_one(self.tree, 2 * number + 1)
        self.note("restore one", timed(lambda: self.rival.put_back(EDITED)))
        assert (self.tree / EDITED).read_bytes() == saved, "the file is not as it was"
        self.rival.save()

    def rebuild(self) -> None:
        for path in self.tree.iterdir():
            if path.name != self.rival.spares:
                remove(path)
        os.sync()
        self.note("restore all", timed(self.rival.rebuild))
        assert (self.tree / "package0/part0/module7.py").read_bytes() == source_text(7)
        assert sum(path.suffix == ".py" for path in self.tree.glob("*/*/*")) == FILES, "the tree is not as it was"
        self.rival.save()


def measure(ground: Ground, results: Path, *, rounds: int, only: Sequence[str] = ()) -> None:
    """Note the samples of each rival, or why there are none, and tell the medians."""
    found: dict[str, Any] = {}
    lanes: dict[str, Lane] = {}
    for name, rival in RIVALS.items():
        if only and name not in only:
            continue
        try:
            lanes[name] = Lane(rival, ground.root / "peers" / name.replace(" ", "-"))
        except Absent as why:
            found[name] = {"skipped": str(why), "what": rival.what}
    _race(lanes, rounds)
    for name, lane in lanes.items():
        lane.rival.close()
        found[name] = {"samples": lane.samples, "what": lane.rival.what}
    remove(ground.root / "peers")
    note(results, "peers", lambda peers: peers.setdefault(ground.kind, {}).update(found))
    for name, one in found.items():
        told = one.get("skipped") or ", ".join(
            f"{work} {statistics.median(spent):.1f}" for work, spent in one["samples"].items()
        )
        print(f"{ground.kind:6} {name:20} {told}", flush=True)


def _race(lanes: Mapping[str, Lane], rounds: int) -> None:
    for lane in lanes.values():
        lane.first()
    for number in range(rounds):
        for lane in lanes.values():
            lane.turn(number)
        for lane in lanes.values():
            lane.put_back(number)
    for _ in range(max(2, rounds // 3)):
        for lane in lanes.values():
            lane.rebuild()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", action="append", choices=["ext4", "xfs", "btrfs"], default=[], dest="kinds")
    parser.add_argument("--only", action="append", choices=[*RIVALS], default=[])
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    for ground in grounds(asked.kinds, asked.dir):
        measure(ground, asked.results, rounds=asked.rounds, only=asked.only)


if __name__ == "__main__":
    main()
