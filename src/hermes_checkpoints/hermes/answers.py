"""What Hermes is told: of an argument that cannot be, and of a restore all that was done, kept and not done."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hermes_checkpoints.contract import Reason, Snapshot, within
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.guarding import Answer, refused
from hermes_checkpoints.hermes.listing import reason_of
from hermes_checkpoints.hermes.ownership import Judge
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.wording import harmless

NO_CHECKPOINTS = "No checkpoints exist for this directory"


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


def answer_of(done: Restored, workspace: Path, engine: Engine, judge: Judge | None) -> Answer:
    """The answer to ``restore``. ``success`` only where everything that was meant to be done was.

    0.19.0 shows ``reason`` and nothing else of it, so that also names what was kept.
    """
    edits = judge.kept if judge is not None else {}
    oversize = _oversize(done, engine)
    reason = reason_of(done.snapshot)
    if kept := dict.fromkeys([one.path for one in done.kept] + oversize):
        reason += f" (kept as they are: {named([*kept])})"
    answer: Answer = {
        "success": True,
        "restored_to": done.snapshot.id[:8],
        "reason": reason,
        "directory": str(workspace),
        "safety": done.safety.id,
        "restored_files": _texts([*done.written, *done.deleted]),
        "kept": [{"path": _text(one.path), "reason": harmless(one.reason)} for one in done.kept],
        "skipped_user_edits": _texts([*edits]),
        "conflicts": _texts([path for path, conflict in edits.items() if conflict]),
        "skipped_oversize": _texts(oversize),
    }
    if done.failed:
        answer |= refused(_what_failed(done))
        if undeleted := _undeleted(done.failed, engine, done.snapshot):
            answer["failed_deletes"] = undeleted
    return answer


def _what_failed(done: Restored) -> str:
    first = done.failed[0]
    changed = len(done.written) + len(done.deleted)
    return (
        f"{len(done.failed)} paths could not be restored and are as they were, {harmless(first.path)} for one "
        f"({harmless(first.reason)}); {changed} others were. The state before is checkpoint {done.safety.short_id}: "
        "restore that to go back, or try again."
    )


def _undeleted(failed: Sequence[Failure], engine: Engine, target: Snapshot) -> list[str]:
    """Of the paths that failed, those that the checkpoint does not have."""
    later = {change.path for change in engine.changes(target) if change.before is None}
    return [_text(one.path) for one in failed if one.path in later]


def _oversize(done: Restored, engine: Engine) -> list[str]:
    """Of what was asked for, what is too large for any snapshot and was not already then."""
    restoring = done.safety.note.restoring
    asked = restoring.paths if restoring is not None else ()
    found = [one.path for one in done.left_out if one.reason is Reason.TOO_LARGE and within(one.path, asked)]
    if not found:
        return []
    then = {one.path for one in engine.show(done.snapshot.workspace, done.snapshot.id).left_out}
    return [path for path in found if path not in then]


def _texts(paths: Sequence[str]) -> list[str]:
    return [_text(path) for path in paths]


def _text(path: str) -> str:
    """A path as it is, where it is text; JSON has no other bytes, so those are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def named(paths: Sequence[str], most: int = 5) -> str:
    """Paths in a sentence, the first few of them."""
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(harmless(path) for path in paths[:most]) + more
