"""A workspace between two states, and restores of it that were killed."""

import shutil
from collections.abc import Callable
from pathlib import Path

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place, Snapshot
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import asked_at_steps, killed_at, steps_of
from hermes_checkpoints.testing.witness import Seen, picture
from trees import put

POINTS = 24
INSIDE = 18
"""Of the points, those at which a restore has begun and not ended."""
FILES = 3
"""Edited ones: with what else changes few enough that each is written and renamed before the next."""


class Ground:
    """A workspace with two states, the earlier one saved; made again as often as it is wanted."""

    def __init__(self, directory: Path, backend: str, files: int = FILES) -> None:
        self.backend, self.files = backend, files
        self.halfway: list[int] = []
        """Steps at which a restore has written some files and not others."""
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
            put(self.workspace, f"edited/{number}", _then(number))
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
        """Steps at which to kill a restore: most of them lie where it is then interrupted, some before and after."""
        steps_of(self.restore)  # the first one in a fresh checkout also writes what Python has compiled
        self.again()
        noted = asked_at_steps(self.restore, self._note.exists)
        inside = _inside(noted)
        outside = _inside([not there for there in noted])
        return sorted(_some(inside, INSIDE) + _some(outside, POINTS - INSIDE))

    def half_written(self) -> bool:
        """Whether some of the edited files are as they were then, and others are not; their sizes tell."""
        sizes = [(self.workspace / f"edited/{number}").stat().st_size for number in range(self.files)]
        return 0 < sum(size == len(_then(number)) for number, size in enumerate(sizes)) < self.files

    @property
    def _note(self) -> Path:
        place = Place(self.store / "store", self.workspace)
        return place.store / "restoring" / f"{place.workspace_id}.json"


def _then(number: int) -> bytes:
    return b"then %d" % number * 50


def _inside(answers: list[bool]) -> list[int]:
    """The steps at which the answer was yes."""
    return [step for step, yes in enumerate(answers, 1) if yes]


def _some(steps: list[int], number: int) -> list[int]:
    """That many of the steps, spread evenly."""
    return [steps[index * len(steps) // number] for index in range(number)]


def kinds_without_modes(seen: dict[bytes, Seen]) -> dict[bytes, tuple[str, bytes]]:
    """A directory has its mode only when a restore is done."""
    return {path: (one.kind, one.content) for path, one in seen.items() if one.kind != "directory"}


def assert_old_or_new(ground: Ground) -> None:
    here = kinds_without_modes(picture(ground.workspace))
    then, now = kinds_without_modes(ground.then), kinds_without_modes(ground.now)
    for path in then.keys() & now.keys():
        assert here.get(path) in (then[path], now[path]), path
    for path in here.keys() - then.keys() - now.keys():
        assert any(part.startswith(b".hermes-checkpoints-") for part in path.split(b"/")), path


def half_done(ground: Ground) -> None:
    """A restore that was killed with some files written and others not."""
    if not ground.halfway:
        ground.again()
        ground.halfway = _inside(asked_at_steps(ground.restore, ground.half_written))
    for step in ground.halfway:  # what is kept in memory may have moved them since
        if ground.killed(step) and ground.half_written():
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
