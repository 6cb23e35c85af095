"""``status``: what the store takes on disk, what holds how much of it, and what went for room."""

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.cli.taking import head, labelled
from hermes_checkpoints.contract import SnapshotNotFound
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.results import Forgotten, Status, WorkspaceStatus
from hermes_checkpoints.wording import counted, harmless, iso, portable, shown, size, when

CELLS = 30  # of the bar
# Shares of the budget above which the bar is no longer green. A process in the background keeps the store below 0.75.
FULL, FULLER = 0.80, 0.95
_MB = 1 << 20


def status(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Print what the store takes up and which workspaces it knows; of one workspace, its snapshots too."""
    with screen.working("Measuring"):
        told = engine.upkeep.status()
    if asked.dir is not None:
        told = told._replace(workspaces=[_of(told, Path(os.path.realpath(asked.dir)))])
    if screen.json:
        screen.document(_document(told))
    elif screen.terminal:
        _draw(told, screen, each=asked.dir is not None)
    else:
        _print(told, screen, each=asked.dir is not None)
    return codes.DONE


def _of(told: Status, workspace: Path) -> WorkspaceStatus:
    for one in told.workspaces:
        if one.workspace == workspace:
            return one
    raise SnapshotNotFound(f"{workspace} has no snapshots.")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 10**9)


# For eyes.


def _draw(told: Status, screen: Screen, *, each: bool) -> None:
    screen.line(f"store {shown(str(told.store))}", "bold")
    screen.line(*_budget(told))
    screen.line(f"{size(told.apparent)} stored, whoever shares the blocks", "dim")
    screen.line(_kept(told.limits), "dim")
    if told.usage:
        screen.line()
        used = [(name, size(one.apparent), size(one.real)) for name, one in told.usage.items()]
        screen.table(("backend", "stored", "on disk"), used, right=("stored", "on disk"))
    if told.workspaces:
        screen.line()
        headings = ("workspace", "is", "snapshots", "gives back", "backends", "last used")
        screen.table(headings, map(_row, told.workspaces), right=("snapshots", "gives back"))
    for one in told.workspaces if each else ():
        screen.line()
        columns = ("#", "id", "taken", "files", "gives back", "backend", "label", "reason")
        screen.table(columns, _snapshot_rows(one), right=("#", "files", "gives back"))
    if told.archives:
        screen.line()
        archives = [(shown(one.path.name), size(one.size), when(_nanoseconds(one.mtime))) for one in told.archives]
        screen.table(("archive of Hermes's old checkpoints", "on disk", "from"), archives, right=("on disk",))
    if told.forgotten:
        screen.line()
        screen.line("forgotten lately", "bold")
        # Loud ones first, so that none is among those that a long list cuts.
        lately = sorted(told.forgotten, key=lambda one: (not one.loud, -one.when))
        screen.some([(_forgotten(one), "bold red" if one.loud else "dim") for one in lately])


def _budget(told: Status) -> tuple[str, str]:
    """The line about the budget, with its bar, and its style."""
    limit = told.limits.max_total_size
    if not limit:
        return f"{size(told.real)} on disk; no limit (max_total_size_mb = 0)", ""
    share = told.real / limit
    filled = min(round(share * CELLS), CELLS)
    bar = "#" * filled + "." * (CELLS - filled)
    style = "green" if share <= FULL else "yellow" if share <= FULLER else "bold red"
    of = f"{size(told.real)} on disk of {size(limit)} (max_total_size_mb = {limit / _MB:g})"
    return f"[{bar}] {share:.0%}  {of}", style


def _kept(limits: Limits) -> str:
    more = ((limits.keep_hourly, "hourly"), (limits.keep_daily, "daily"))
    kept = counted(limits.max_snapshots, "snapshot") + " a workspace"
    kept += "".join(f" and {count} {period} ones" for count, period in more if count)
    stale = f"; workspaces are stale after {limits.retention_days:g} days" if limits.retention_days else ""
    return f"kept: {kept}{stale}; {limits.min_free_disk:.0%} of the disk stays free"


def _row(one: WorkspaceStatus) -> tuple[str, ...]:
    touched = when(_nanoseconds(one.last_touch)) if one.last_touch else ""
    figures = (str(len(one.snapshots)), size(one.gives_back))
    return (shown(str(one.workspace)), one.standing.value, *figures, ", ".join(one.backends), touched)


def _snapshot_rows(one: WorkspaceStatus) -> Iterator[tuple[str, ...]]:
    for number, held in enumerate(one.snapshots, 1):
        saved = held.snapshot
        figures = (when(saved.created_ns), str(saved.files), size(held.gives_back), saved.backend)
        yield (str(number), saved.short_id, *figures, labelled(held.label), harmless(saved.note.reason))


def _forgotten(one: Forgotten) -> str:
    what = counted(len(one.snapshots), "snapshot") + " of " if one.snapshots else ""
    return f"  {when(_nanoseconds(one.when))}  {what}{shown(one.subject)}: {harmless(one.reason)}"


# For programs.


def _print(told: Status, screen: Screen, *, each: bool) -> None:
    screen.columns("store", shown(str(told.store)))
    for name, used in told.usage.items():
        screen.columns("usage", name, used.apparent, used.real)
    screen.columns("beside", told.beside)
    screen.columns("budget", told.real, told.limits.max_total_size)
    for one in told.workspaces:
        touched = iso(_nanoseconds(one.last_touch)) if one.last_touch else "-"
        cells = (one.standing.value, len(one.snapshots), ",".join(one.backends), touched, one.gives_back)
        screen.columns("workspace", shown(str(one.workspace)), *cells)
        for number, held in enumerate(one.snapshots if each else (), 1):
            figures = (number, held.snapshot.id, iso(held.snapshot.created_ns), held.gives_back)
            screen.columns("snapshot", *figures, harmless(held.snapshot.note.reason), labelled(held.label))
    for archive in told.archives:
        screen.columns("archive", shown(str(archive.path)), archive.size, iso(_nanoseconds(archive.mtime)))
    for gone in told.forgotten:
        ids, loud = ",".join(gone.snapshots) or "-", "loud" if gone.loud else "-"
        screen.columns("forgotten", iso(_nanoseconds(gone.when)), shown(gone.subject), ids, loud, harmless(gone.reason))


def _document(told: Status) -> dict[str, Any]:
    limit = told.limits.max_total_size
    return {
        "store": portable(str(told.store)),
        "usage": {name: {"apparent": used.apparent, "real": used.real} for name, used in told.usage.items()},
        "apparent": told.apparent,
        "beside": told.beside,
        "real": told.real,
        "budget": {"used": told.real, "limit": limit, "share": told.real / limit if limit else None},
        "limits": asdict(told.limits),
        "workspaces": [_workspace(one) for one in told.workspaces],
        "archives": [
            {"path": portable(str(one.path)), "size": one.size, "modified": iso(_nanoseconds(one.mtime))}
            for one in told.archives
        ],
        "forgotten": _forgotten_document(told.forgotten),
    }


def _workspace(one: WorkspaceStatus) -> dict[str, Any]:
    return {
        "workspace": portable(str(one.workspace)),
        "exists": one.standing is Standing.LIVE,
        "standing": one.standing.value,
        "backends": list(one.backends),
        "snapshots": len(one.snapshots),
        "last_touch": iso(_nanoseconds(one.last_touch)) if one.last_touch else None,
        "gives_back": one.gives_back,
        "held": [
            head(held.snapshot)
            | {
                "short_id": held.snapshot.short_id,
                "number": number,
                "created": iso(held.snapshot.created_ns),
                "reason": portable(held.snapshot.note.reason),
                "size": held.snapshot.size,
                "gives_back": held.gives_back,
                "label": held.label,
            }
            for number, held in enumerate(one.snapshots, 1)
        ],
    }


def _forgotten_document(forgotten: Sequence[Forgotten]) -> list[dict[str, Any]]:
    return [
        {
            "when": iso(_nanoseconds(one.when)),
            "subject": portable(one.subject),
            "snapshots": list(one.snapshots),
            "reason": portable(one.reason),
            "loud": one.loud,
        }
        for one in forgotten
    ]
