"""The list of checkpoints, with what changed from each to the next."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from hermes_checkpoints.contract import Kind, Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.answers import Counts, entry_of
from hermes_checkpoints.hermes.guarding import Answer

# Beyond as many changed files, or bytes in them, lines are not counted: the list must come at once.
_MOST_FILES, _MOST_BYTES = 200, 4 << 20


class Listing:
    """Makes lists, and remembers the figures: a snapshot never changes."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}

    def rows(self, engine: Engine, workspace: Path) -> list[Answer]:
        """The checkpoints of a directory as Hermes knows them, newest first; no process is started for any of them.

        Each is compared with the one before it. Lines are counted where not
        too much changed, else they are 0; so are all figures of the oldest one.
        """
        snapshots = engine.list(workspace)
        return [
            entry_of(snapshot, counts)
            for snapshot, counts in zip(snapshots, self._figures(engine, snapshots), strict=True)
        ]

    def _figures(self, engine: Engine, snapshots: Sequence[Snapshot]) -> list[Counts]:
        found = [self._compared(engine, before, after) for after, before in pairwise(snapshots)]
        return [*found, (0, 0, 0)][: len(snapshots)]

    def _compared(self, engine: Engine, before: Snapshot, after: Snapshot) -> Counts:
        if before.backend != after.backend:
            return 0, 0, 0  # two backends can only be compared content by content
        pair = before.id, after.id
        if pair not in self._counts:
            self._counts[pair] = _counted(engine, before, after)
        return self._counts[pair]


def _counted(engine: Engine, before: Snapshot, after: Snapshot) -> Counts:
    sizes = [
        max(entry.size for entry in (change.before, change.after) if entry is not None)
        for change in engine.changes(before, after)
        if any(entry is not None and entry.kind in (Kind.FILE, Kind.LINK) for entry in (change.before, change.after))
    ]
    if len(sizes) > _MOST_FILES or sum(sizes) > _MOST_BYTES:
        return len(sizes), 0, 0
    diffs = list(engine.diff_between(before, after))
    return len(diffs), sum(diff.added for diff in diffs), sum(diff.removed for diff in diffs)
