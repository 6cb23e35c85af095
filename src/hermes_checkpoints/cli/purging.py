"""``purge``: a path that should never have been saved, taken out of every snapshot."""

from argparse import Namespace
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import inside, workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Purged
from hermes_checkpoints.wording import counted, harmless, portable, shown


def purge(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Take a path, and all below it, out of every snapshot of the workspace, after a yes."""
    workspace = workspace_of(asked, engine)
    path = inside(workspace, asked.path)
    subject: dict[str, Any] = {"workspace": portable(str(workspace)), "path": portable(path)}
    if not asked.yes:
        number = counted(len(engine.list(workspace)), "snapshot")
        if screen.json:
            screen.document(subject | {"confirmed": False})
        elif screen.terminal:
            screen.line(f"{shown(path)} goes out of each of the {number} of {shown(str(workspace))}.", "bold")
            screen.line("That cannot be taken back, and snapshots that hold it get new ids.")
        if not screen.confirmed("Purge?", "--yes"):
            return codes.UNCONFIRMED
    with screen.working(f"Purging {shown(path)}", counting="done"):
        done = engine.upkeep.purge(workspace, path)
    if screen.json:
        screen.document(subject | _document(done))
    elif screen.terminal:
        _draw(done, screen)
    else:
        _print(done, screen)
    return codes.INCOMPLETE if done.still_in else codes.DONE


def _document(done: Purged) -> dict[str, Any]:
    return {
        "replaced": dict(done.replaced),
        "still_in": [{"subject": portable(one.path), "reason": portable(one.reason)} for one in done.still_in],
        "also_at": [portable(path) for path in done.also_at],
        "in_workspace": done.in_workspace,
    }


def _print(done: Purged, screen: Screen) -> None:
    for old, new in done.replaced.items():
        screen.columns("rewritten", old, new)
    for one in done.still_in:
        screen.columns("still_in", shown(one.path), harmless(one.reason))
    for path in done.also_at:
        screen.columns("also_at", shown(path))
    if done.in_workspace:
        screen.columns("in_workspace", shown(done.path))


def _draw(done: Purged, screen: Screen) -> None:
    style = "bold red" if done.still_in else "bold green"
    screen.line(f"{counted(len(done.replaced), 'snapshot')} rewritten without {shown(done.path)}.", style)
    if done.still_in:
        screen.line("It is NOT gone from everywhere:", "bold red")
        screen.some([(f"  {shown(one.path)}: {harmless(one.reason)}", "red") for one in done.still_in])
    if done.also_at:
        screen.line("Snapshots hold the same content at other paths, too; purge these as well if it must go:", "yellow")
        screen.some([(f"  {shown(path)}", "yellow") for path in done.also_at])
    if done.in_workspace:
        screen.line(
            f"{shown(done.path)} is still in the workspace: the next snapshot will hold it again, unless .gitignore"
            " or .hermesignore leaves it out.",
            "yellow",
        )
