"""A workspace and its snapshots on a disk whose power fails, and what must be there when it is back.

A child takes snapshots, edits, forgets, reclaims and restores until the power
fails, and tells the parent over a pipe what it is about to do and what it was
answered. What it was answered is promised; the parent looks for it afterwards.
"""

import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from disks import Disk
from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.contract import Place, Snapshot
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.witness import difference, picture
from living import KEEP_ALL, LARGE, Child, Moment, Picture, pictured
from trees import put


@dataclass
class Life:
    """One workspace, one store on ``disk``, and what is promised about them."""

    disk: Disk
    backend: str
    workspace: Path
    store: Path
    files: int = 24
    """In the workspace, at first. As many as half of these change at a time: a restore writes a few or many."""
    random: Random = field(default_factory=Random)
    promised: dict[str, Picture] = field(default_factory=dict)
    """Every snapshot that was reported as taken, forgotten ones too: they may come back, whole."""
    forgotten: set[str] = field(default_factory=set)
    steps: dict[str, int] = field(default_factory=dict)
    """The most that an act was seen to have."""
    reported: int = 0
    cuts: int = 0
    ended: int = 0
    """Restores that were cut and then finished or taken back."""
    _taking: list[Picture] = field(default_factory=list)
    _restoring: tuple[Picture, Picture] | None = None

    def begin(self) -> None:
        """A workspace to start from, on the medium."""
        self.workspace.mkdir(parents=True)
        for number in range(self.files):
            put(self.workspace, f"src/{number % 3}/{number}.py", self.random.randbytes(self.random.randrange(1, 9000)))
        put(self.workspace, "large", self.random.randbytes(LARGE))
        (self.workspace / "link").symlink_to("large")
        os.sync()

    def until(self, moment: Moment) -> None:
        """Live until the power fails, and look at what is left of it."""
        mine, theirs = multiprocessing.Pipe(duplex=False)
        handle = self.disk.handle()

        def live() -> None:
            mine.close()
            with Child(self, theirs, handle, moment) as child:
                child.live()

        self._taking, self._restoring = [], None
        child = start(live)
        theirs.close()
        told = self._hear(mine, moment.seconds)
        if moment.seconds:
            if self.disk.kind == "btrfs":  # what is reported after the copy would not be in it
                os.kill(child.pid, signal.SIGKILL)
                told += self._hear(mine)
            self.disk.cut(handle, keep_log=moment.keep_log)
            told += self._hear(mine)
        finish(child)
        os.close(handle)
        for what, *about in told:
            getattr(self, f"_heard_{what}")(*about)
        mine.close()
        self.cuts += 1
        self.disk.again()
        self.outlived()

    @staticmethod
    def _hear(mine: Connection, seconds: float = 0) -> list[tuple]:
        """What the child tells, until it is silent for ever or some seconds have passed."""
        told = []
        deadline = time.monotonic() + seconds
        try:
            while not seconds or mine.poll(max(0.0, deadline - time.monotonic())):
                told.append(mine.recv())
                if seconds and time.monotonic() >= deadline:
                    break
        except EOFError:
            pass
        return told

    def _heard_takes(self, now: Picture) -> None:
        self._taking.append(now)
        self._restoring = None

    def _heard_taken(self, snapshot: str) -> None:
        self.promised[snapshot] = self._taking.pop()
        self.reported += 1

    def _heard_forgets(self, snapshots: list[str]) -> None:
        self.forgotten.update(snapshots)

    def _heard_restores(self, before: Picture, target: str) -> None:
        self._taking.append(before)
        self._restoring = before, self.promised[target]

    def _heard_edits(self) -> None:
        self._restoring = None

    def _heard_steps(self, act: str, steps: int) -> None:
        self.steps[act] = max(steps, self.steps.get(act, 0))

    def outlived(self) -> None:
        """Everything promised is there, whole; nothing else is listed but what was being taken; and it goes on."""
        self._restored_in_part()
        with Engine(store=self.store, backend=self.backend, limits=KEEP_ALL) as engine:
            listed = engine.list(self.workspace)
            ids = {snapshot.id for snapshot in listed}
            assert self.promised.keys() - self.forgotten <= ids, "a snapshot that was reported is gone"
            for snapshot in listed:
                self._is_whole(engine, snapshot)
            self._ends_the_restore(engine)
            put(self.workspace, "after the cut", b"%d" % self.cuts)
            now = pictured(self.workspace)
            taken = engine.snapshot(self.workspace, "after a power cut")
            assert isinstance(taken, Taken)
            self.promised[taken.snapshot.id] = now
            self._is_whole(engine, taken.snapshot)
            assert picture(self.workspace) == now, "something that the restore left is still there"

    def _is_whole(self, engine: Engine, snapshot: Snapshot) -> None:
        place = Place(engine.settings.store, snapshot.workspace)
        with plugins.load(snapshot.backend).open(place) as backend:
            assert list(backend.verify(snapshot.id)) == []
        with tempfile.TemporaryDirectory() as ground:
            target = Path(ground, "laid out")
            assert engine.export(self.workspace, snapshot.id, target).failed == []
            seen = picture(target)
        if snapshot.id not in self.promised:
            assert seen in self._taking, "a snapshot is listed of a state that never was"
            self.promised[snapshot.id] = seen
        differing = difference(self.promised[snapshot.id], seen)
        assert differing == [], f"a snapshot is not what was taken: {differing}"

    def _ends_the_restore(self, engine: Engine) -> None:
        """One that was cut is told of, and can be finished or taken back."""
        interrupted = engine.interrupted(self.workspace)
        if self._restoring is None:
            assert interrupted is None, "a restore that had ended is said to be interrupted"
            return
        now = pictured(self.workspace)
        if interrupted is None:
            assert now in self._restoring, "nobody says that a restore was interrupted"
            return
        end = self.random.randrange(2)
        done = (engine.finish_restore if end else engine.abort_restore)(self.workspace)
        self.promised[done.safety.id] = now
        differing = difference(self._restoring[end], pictured(self.workspace))
        assert differing == [], f"an interrupted restore was {'finished' if end else 'taken back'}: {differing}"
        self.ended += 1

    def _restored_in_part(self) -> None:
        """Each path that a restore was about is the old one or the new one, and nothing else came but scratch files."""
        if self._restoring is None:
            return
        before, after = (_without_modes_of_directories(one) for one in self._restoring)
        now = _without_modes_of_directories(pictured(self.workspace))
        for path in before.keys() | after.keys() | now.keys():
            assert now.get(path) in (before.get(path), after.get(path)), f"{path!r} is neither old nor new"


def _without_modes_of_directories(seen: Picture) -> Picture:
    """A restore that was cut may have left a directory as its owner's alone."""
    return {path: one._replace(mode=0) if one.kind == "directory" else one for path, one in seen.items()}
