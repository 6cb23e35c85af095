"""The process that lives with snapshots until its power fails, and tells what it is promised."""

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import Seen, picture
from trees import put

if TYPE_CHECKING:
    from power import Life

Picture = dict[bytes, Seen]

ACTS = ("take", "restore", "forget", "reclaim")
# What the interpreter tells of touching files, the call before syncfs among it; the rest is wrapped.
_STEPS = ("open", "os.", "fcntl.", "shutil.", "ctypes.dlsym")
_WRAPPED = ("write", "pwrite", "fsync", "fdatasync")
# The engine forgets nothing by itself: what was reported stays promised.
KEEP_ALL = Limits(max_snapshots=10_000, max_total_size=0, min_free_disk=0, retention_days=0)
_LISTED = 6
_SCRATCH = SCRATCH_PREFIX.encode()
LARGE = 200_000  # cloned where that is possible


@dataclass(frozen=True, slots=True)
class Moment:
    """When the power fails: as the n-th step of an act begins, or after some seconds."""

    act: str = ""
    step: int = 0
    seconds: float = 0
    keep_log: bool = False


def pictured(workspace: Path) -> Picture:
    """What a workspace holds but for what restores that were cut left beside files."""
    seen = picture(workspace)
    return {path: one for path, one in seen.items() if _SCRATCH not in path}


class Child:
    """The one who lives; the power fails at its moment."""

    def __init__(self, life: "Life", tell: Connection, handle: int, moment: Moment) -> None:
        self._life = life
        self._random = Random(life.random.random())
        self._connection = tell
        self._handle = handle
        self._moment = moment
        self._act = ""
        self._steps = 0

    def __enter__(self) -> "Child":
        sys.addaudithook(lambda event, _: self._step() if event.startswith(_STEPS) else None)
        for name in _WRAPPED:
            setattr(os, name, self._stepping(getattr(os, name)))
        return self

    def __exit__(self, *_: object) -> None:
        self._act = ""

    def _stepping(self, call: Callable) -> Callable:
        def stepping(*arguments: object) -> object:
            self._step()
            return call(*arguments)

        return stepping

    def _step(self) -> None:
        if not self._act:
            return
        self._steps += 1
        if self._act == self._moment.act and self._steps == self._moment.step:
            self._end()

    def _end(self) -> None:
        self._act = ""
        self._life.disk.cut(self._handle, keep_log=self._moment.keep_log)
        os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _doing(self, act: str, *about: object) -> Iterator[None]:
        if about:
            self._connection.send(about)
        self._act, self._steps = act, 0
        try:
            yield
        finally:
            self._act = ""
        if act == self._moment.act and self._moment.step > self._steps:
            self._end()  # it had fewer steps this time: when it is done, and nobody has been told
        self._connection.send(("steps", act, self._steps))

    def live(self) -> None:
        """Until the power fails: then everything that the engine is asked for is refused, and nothing else raised."""
        life = self._life
        try:
            with Engine(store=life.store, backend=life.backend, limits=KEEP_ALL) as engine:
                for turn in itertools.count():
                    self._turn(engine, turn)
        except (CheckpointError, _Edited):
            pass

    def _turn(self, engine: Engine, turn: int) -> None:
        workspace = self._life.workspace
        with _editing():
            self._connection.send(("edits",))
            self._edit(workspace, turn)
            now = pictured(workspace)
        with self._doing("take", "takes", now):
            taken = engine.snapshot(workspace, f"turn {turn}")
        assert isinstance(taken, Taken)
        self._connection.send(("taken", taken.snapshot.id))
        listed = engine.list(workspace)
        if turn % 2 == 1:
            self._restore(engine, now, self._random.choice(listed[1:] or listed).id)
        if len(listed) > _LISTED:
            going = listed[_LISTED // 2 :]
            with self._doing("forget", "forgets", [one.id for one in going]):
                engine.upkeep.forget(going)
            with self._doing("reclaim"):
                engine.upkeep.maintain()

    def _restore(self, engine: Engine, now: Picture, target: str) -> None:
        with _editing():
            os.sync()  # what was there before is to be the old state
            with (self._life.workspace / "turn").open("ab") as file:
                os.fsync(file.fileno())  # unlike the call before, it says when the power is off
        with self._doing("restore", "restores", now, target):
            done = engine.restore(self._life.workspace, target)
        if done.failed:
            raise _Edited  # the power is off
        self._connection.send(("taken", done.safety.id))

    def _edit(self, workspace: Path, turn: int) -> None:
        pick, life = self._random, self._life
        for _ in range(life.files // 2):
            number = pick.randrange(2 * life.files)
            path = workspace / "src" / str(number % 3) / f"{number}.py"
            if path.exists() and pick.random() < 0.2:
                path.unlink()
            else:
                put(workspace, str(path.relative_to(workspace)), pick.randbytes(pick.randrange(9000)))
        with put(workspace, "turn", b"%d %d" % (turn, pick.getrandbits(32))).open("ab") as file:
            file.write(b"\n")
        with (workspace / "large").open("r+b") as large:
            large.seek(pick.randrange(LARGE))
            large.write(b"edit %d" % turn)


class _Edited(Exception):
    """The workspace itself cannot be edited any more: the power is off."""


@contextmanager
def _editing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Edited from error
