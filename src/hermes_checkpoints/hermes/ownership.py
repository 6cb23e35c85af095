"""Who wrote a file last: the agent, whose changes a safe restore takes back, or somebody else, whose changes stay.

Three kinds of evidence, each of the content that the agent left: what Hermes
says that it wrote; what had changed at the end of a turn, whoever wrote it, a
terminal command perhaps; and what changed from one of the agent's own snapshots
to the next, where nobody looked at the turn's end.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hermes_checkpoints.contract import Change, CheckpointError, Entry, Kind, Snapshot, ancestors, same
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.kit.walk.reading import Changed, open_regular

_GONE = b"gone"


@dataclass(slots=True)
class Turn:
    """A turn of the agent in one workspace."""

    start: Snapshot
    """The state that it began with."""
    looked_at: bool = False
    """Whether what it left was looked at when it ended."""


class Writes:
    """What one agent did, in whichever workspaces."""

    def __init__(self) -> None:
        self._left: dict[str, bytes | None] = {}
        """What the agent left at a resolved path, as ``_fingerprint`` says it."""
        self._turns: dict[Path, list[Turn]] = {}
        self._under_way: dict[Path, Turn] = {}

    def record(self, path: Path) -> None:
        """The agent has just written this path; through a symlink, perhaps."""
        for written in {path.parent.resolve() / path.name, path.resolve()}:
            self._left[str(written)] = _fingerprint(written)

    def restored(self, path: Path) -> None:
        """A restore has just written or removed this path: what it did can be taken back like the agent's work."""
        if self._left:
            self._left[str(path)] = _fingerprint(path)

    def begin(self, start: Snapshot) -> None:
        """A turn begins in a workspace, with that snapshot."""
        self._under_way[start.workspace] = turn = Turn(start)
        self._turns.setdefault(start.workspace, []).append(turn)

    def end(self, engine: Engine) -> None:
        """The turn is over: what differs from its beginning is the agent's.

        Without a word from Hermes about what it writes nobody will ask for a
        safe restore, and nothing is looked at.
        """
        under_way, self._under_way = self._under_way, {}
        if not self._left:
            return
        for workspace, turn in under_way.items():
            with suppress(CheckpointError):  # less is known then, and more is kept
                for change in engine.changes(turn.start):
                    self._left[str(workspace / change.path)] = _fingerprint(workspace / change.path)
                turn.looked_at = True

    def first(self, workspace: Path) -> Snapshot | None:
        """The state of a workspace before the agent's first turn in it."""
        turns = self._turns.get(workspace)
        return turns[0].start if turns else None

    def judge(self, engine: Engine, workspace: Path) -> "Judge | None":
        """What can be said before a restore; ``None`` when Hermes told nothing of what it wrote in the workspace."""
        top = f"{workspace}/"
        left = {path.removeprefix(top): what for path, what in self._left.items() if path.startswith(top)}
        return Judge(workspace, left, dict(self._left_between_snapshots(engine, workspace))) if left else None

    def _left_between_snapshots(self, engine: Engine, workspace: Path) -> Iterator[tuple[str, Entry | None]]:
        turns = self._turns.get(workspace, [])
        for turn, following in pairwise(turns):
            if not turn.looked_at and turn.start.id != following.start.id:
                with suppress(CheckpointError):  # one of them is forgotten
                    for change in engine.changes(turn.start, following.start):
                        yield change.path, change.after


class Judge:
    """Tells a restore what to keep, and remembers what that was."""

    def __init__(self, workspace: Path, left: dict[str, bytes | None], between: dict[str, Entry | None]) -> None:
        self._workspace = workspace
        self._left = left
        self._between = between
        self._above = {above for path in (*left, *between) for above in ancestors(path)}
        self.kept: list[str] = []
        self.conflicts: list[str] = []
        """Of these, what the agent had written before."""

    def __call__(self, change: Change) -> str | None:
        """Why a path stays as it is; ``None`` when the agent left it as it is now."""
        path = change.path
        if self._is_the_agents(change):
            return None
        self.kept.append(path)
        if path in self._left or path in self._between:
            self.conflicts.append(path)
            return "it was edited after the agent wrote it"
        return "the agent did not write it" if change.before is not None else "the agent did not remove it"

    def _is_the_agents(self, change: Change) -> bool:
        path = change.path
        if path in self._left:
            left = self._left[path]
            if change.before is None or (left is not None and left == _fingerprint(self._workspace / path)):
                return True
        if path in self._between and same(self._between[path], change.before):
            return True
        # A directory goes with what the agent wrote in it, and stays when something else is left there.
        return path in self._above and all(e is None or e.kind is Kind.DIR for e in (change.before, change.after))


def _fingerprint(path: Path) -> bytes | None:
    """What is at a path: a digest of its content, for one; ``None`` when it cannot be told."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return b"link to " + os.fsencode(os.readlink(path))
        if stat.S_ISDIR(status.st_mode):
            return b"directory"
        above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with open_regular(above, path.name) as fd, os.fdopen(os.dup(fd), "rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        finally:
            os.close(above)
    except (FileNotFoundError, NotADirectoryError):
        return _GONE
    except (OSError, Changed):
        return None
