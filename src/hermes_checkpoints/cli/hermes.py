"""``hermes status``, ``enable`` and ``disable``: whether Hermes is protected, and switching that on and off."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.arguments import UsageError
from hermes_checkpoints.cli.place import workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.command import lines_of
from hermes_checkpoints.hermes.configuration import base_directory
from hermes_checkpoints.hermes.examination import Finding, State, examine, is_protected
from hermes_checkpoints.hermes.switching import Change, disable, enable
from hermes_checkpoints.wording import harmless, portable

STYLES = {State.OK: "green", State.NOTE: "yellow", State.PROBLEM: "bold red"}
ENABLED = "Hermes uses it from its next start on; `hermes-checkpoints hermes status` says whether all is well."
DISABLED = (
    "From Hermes's next start on its own checkpoints take over. They are kept in the same place and see none of the\n"
    "snapshots made here, which stay: `hermes-checkpoints list`, `restore` and the others go on working with them.\n"
    "But `hermes checkpoints clear` then removes both. Whether checkpoints are taken (checkpoints.enabled) stays."
)


def hermes(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Do what ACTION says."""
    if asked.action not in ("status", "enable", "disable"):
        raise UsageError(f"ACTION is status, enable or disable, and not {asked.action!r}")
    if asked.backend is not None and asked.action != "enable":
        raise UsageError("--backend is for `hermes enable`; Hermes goes by its own settings")
    if asked.action == "status":
        return _status(asked, engine, screen)
    if asked.dir is not None or asked.store is not None:
        raise UsageError(f"`hermes {asked.action}` is about Hermes's own settings: no DIR, no --store")
    with screen.working("Asking Hermes"):
        changes = enable(asked.backend) if asked.action == "enable" else disable()
    _tell_changes(changes, ENABLED if asked.action == "enable" else DISABLED, screen)
    return codes.DONE


def _status(asked: Namespace, engine: Engine, screen: Screen) -> int:
    workspace = workspace_of(asked, engine)
    with screen.working("Looking"):
        found = examine(workspace, base_directory(asked.store), inside=False)
    protected = is_protected(found)
    if screen.json:
        findings = [{name: portable(str(value)) for name, value in asdict(one).items()} for one in found]
        screen.document({"workspace": portable(str(workspace)), "protected": protected, "findings": findings})
    elif screen.terminal:
        _draw(workspace, found, screen)
    else:
        for one in found:
            screen.columns(one.state.value, one.about, harmless(one.told), harmless(one.remedy))
    return codes.DONE if protected else codes.INCOMPLETE


def _draw(workspace: Path, found: Sequence[Finding], screen: Screen) -> None:
    screen.line(harmless(str(workspace)), "bold")
    for one in found:
        for line in lines_of([one]):
            screen.line(harmless(line), STYLES[one.state])
    if is_protected(found):
        screen.line("What Hermes's agent changes here is protected.", "bold green")
    else:
        screen.line("What Hermes's agent changes here is NOT protected.", "bold red")


def _tell_changes(changes: Sequence[Change], after: str, screen: Screen) -> None:
    if screen.json:
        screen.document({"changes": [asdict(change) for change in changes]})
        return
    for change in changes:
        cells = (change.setting, change.before, change.after, change.undo)
        if screen.terminal:
            screen.line(harmless("{}: {} -> {}    (back: `{}`)".format(*cells)), "green")
        else:
            screen.columns(*map(harmless, cells))
    screen.note(after if changes else "Nothing had to be changed.")
