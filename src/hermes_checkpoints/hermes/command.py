"""``/checkpoints`` in a conversation: how the working directory is protected, and the way back from a rollback."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.answers import named
from hermes_checkpoints.hermes.configuration import base_directory, open_engine, settings_for, working_directory
from hermes_checkpoints.hermes.examination import (
    Finding,
    State,
    backend_of,
    examine,
    switched_on,
)
from hermes_checkpoints.hermes.guarding import log
from hermes_checkpoints.hermes.requests import managers
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.wording import harmless, size, when

WORDS = "[status|check|undo|redo|continue|abort|help]"
SUMMARY = "How the working directory is protected; undo or redo the last rollback"
_HELP = """\
/checkpoints          how the working directory is protected
/checkpoints check    look at everything that protection needs, and try it out
/checkpoints undo     take the last rollback back; what was edited since stays
/checkpoints redo     do it again
/checkpoints continue finish a rollback that was interrupted; /checkpoints abort takes it back
/rollback             the list of checkpoints, and the way back to one of them"""
_MARKS = {State.OK: "✓", State.NOTE: "·", State.PROBLEM: "✗"}


async def answer(words: str) -> str:
    """The answer to ``/checkpoints WORDS``. Never raises.

    Found in a thread of its own: a gateway's other conversations do not wait.
    """
    return await asyncio.to_thread(_answered, words.strip().lower() or "status")


def lines_of(found: Sequence[Finding]) -> list[str]:
    """Findings for people: a line each, and what is to be done below it."""
    lines = []
    for one in found:
        lines.append(f"{_MARKS[one.state]} {one.about}: {one.told}")
        lines += [f"    {one.remedy}"] if one.remedy else []
    return lines


def _answered(word: str) -> str:
    if word not in _ANSWERS:
        return _HELP
    try:
        return _ANSWERS[word]()
    except (CheckpointError, OSError) as error:
        return harmless(str(error))
    except Exception as error:
        log.exception("/checkpoints %s failed", word)
        return f"/checkpoints {word} failed: {harmless(str(error))}"


def _status() -> str:
    with open_engine(settings_for(base_directory())) as engine:
        workspace = engine.enclosing(working_directory())
        snapshots, told = engine.list(workspace), engine.upkeep.status()
        found = [switched_on(), backend_of(engine, workspace)]
        unfinished = _interrupted(engine, workspace)
    lines = [
        f"Checkpoints of {harmless(str(workspace))}",
        *lines_of(found),
        f"{len(snapshots)} of them" + (f", the newest {_newest(snapshots[0])}" if snapshots else ""),
        f"{size(told.real)} on disk for all directories, in {harmless(str(told.store))}",
    ]
    return "\n".join([*lines, *unfinished, *_unprotected()])


def _interrupted(engine: Engine, workspace: Path) -> list[str]:
    found = engine.interrupted(workspace)
    if found is None:
        return []
    return [
        f"✗ a rollback to {found.target[:10]} was interrupted: /checkpoints continue finishes it, "
        "/checkpoints abort takes it back"
    ]


def _newest(snapshot: Snapshot) -> str:
    reason = f": {harmless(snapshot.note.reason)}" if snapshot.note.reason else ""
    return f"{snapshot.short_id} of {when(snapshot.created_ns)}{reason}"


def _unprotected() -> list[str]:
    """What the agents of this process tried to save last, and could not."""
    outcomes: list[Mapping[str, object]] = [manager.last_outcome for manager in managers()]
    return [
        harmless(f"✗ {one['directory']} could not be saved when it was tried last: {one['message']}")
        for one in outcomes
        if one["why"] in ("failed", "declined")
    ]


def _check() -> str:
    base = base_directory()
    with open_engine(settings_for(base)) as engine:
        workspace = engine.enclosing(working_directory())
    return "\n".join([harmless(str(workspace)), *lines_of(examine(workspace, base, inside=True))])


def _undo() -> str:
    return _carried_out(Engine.undo, "is again as it was before the last rollback", "redo")


def _redo() -> str:
    return _carried_out(Engine.redo, "is again as it was before the last undo", "undo")


def _continue() -> str:
    return _carried_out(Engine.finish_restore, "is as the interrupted rollback was to make it", "undo")


def _abort() -> str:
    return _carried_out(Engine.abort_restore, "is again as it was before the interrupted rollback", "")


def _carried_out(run: Callable[[Engine, Path], Restored], done_is: str, back: str) -> str:
    """``back``: the word that takes it back."""
    with open_engine(settings_for(base_directory())) as engine:
        workspace = engine.enclosing(working_directory())
        done = run(engine, workspace)
    if done.stopped:
        ways = "/checkpoints continue finishes it, /checkpoints abort takes it back"
        done_is = f"could not be restored to the end ({harmless(done.stopped)}): {ways}"
    elif done.failed:
        done_is += ", but for what is named below"
    way = f"/checkpoints {back} goes back to it" if back else f"/rollback {done.safety.short_id} goes back to it"
    lines = [
        f"{harmless(str(workspace))} {done_is}.",
        *(f"{what}: {named(paths)}" for what, paths in (("written", done.written), ("deleted", done.deleted)) if paths),
        *_with_reasons("kept as it is", done.kept),
        *_with_reasons("✗ not restored", done.failed),
        f"The state until now is {done.safety.short_id}; {way}.",
    ]
    return "\n".join(lines)


def _with_reasons(what: str, failures: Sequence[Failure], most: int = 5) -> list[str]:
    lines = [harmless(f"{what}: {one.path} ({one.reason})") for one in failures[:most]]
    return lines + ([f"{what}: {len(failures) - most} more"] if len(failures) > most else [])


_ANSWERS: Mapping[str, Callable[[], str]] = {
    "status": _status,
    "check": _check,
    "undo": _undo,
    "redo": _redo,
    "continue": _continue,
    "abort": _abort,
}
