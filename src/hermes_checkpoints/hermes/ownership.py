"""Who wrote a file last: the agent, whose changes a safe restore takes back, or somebody else, whose changes stay.

Three kinds of evidence, each of the content that the agent left: what Hermes
says that it wrote; what had changed at the end of a turn, whoever wrote it, a
terminal command perhaps; and what changed from one of the agent's own snapshots
to the next, where nobody looked at the turn's end.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hermes_checkpoints.contract import Change, CheckpointError, Entry, Kind, Snapshot, ancestors, same
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import Changed, open_regular

_GONE = b"gone"

Left = dict[str, set[bytes]]
"""What the agent left at a path, each time, as ``_fingerprint`` says it: an undo brings back what it left before."""


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
        self._left: Left = {}
        """By resolved path."""
        self._turns: dict[Path, list[Turn]] = {}
        self._under_way: dict[Path, Turn] = {}

    def record(self, path: Path) -> None:
        """The agent has just written this path; through a symlink, perhaps."""
        for written in {path.parent.resolve() / path.name, path.resolve()}:
            known = [workspace for workspace in [*self._turns] if workspace in written.parents]
            workspace = max(known, key=lambda one: len(one.parts), default=written.parent)
            self._note(workspace, str(written.relative_to(workspace)))

    def restored(self, workspace: Path, paths: Iterable[str]) -> None:
        """A restore has just written or removed these: what it did can be taken back like the agent's work."""
        if self._left:
            for path in paths:
                self._note(workspace, path)

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
            turn.looked_at = True
            with suppress(CheckpointError):  # less is known then, and more is kept
                for change in engine.changes(turn.start):
                    self._note(workspace, change.path)

    def break_off(self) -> None:
        """The turn ended long ago, and nobody knows when: what differs now may be anybody's."""
        for turn in self._under_way.values():
            turn.looked_at = True
        self._under_way = {}

    def starts(self, workspace: Path) -> list[Snapshot]:
        """The states of a workspace before each of the agent's turns in it, the first one first."""
        return [turn.start for turn in self._turns.get(workspace, [])]

    def judge(self, engine: Engine, workspace: Path) -> "Judge | None":
        """What can be said before a restore; ``None`` when Hermes told nothing of what it wrote in the workspace."""
        top = f"{workspace}/"
        left = {path.removeprefix(top): what for path, what in [*self._left.items()] if path.startswith(top)}
        return Judge(workspace, left, dict(self._left_between_snapshots(engine, workspace))) if left else None

    def _note(self, workspace: Path, path: str) -> None:
        left = self._left.setdefault(f"{workspace}/{path}", set())
        if (now := _fingerprint(workspace, path)) is not None:
            left.add(now)

    def _left_between_snapshots(self, engine: Engine, workspace: Path) -> Iterator[tuple[str, Entry | None]]:
        turns = self._turns.get(workspace, [])
        for turn, following in pairwise(turns):
            if not turn.looked_at and turn.start.id != following.start.id:
                with suppress(CheckpointError):  # one of them is forgotten
                    for change in engine.changes(turn.start, following.start):
                        yield change.path, change.after


class Judge:
    """Tells a restore what to keep, and remembers what that was."""

    def __init__(self, workspace: Path, left: Left, between: dict[str, Entry | None]) -> None:
        self._workspace = workspace
        self._left = left
        self._between = between
        self._above = {above for path in (*left, *between) for above in ancestors(path)}
        self.kept: dict[str, bool] = {}
        """What is kept, and of each path whether it is a conflict: the agent had written it before."""

    def __call__(self, change: Change) -> str | None:
        """Why a path stays as it is; ``None`` when the agent left it as it is now."""
        path = change.path
        if self._is_the_agents(change):
            return None
        self.kept[path] = path in self._left or path in self._between
        if self.kept[path]:
            return "it was edited after the agent wrote it"
        return "the agent did not write it" if change.before is not None else "the agent did not remove it"

    def _is_the_agents(self, change: Change) -> bool:
        path = change.path
        if path in self._left and (change.before is None or _fingerprint(self._workspace, path) in self._left[path]):
            return True
        if path in self._between and same(self._between[path], change.before):
            return True
        # A directory comes and goes with what the agent wrote in it, and stays when something else is left there.
        entries = [entry for entry in (change.before, change.after) if entry is not None]
        return path in self._above and len(entries) == 1 and entries[0].kind is Kind.DIR


def _fingerprint(workspace: Path, path: str) -> bytes | None:
    """What is at a path: a digest of its content, for one; ``None`` when it cannot be told."""
    *above, name = path.split("/")
    try:
        with Descent(str(workspace)) as at:
            at.go(tuple(above))
            status = os.lstat(name, dir_fd=at.fd)
            if stat.S_ISLNK(status.st_mode):
                return b"link to " + os.fsencode(os.readlink(name, dir_fd=at.fd))
            mode = b"%o " % stat.S_IMODE(status.st_mode)
            if stat.S_ISDIR(status.st_mode):
                return mode + b"directory"
            with open_regular(at.fd, name) as fd, os.fdopen(os.dup(fd), "rb") as file:
                return mode + hashlib.file_digest(file, "sha256").digest()
    except (FileNotFoundError, NotADirectoryError):
        return _GONE
    except (OSError, Changed):
        return None
