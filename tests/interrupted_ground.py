"""A workspace between two states, and restores of it that were killed."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Snapshot
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import Seen, picture
from trees import put

POINTS = 24
FILES = 3
"""Edited ones: with what else changes few enough that each is written and renamed before the next."""


class Ground:
    """A workspace with two states, the earlier one saved; made again as often as it is wanted."""

    def __init__(self, directory: Path, backend: str, files: int = FILES) -> None:
        self.backend, self.files, self.halfway = backend, files, 0
        self.workspace, self.store = directory / "workspace", directory / "store"
        self._kept = directory / "kept"
        self._fill()
        with self.engine() as engine:
            taken = engine.snapshot(self.workspace)
            assert isinstance(taken, Taken)
            self.target = taken.snapshot.id
        self.then = picture(self.workspace)
        self._edit()
        self.now = picture(self.workspace)
        shutil.copytree(directory / "workspace", self._kept / "workspace", symlinks=True)
        shutil.copytree(directory / "store", self._kept / "store", symlinks=True)

    def _fill(self) -> None:
        for number in range(self.files):
            put(self.workspace, f"edited/{number}", b"then %d" % number * 50)
        put(self.workspace, "gone/file", b"gone")
        put(self.workspace, "a file", b"becomes a directory")
        put(self.workspace, "a directory/file", b"becomes a file")
        put(self.workspace, "closed/file", b"then").parent.chmod(0o700)
        put(self.workspace, "mode", b"same").chmod(0o644)
        (self.workspace / "link").symlink_to("edited")

    def _edit(self) -> None:
        for number in range(self.files):
            put(self.workspace, f"edited/{number}", b"now %d" % number * 70)
        shutil.rmtree(self.workspace / "gone")
        (self.workspace / "a file").unlink()
        put(self.workspace, "a file/below", b"new")
        shutil.rmtree(self.workspace / "a directory")
        put(self.workspace, "a directory", b"now a file")
        put(self.workspace, "closed/file", b"now").parent.chmod(0o500)
        (self.workspace / "mode").chmod(0o600)
        (self.workspace / "link").unlink()
        put(self.workspace, "link", b"now a file")
        put(self.workspace, "new/file", b"new")

    def engine(self) -> Engine:
        return Engine(store=self.store, backend=self.backend)

    def again(self) -> None:
        for name in ("workspace", "store"):
            shutil.rmtree(self.workspace.parent / name)
            shutil.copytree(self._kept / name, self.workspace.parent / name, symlinks=True)

    def restore(self) -> None:
        with self.engine() as engine:
            engine.restore(self.workspace, self.target)

    def killed(self, step: int) -> bool:
        """Begin anew, and a restore that is killed at that step; whether it came to that."""
        self.again()
        return killed_at(step, self.restore)

    def steps(self) -> list[int]:
        steps_of(self.restore)  # the first one in a fresh checkout also writes what Python has compiled
        self.again()
        every = steps_of(self.restore)
        self.again()
        return list(range(1, every + 1, max(1, every // POINTS)))


def kinds_without_modes(seen: dict[bytes, Seen]) -> dict[bytes, tuple[str, bytes]]:
    """A directory has its mode only when a restore is done."""
    return {path: (one.kind, one.content) for path, one in seen.items() if one.kind != "directory"}


def assert_old_or_new(ground: Ground) -> None:
    here = kinds_without_modes(picture(ground.workspace))
    then, now = kinds_without_modes(ground.then), kinds_without_modes(ground.now)
    for path in then.keys() & now.keys():
        assert here.get(path) in (then[path], now[path]), path
    for path in here.keys() - then.keys() - now.keys():
        assert path.rpartition(b"/")[2].startswith(b".hermes-checkpoints-"), path


def _from_the_end(ground: Ground) -> Iterator[int]:
    """Every step of a restore, the last one first."""
    ground.again()
    yield from range(steps_of(ground.restore), 0, -1)


def half_done(ground: Ground) -> None:
    """A restore that was killed with some files written and others not."""
    # The one that was found before is tried first; what is kept in memory may have moved it since.
    for step in itertools.chain([ground.halfway or 1], _from_the_end(ground)):
        if not ground.killed(step):
            continue  # it had fewer steps this time: what was asked before is remembered
        here = picture(ground.workspace)
        names = [b"edited/%d" % number for number in range(ground.files)]
        if 0 < sum(here[name] == ground.then[name] for name in names) < ground.files:
            ground.halfway = step
            return
    raise AssertionError("a restore cannot be cut in the middle")


def kinds(seen: dict[bytes, Seen]) -> dict[bytes, Seen]:
    return {path: one for path, one in seen.items() if one.kind != "directory"}


def interrupted_ends(ground: Ground) -> set[str]:
    with ground.engine() as engine:
        found = engine.interrupted(ground.workspace)
        assert found is not None
        return {found.safety, found.target}


def steps_of_on_a_copy(ground: Ground, act: Callable[[], None]) -> int:
    """How many steps it takes; what it did is taken back."""
    steps = steps_of(act)
    half_done(ground)
    return steps


def listed(ground: Ground) -> list[Snapshot]:
    with ground.engine() as engine:
        return engine.list(ground.workspace)
