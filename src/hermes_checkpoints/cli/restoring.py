"""``restore``, ``undo`` and ``redo``: the plan, the question, and what became of it."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import selection, workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.policy.history import ABORT, CONTINUE
from hermes_checkpoints.policy.plan import Action, Plan
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.wording import counted, harmless, portable, shown, when

# The order on the screen: what goes away comes first, since it is what a person must not miss.
STYLES = {Action.DELETE: "red", Action.WRITE: "green", Action.ATTRIBUTES: "cyan", Action.KEEP: "yellow"}


def restore(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Put the workspace, or the selected paths of it, back as a snapshot has them."""
    workspace = workspace_of(asked, engine)
    if asked.finish:
        return _resume(asked, screen, lambda: engine.plan_finish(workspace), lambda: engine.finish_restore(workspace))
    if asked.abort:
        return _resume(asked, screen, lambda: engine.plan_abort(workspace), lambda: engine.abort_restore(workspace))
    paths = selection(workspace, asked.paths)

    def run(plan: Plan | None) -> Restored:
        # By the id that was shown: a number may mean another snapshot by the time somebody has said yes.
        ref = plan.target.id if plan else asked.id
        return engine.restore(workspace, ref, paths, times=asked.times, setuid=asked.setuid)

    return _carry_out(asked, screen, lambda: engine.plan(workspace, asked.id, paths), run)


def undo(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Take the last restore back."""
    workspace = workspace_of(asked, engine)
    return _carry_out(
        asked, screen, lambda: engine.plan_undo(workspace), lambda _: engine.undo(workspace, times=asked.times)
    )


def redo(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Take the last undo back."""
    workspace = workspace_of(asked, engine)
    return _carry_out(
        asked, screen, lambda: engine.plan_redo(workspace), lambda _: engine.redo(workspace, times=asked.times)
    )


def _resume(asked: Namespace, screen: Screen, make_plan: Callable[[], Plan], run: Callable[[], Restored]) -> int:
    """As ``_carry_out``, without asking: somebody said yes before, or now by asking for just this."""
    asked.yes = True
    return _carry_out(asked, screen, make_plan, lambda _: run())


def _carry_out(
    asked: Namespace, screen: Screen, make_plan: Callable[[], Plan], run: Callable[[Plan | None], Restored]
) -> int:
    """Plan, ask unless ``--yes``, act, report."""
    plan = None
    if asked.dry_run or not asked.yes:
        with screen.working("Comparing"):
            plan = make_plan()
        asking = screen.can_ask and not asked.dry_run
        if screen.json:
            screen.document(({"dry_run": True} if asked.dry_run else {"confirmed": False}) | {"plan": _document(plan)})
        else:
            _print_plan(plan, screen)
        if asked.dry_run:
            return codes.DONE
        if asking and plan.empty:
            screen.line("Nothing to do.")
            return codes.DONE
        if not screen.confirmed(f"{asked.command.capitalize()}?", "--yes"):
            return codes.UNCONFIRMED
    with screen.working("Restoring"):
        done = run(plan)
    if screen.json:
        screen.document(_restored(done))
    else:
        _print_restored(done, screen, seen=plan is not None)
    return codes.INCOMPLETE if done.failed else codes.DONE


def _document(plan: Plan) -> dict[str, Any]:
    def paths(action: Action) -> list[str]:
        return [portable(step.path) for step in plan.of(action)]

    return {
        "restore_to": plan.target.id,
        "write": paths(Action.WRITE),
        "delete": paths(Action.DELETE),
        "attributes": paths(Action.ATTRIBUTES),
        "keep": [{"path": portable(step.path), "reason": portable(step.reason)} for step in plan.of(Action.KEEP)],
    }


def _print_plan(plan: Plan, screen: Screen) -> None:
    steps = [step for action in STYLES for step in plan.of(action)]
    if not screen.terminal:
        for step in steps:
            screen.columns(step.action.value, shown(step.path), *([harmless(step.reason)] if step.reason else []))
        return
    target = plan.target
    reason_given = f"  {harmless(target.note.reason)}" if target.note.reason else ""
    screen.line(f"To {target.short_id}, taken {when(target.created_ns)}{reason_given}", "bold")
    screen.some(
        [(_item(step.action.value, step.path, step.reason), STYLES[step.action]) for step in steps],
    )
    screen.line(
        f"{len(plan.of(Action.WRITE))} to write, {len(plan.of(Action.DELETE))} to delete,"
        f" {len(plan.of(Action.ATTRIBUTES))} to change attributes of, {len(plan.of(Action.KEEP))} kept as they are"
    )


def _item(word: str, path: str, reason: str) -> str:
    return f"  {word:<10} {shown(path)}" + (f"  ({harmless(reason)})" if reason else "")


def _restored(done: Restored) -> dict[str, Any]:
    return {
        "restored_to": done.snapshot.id,
        "safety": done.safety.id,
        "written": [portable(path) for path in done.written],
        "deleted": [portable(path) for path in done.deleted],
        "kept": _failures(done.kept),
        "failed": _failures(done.failed),
        "stopped": portable(done.stopped) or None,
    }


def _failures(failures: Sequence[Failure]) -> list[dict[str, str]]:
    return [{"path": portable(one.path), "reason": portable(one.reason)} for one in failures]


def _way_on(done: Restored) -> str:
    """What to do about a restore that was stopped by a full disk, say."""
    if done.safety.note.restoring is not None and done.safety.note.restoring.action == ABORT:
        return "When that is mended, `restore --abort` goes on taking it back."
    return "When that is mended, `restore --continue` finishes it; `restore --abort` takes back what was done."


def _way_back(done: Restored) -> str:
    restoring = done.safety.note.restoring
    action = restoring.action if restoring is not None else ""
    if action == CONTINUE:
        return "`hermes-checkpoints undo` takes all of it back, what was done before it was interrupted as well."
    if action == ABORT:
        return f"The state before is {done.safety.short_id}; `hermes-checkpoints restore` goes back to it."
    back = "redo" if action == "undo" else "undo"
    return f"The state before is {done.safety.short_id}; `hermes-checkpoints {back}` goes back to it."


def _print_restored(done: Restored, screen: Screen, *, seen: bool) -> None:
    """``seen``: the plan was shown before, so on a terminal only what went differently is listed."""
    rows = [("failed", one.path, one.reason) for one in done.failed]
    if not (seen and screen.terminal):
        rows += [("deleted", path, "") for path in done.deleted] + [("written", path, "") for path in done.written]
        rows += [("kept", one.path, one.reason) for one in done.kept]
    if not screen.terminal:
        for word, path, reason in rows:
            screen.columns(word, shown(path), *([harmless(reason)] if reason else []))
        screen.columns("restored_to", done.snapshot.id)
        screen.columns("safety", done.safety.id)
        if done.stopped:
            screen.columns("stopped", harmless(done.stopped))
        return
    styles = {"failed": "bold red", "deleted": "red", "written": "green", "kept": "yellow"}
    screen.some([(_item(word, path, reason), styles[word]) for word, path, reason in rows])
    screen.line(
        f"Back to {done.snapshot.short_id}: {len(done.written)} written, {len(done.deleted)} deleted,"
        f" {len(done.kept)} kept, {len(done.failed)} failed",
        "bold red" if done.failed else "bold green",
    )
    screen.line(_way_back(done))
    if done.failed:
        screen.note(f"{counted(len(done.failed), 'path')} could not be restored and stayed as before.")
    if done.stopped:
        screen.note(_way_on(done))
