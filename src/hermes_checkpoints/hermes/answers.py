"""The words and the dicts of Hermes: what it is told of a snapshot, a difference, a restore that was refused."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import Snapshot
from hermes_checkpoints.results import FileDiff
from hermes_checkpoints.wording import harmless

NO_CHECKPOINTS = "No checkpoints exist for this directory"
# Nobody reads more; beyond it (bytes) differences are only counted.
_MOST_TEXT = 8 << 20
_WIDTH = 40  # of the longest bar of plus and minus signs

Counts = tuple[int, int, int]
"""Files that differ, lines added, lines removed."""


def entry_of(snapshot: Snapshot, counts: Counts) -> dict[str, Any]:
    """A snapshot as ``list_checkpoints`` gives it; ``message`` is what the TUI calls the reason."""
    moment = datetime.fromtimestamp(snapshot.created_ns // 10**9).astimezone()
    reason = _reason(snapshot)
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


def _reason(snapshot: Snapshot) -> str:
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
    return f"  ({_counted(files, 'file')}{lines})"


def in_words(diffs: Iterable[FileDiff]) -> tuple[str, str]:
    """Differences as git prints them: the figures of each file, and the unified diff."""
    rows, pieces, size = [], [], 0
    for diff in diffs:
        rows.append(diff)
        size += len(diff.text)
        if size <= _MOST_TEXT:
            pieces.append(diff.text)
    text = _harmless_lines(b"".join(pieces).decode("utf-8", "surrogateescape"))
    if len(pieces) < len(rows):
        text += f"\n… and {len(rows) - len(pieces)} more files, which are too much to show\n"
    return _stat(rows), text.rstrip("\n")


def _harmless_lines(text: str) -> str:
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in text.split("\n"))


def _stat(rows: Sequence[FileDiff]) -> str:
    if not rows:
        return ""
    names = [harmless(row.path) for row in rows]
    longest, most = max(map(len, names)), max(row.added + row.removed for row in rows)
    lines = []
    for name, row in zip(names, rows, strict=True):
        scale = min(1.0, _WIDTH / most) if most else 0.0
        bar = "+" * round(row.added * scale) + "-" * round(row.removed * scale)
        lines.append(f" {name:<{longest}} | {'Bin' if row.binary else f'{row.added + row.removed} {bar}'.rstrip()}")
    added, removed = sum(row.added for row in rows), sum(row.removed for row in rows)
    figures = [f" {_counted(len(rows), 'file')} changed"]
    figures += [f"{_counted(added, 'insertion')}(+)"] if added or not removed else []
    figures += [f"{_counted(removed, 'deletion')}(-)"] if removed or not added else []
    return "\n".join([*lines, ", ".join(figures)])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def wrong_hash(commit_hash: str) -> str | None:
    """Why a hash cannot be one, in the words that Hermes matches."""
    if not commit_hash or not commit_hash.strip():
        return "Empty commit hash"
    if commit_hash.startswith("-"):
        return f"Invalid commit hash (must not start with '-'): {commit_hash!r}"
    if not re.fullmatch(r"[0-9a-fA-F]{4,64}", commit_hash):
        return f"Invalid commit hash (expected 4-64 hex characters): {commit_hash!r}"
    return None


def wrong_path(file_path: str, workspace: Path) -> str | None:
    """Why a path cannot be restored by itself, in the words that Hermes matches."""
    if not file_path or not file_path.strip():
        return "Empty file path"
    if os.path.isabs(file_path):
        return f"File path must be relative, got absolute path: {file_path!r}"
    inside = os.path.realpath(workspace)
    above = os.path.realpath(os.path.join(inside, os.path.dirname(os.path.normpath(file_path))))
    if os.path.normpath(file_path).split("/")[0] == ".." or os.path.commonpath([inside, above]) != inside:
        return f"File path escapes the working directory: {file_path!r}"
    return None


def named(paths: Sequence[str], most: int = 5) -> str:
    """Paths in a sentence, the first few of them."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(harmless(path) for path in paths[:most]) + more
