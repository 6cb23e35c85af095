"""``backends`` and ``status``: what there is to work with."""

from argparse import Namespace

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import workspace_of
from hermes_checkpoints.cli.screen import Screen, fit, harmless, iso, portable, shown, size, when
from hermes_checkpoints.contract import BackendError
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import BackendReport, WorkspaceStatus


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


def status(_asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Print where the store is, what it takes up, and which workspaces it knows."""
    told = engine.status()
    if screen.json:
        usage = {name: {"apparent": used.apparent, "real": used.real} for name, used in told.usage.items()}
        workspaces = [_known(one) for one in told.workspaces]
        screen.document({"store": portable(str(told.store)), "usage": usage, "workspaces": workspaces})
    elif not screen.terminal:
        screen.columns("store", shown(str(told.store)))
        for name, used in told.usage.items():
            screen.columns("usage", name, used.apparent, used.real)
        for one in told.workspaces:
            there = "there" if one.exists else "gone"
            touched = iso(_nanoseconds(one)) if one.last_touch is not None else "-"
            backends = ",".join(one.backends)
            screen.columns("workspace", shown(str(one.workspace)), there, one.snapshots, backends, touched)
    else:
        screen.line(f"store {shown(str(told.store))}", "bold")
        used_rows = [(name, size(used.apparent), size(used.real)) for name, used in told.usage.items()]
        if used_rows:
            screen.table(("backend", "stored", "on disk"), used_rows, right=("stored", "on disk"))
            screen.line()
        rows = [
            (
                shown(str(one.workspace)) + ("" if one.exists else " (gone)"),
                str(one.snapshots),
                ", ".join(one.backends),
                when(_nanoseconds(one)) if one.last_touch is not None else "",
            )
            for one in told.workspaces
        ]
        if rows:
            screen.table(("workspace", "snapshots", "backends", "last used"), rows, right=("snapshots",))
    return codes.DONE


def _nanoseconds(one: WorkspaceStatus) -> int:
    return int((one.last_touch or 0) * 10**9)


def _known(one: WorkspaceStatus) -> dict[str, object]:
    return {
        "workspace": portable(str(one.workspace)),
        "exists": one.exists,
        "backends": list(one.backends),
        "snapshots": one.snapshots,
        "last_touch": iso(_nanoseconds(one)) if one.last_touch is not None else None,
    }
