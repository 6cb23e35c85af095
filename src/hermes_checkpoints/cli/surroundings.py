"""``backends``: what there is to work with."""

from argparse import Namespace

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import workspace_of
from hermes_checkpoints.cli.screen import Screen, fit
from hermes_checkpoints.contract import BackendError
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import BackendReport
from hermes_checkpoints.wording import harmless, portable, shown


def backends(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """List every backend found, where it comes from, whether it can serve the workspace, and why (not)."""
    workspace = workspace_of(asked, engine)
    reports = engine.backends(workspace)
    chosen, code = None, codes.DONE
    try:
        choice = engine.choose(workspace)
        chosen, why = choice.name, choice.why
        if choice.notice:
            screen.note(harmless(choice.notice))
    except BackendError as error:
        why, code = str(error), codes.FAILED
    if screen.json:
        listed = [_document(report) for report in reports]
        screen.document({"workspace": portable(str(workspace)), "chosen": chosen, "why": why, "backends": listed})
        return code
    rows = [(_mark(report, chosen), report.name, harmless(report.distribution), *fit(report)) for report in reports]
    if screen.terminal:
        screen.table(("", "backend", "from", "fit", f"for {shown(str(workspace))}"), rows)
        screen.line(harmless(f"chosen: {chosen}: {why}" if chosen else why), "green" if chosen else "bold red")
    else:
        for row in rows:
            screen.columns(*row)
        if not chosen:
            screen.note(harmless(why))
    return code


def _mark(report: BackendReport, chosen: str | None) -> str:
    return "*" if report.name == chosen else "-"


def _document(report: BackendReport) -> dict[str, object]:
    return {
        "name": report.name,
        "distribution": report.distribution,
        "usable": report.fitness is not None and report.fitness.usable,
        "why": report.fitness.why if report.fitness else None,
        "error": report.error,
    }
