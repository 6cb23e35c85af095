"""What Hermes is told of a restore: all that was done, kept and not done, by name."""

import os
from collections.abc import Sequence
from pathlib import Path

from hermes_checkpoints.contract import Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.answers import entry_of, named
from hermes_checkpoints.hermes.guarding import Answer, refused
from hermes_checkpoints.hermes.ownership import Judge
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.wording import harmless


def answer_of(done: Restored, workspace: Path, engine: Engine, judge: Judge | None) -> Answer:
    """The answer to ``restore``. ``success`` only where everything that was meant to be done was.

    0.19.0 shows ``reason`` and nothing else of it, so that also names what was kept.
    """
    edits = judge.kept if judge is not None else []
    oversize = [one.path for one in done.kept if one.path not in edits and _beyond(engine, workspace / one.path)]
    reason = str(entry_of(done.snapshot, (0, 0, 0))["reason"])
    if done.kept:
        reason += f" (kept as they are: {named([one.path for one in done.kept])})"
    answer: Answer = {
        "success": True,
        "restored_to": done.snapshot.id[:8],
        "reason": reason,
        "directory": str(workspace),
        "safety": done.safety.id,
        "restored_files": _named([*done.written, *done.deleted]),
        "kept": [{"path": harmless(one.path), "reason": harmless(one.reason)} for one in done.kept],
        "skipped_user_edits": _named(edits),
        "conflicts": _named(judge.conflicts if judge is not None else []),
        "skipped_oversize": _named(oversize),
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
    return [harmless(one.path) for one in failed if one.path in later]


def _beyond(engine: Engine, path: Path) -> bool:
    """Whether a file is there that is larger than the limit."""
    limit = engine.settings.scope.max_file_size
    try:
        return bool(limit) and path.is_file() and os.lstat(path).st_size > limit
    except OSError:
        return False


def _named(paths: Sequence[str]) -> list[str]:
    return [harmless(path) for path in paths]
