"""Members of a crowd: each takes, lists, restores, forgets and reclaims, and notes what it was told.

A member edits only a directory of its own, in which every file says whose it
is and of which turn. So whoever looks at any snapshot can tell, from the
snapshot and the notes alone, whether something in it is torn, mixed or lost.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.cli import codes
from hermes_checkpoints.contract import SnapshotNotFound, StoreBusy
from hermes_checkpoints.results import Taken, Unchanged

# Nothing goes but what a member forgets.
LIMITS = Limits(max_snapshots=100_000, max_total_size=0)
_COMMAND = [sys.executable, "-m", "hermes_checkpoints"]
# Around the sizes at which the backends choose another way.
_LINES = (1, 40, 2_500, 6_000)


class Door(Protocol):
    """A way to snapshots of one workspace. Raises ``StoreBusy`` and ``SnapshotNotFound``."""

    def take(self, reason: str) -> str: ...
    def listed(self) -> list[str]: ...
    def export(self, snapshot: str, target: Path) -> None: ...
    def restore(self, snapshot: str, path: str) -> str: ...
    def forget(self, snapshot: str) -> None: ...
    def reclaim(self) -> None: ...


class ThroughEngine:
    """In this process; several members may share an engine."""

    def __init__(self, engine: Engine, workspace: Path) -> None:
        self._engine = engine
        self._workspace = workspace

    def take(self, reason: str) -> str:
        outcome = self._engine.snapshot(self._workspace, reason)
        assert isinstance(outcome, Taken | Unchanged)
        return (outcome.snapshot if isinstance(outcome, Taken) else outcome.latest).id

    def listed(self) -> list[str]:
        found = self._engine.list(self._workspace)
        dates = [snapshot.created_ns for snapshot in found]
        assert dates == sorted(set(dates), reverse=True), "out of order, or twice"
        return [snapshot.id for snapshot in found]

    def export(self, snapshot: str, target: Path) -> None:
        done = self._engine.export(self._workspace, snapshot, target)
        assert not done.failed, done.failed

    def restore(self, snapshot: str, path: str) -> str:
        done = self._engine.restore(self._workspace, snapshot, [path])
        assert not done.failed and not done.kept, done
        return done.safety.id

    def forget(self, snapshot: str) -> None:
        self._engine.upkeep.forget([self._engine.find(self._workspace, snapshot)])

    def reclaim(self) -> None:
        done = self._engine.upkeep.maintain()
        assert not done.troubles, done.troubles


class ThroughCommand:
    """By the command line, a process for each call."""

    def __init__(self, store: Path, backend: str, workspace: Path) -> None:
        self._everywhere = ["--json", "--store", os.fspath(store), "--backend", backend]
        self._workspace = os.fspath(workspace)

    def _run(self, *words: str, fine: tuple[int, ...] = (codes.DONE,)) -> dict:
        command = [*_COMMAND, *self._everywhere, *words]
        ran = subprocess.run(command, capture_output=True, timeout=120)
        if ran.returncode in (codes.BUSY, codes.NOT_FOUND):
            raise StoreBusy(ran.stderr) if ran.returncode == codes.BUSY else SnapshotNotFound(ran.stderr)
        assert ran.returncode in fine, (words, ran.returncode, ran.stdout, ran.stderr)
        return json.loads(ran.stdout)

    def take(self, reason: str) -> str:
        return self._run("snapshot", self._workspace, "-m", reason)["id"]

    def listed(self) -> list[str]:
        return [one["id"] for one in self._run("list", self._workspace)["snapshots"]]

    def export(self, snapshot: str, target: Path) -> None:
        self._run("export", snapshot, os.fspath(target), self._workspace)

    def restore(self, snapshot: str, path: str) -> str:
        return self._run("restore", snapshot, self._workspace, "--path", path, "--yes")["safety"]

    def forget(self, snapshot: str) -> None:
        self._run("forget", snapshot, "--dir", self._workspace)

    def reclaim(self) -> None:
        # Incomplete: somebody was storing all the while.
        assert not self._run("maintain", fine=(codes.DONE, codes.INCOMPLETE))["troubles"]


def content(member: str, turn: int, number: int) -> bytes:
    """What a member's file of some turn holds; the first line tells which one it is."""
    lines = random.Random(f"{member} {turn} {number}").choice(_LINES)
    return f"{member} {turn} {number}\n".encode() * lines


def files(member: str, turn: int) -> dict[str, bytes]:
    """A member's directory at some turn."""
    chance = random.Random(f"{member} {turn}")
    return {f"{chance.randrange(2)}/{number}": content(member, turn, number) for number in range(chance.randint(2, 5))}


def found(directory: Path) -> dict[str, bytes]:
    """What a member's directory holds, but for what was just being written."""
    return {
        f"{file.parent.name}/{file.name}": file.read_bytes()
        for file in directory.glob("*/*")
        if not file.name.endswith(".new")
    }


class Member:
    """One of the crowd, at work through a door, with a file of notes that outlives it."""

    def __init__(self, name: str, door: Door, workspace: Path, notes: Path, wait: float) -> None:
        self._name = name
        self._door = door
        self._own = workspace / name
        self._notes = notes / f"{workspace.name} {name}"
        self._scratch = notes.parent / f"export of {name} in {workspace.name}"
        self._wait = wait
        self._chance = random.Random(name)
        self._last = 0
        """The last turn; ``_now`` may be an earlier one that was restored."""
        self._now = 0
        self._held: list[tuple[str, int]] = []
        self.done: Counter[str] = Counter()

    def work(self, acts: int) -> Counter[str]:
        """Do something so many times; how often what was done."""
        self._take()
        weights = {self._take: 6, self._list: 2, self._restore: 3, self._export: 2, self._forget: 2, self._reclaim: 2}
        for act in self._chance.choices([*weights], [*weights.values()], k=acts):
            with self._in_a_crowd():
                act()
                self.done[act.__name__.strip("_")] += 1
        return self.done

    @contextmanager
    def _in_a_crowd(self) -> Iterator[None]:
        """What may be the matter: somebody else forgot the snapshot, or was at work for longer than we wait."""
        began = time.monotonic()
        try:
            yield
        except SnapshotNotFound:
            self.done["gone"] += 1
        except StoreBusy:
            assert time.monotonic() - began >= self._wait, "busy without having waited"
            self.done["busy"] += 1

    def _note(self, word: str, snapshot: str, turn: int | None = None) -> None:
        with self._notes.open("a") as notes:
            notes.write(json.dumps([word, snapshot, self._name, turn]) + "\n")

    def _told(self, snapshot: str, turn: int) -> None:
        self._note("holds", snapshot, turn)
        self._held.append((snapshot, turn))

    def _edit(self) -> None:
        self._last += 1
        wanted = files(self._name, self._last)
        for path in found(self._own).keys() - wanted.keys():
            (self._own / path).unlink()
        for path, data in wanted.items():
            file = self._own / path
            file.parent.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f"{file.name}.new")
            beside.write_bytes(data)
            beside.rename(file)
        self._now = self._last

    def _take(self) -> None:
        self._edit()
        self._told(self._door.take(f"{self._name} {self._now}"), self._now)

    def _list(self) -> None:
        assert self._door.listed()

    def _restore(self) -> None:
        snapshot, turn = self._chance.choice(self._held)
        safety = self._door.restore(snapshot, self._name)
        before, self._now = self._now, turn
        assert found(self._own) == files(self._name, turn), "something else came back"
        self._told(safety, before)

    def _export(self) -> None:
        snapshot, turn = self._chance.choice(self._held)
        try:
            self._door.export(snapshot, self._scratch)
            assert found(self._scratch / self._name) == files(self._name, turn)
        except AssertionError:
            if snapshot in self._door.listed():
                raise
            raise SnapshotNotFound("it was forgotten, and its space given back, as it was read") from None
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _forget(self) -> None:
        if old := self._door.listed()[3:]:
            snapshot = self._chance.choice(old)
            self._note("forgets", snapshot)
            self._door.forget(snapshot)

    def _reclaim(self) -> None:
        self._door.reclaim()


def accounted_for(workspace: Path, store: Path, backend: str, notes: Path, ground: Path) -> int:
    """Nothing that nobody forgot is lost, and every snapshot that is listed is what was said of it; how many those are.

    Raises ``AssertionError``.
    """
    rows = [
        json.loads(line)
        for file in notes.glob(f"{workspace.name} *")
        for line in file.read_text().splitlines(keepends=True)
        if line.endswith("\n")  # of one that was killed as it wrote
    ]
    forgotten = {snapshot for word, snapshot, _, _ in rows if word == "forgets"}
    claims = [(snapshot, member, turn) for word, snapshot, member, turn in rows if word == "holds"]
    with Engine(store=store, backend=backend, limits=LIMITS) as engine:
        listed = {snapshot.id: snapshot.note.reason for snapshot in engine.list(workspace)}
        lost = {snapshot for snapshot, _, _ in claims} - forgotten - listed.keys()
        assert not lost, f"nobody forgot these: {lost}"
        for snapshot, reason in listed.items():
            target = ground / "accounted for"
            exported = engine.export(workspace, snapshot, target)
            assert not exported.failed, exported.failed
            told = {(member, turn) for said, member, turn in claims if said == snapshot}
            if not reason.startswith("before"):  # what a member that was killed did not come to note
                member, turn = reason.split(" ")
                told.add((member, int(turn)))
            for member, turn in told:
                assert found(target / member) == files(member, turn), f"{snapshot} is not what {member} was told"
            for directory in target.iterdir():
                for path, data in found(directory).items():
                    member, turn, number = data[: data.index(b"\n")].decode().split(" ")
                    assert (member, number) == (directory.name, path.partition("/")[2]), "a file in another's place"
                    assert data == content(member, int(turn), int(number)), f"{path} is torn"
            shutil.rmtree(target)
    return len(listed)
