"""The list of checkpoints, with what changed from each to the next, and how it is shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import CheckpointError, Entry, Kind, Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.guarding import Answer
from hermes_checkpoints.wording import counted, harmless

Counts = tuple[int, int, int]
"""Files that differ, lines added, lines removed."""
# Beyond as many changed files, or bytes in them, in one list, lines are not counted: the list must come at once.
_MOST_FILES, _MOST_BYTES = 400, 1 << 20


class Listing:
    """Makes lists, and remembers the figures: a snapshot never changes."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counts] = {}

    def rows(self, engine: Engine, workspace: Path) -> list[Answer]:
        """The checkpoints of a directory as Hermes knows them, newest first; no process is started for any of them.

        Each is compared with the one before it. Lines are counted as long as
        that is not too much for one list, else they are 0; so are all figures
        of the oldest one, and of one that cannot be compared.
        """
        snapshots = engine.list(workspace)
        counting = _Counting(engine)
        figures = [self._compared(counting, before, after) for after, before in pairwise(snapshots)]
        return [entry_of(*row) for row in zip(snapshots, [*figures, (0, 0, 0)], strict=False)]

    def _compared(self, counting: "_Counting", before: Snapshot, after: Snapshot) -> Counts:
        if before.backend != after.backend:
            return 0, 0, 0  # two backends can only be compared content by content
        pair = before.id, after.id
        if pair not in self._counts:
            try:
                files, lines = counting.figures(before, after)
            except CheckpointError:  # one was forgotten since, or is damaged: no reason to hide the others
                return 0, 0, 0
            if lines is None:
                return files, 0, 0  # perhaps the next list gets to it
            self._counts[pair] = files, *lines
        return self._counts[pair]


class _Counting:
    """Counts for one list, as long as it may take."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._files, self._bytes = _MOST_FILES, _MOST_BYTES

    def figures(self, before: Snapshot, after: Snapshot) -> tuple[int, tuple[int, int] | None]:
        """Files that differ, and lines added and removed, if there was time to count them."""
        sizes = [
            max(entry.size for entry in (change.before, change.after) if entry is not None)
            for change in self._engine.changes(before, after)
            if _is_content(change.before) or _is_content(change.after)
        ]
        if len(sizes) > self._files or sum(sizes) > self._bytes:
            return len(sizes), None
        self._files, self._bytes = self._files - len(sizes), self._bytes - sum(sizes)
        diffs = list(self._engine.diff_between(before, after))
        return len(sizes), (sum(diff.added for diff in diffs), sum(diff.removed for diff in diffs))


def _is_content(entry: Entry | None) -> bool:
    return entry is not None and entry.kind in (Kind.FILE, Kind.LINK)


def entry_of(snapshot: Snapshot, counts: Counts) -> dict[str, Any]:
    """A snapshot as ``list_checkpoints`` gives it; ``message`` is what the TUI calls the reason."""
    moment = datetime.fromtimestamp(snapshot.created_ns // 10**9).astimezone()
    reason = reason_of(snapshot)
    files, insertions, deletions = counts
    return {
        "hash": snapshot.id,
        "short_hash": snapshot.short_id,
        "timestamp": moment.isoformat(timespec="seconds"),
        "reason": reason,
        "message": reason,
        "files_changed": files,
        "insertions": insertions,
        "deletions": deletions,
    }


def reason_of(snapshot: Snapshot) -> str:
    """One line, never an empty one; of what a restore saved first, in Hermes's words."""
    restoring = snapshot.note.restoring
    if restoring is not None:
        to = {"restore": "restoring to", "undo": "undoing to", "redo": "redoing to"}[restoring.action]
        return f"pre-rollback snapshot ({to} {restoring.target[:8]})"
    return harmless(" ".join(snapshot.note.reason.split())) or "checkpoint"


def format_checkpoint_list(checkpoints: Sequence[Mapping[str, Any]], directory: str) -> str:
    """The list that ``/rollback`` shows, and how to go on from there."""
    if not checkpoints:
        return f"No checkpoints found for {directory}"
    lines = [f"📸 Checkpoints for {directory}, newest first:", ""]
    for number, one in enumerate(checkpoints, 1):
        day, _, time = str(one["timestamp"]).partition("T")
        lines.append(f"  {number}. {one['short_hash']}  {day} {time[:5]}  {one['reason']}{_figures(one)}")
    lines += [
        "",
        "  /rollback <N>             go back to checkpoint N; what is there now is saved first",
        "  /rollback diff <N>        what has changed since checkpoint N",
        "  /rollback <N> <file>      bring one file back from checkpoint N",
    ]
    return "\n".join(lines)


def _figures(one: Mapping[str, Any]) -> str:
    files, insertions, deletions = (one.get(name, 0) for name in ("files_changed", "insertions", "deletions"))
    if not files:
        return ""
    lines = f", +{insertions}/-{deletions}" if insertions or deletions else ""
    return f"  ({counted(files, 'file')}{lines})"
