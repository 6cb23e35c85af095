"""``verify``: what is damaged, and what that costs."""

import os
from argparse import Namespace
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import SnapshotNotFound
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Failure
from hermes_checkpoints.upkeep.findings import Damaged, Repair, Verified
from hermes_checkpoints.wording import counted, harmless, iso, portable, shown, when

One = TypeVar("One")


def verify(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Look for damage in the store, or in what one workspace leans on, and name what it costs."""
    with screen.working("Looking for damage", counting="done"):
        found = engine.upkeep.verify(asked.dir, full=not asked.quick)
    if asked.dir is not None and not (found.snapshots or found.damaged or found.unseen):
        raise SnapshotNotFound(f"{os.path.realpath(asked.dir)} has no snapshots.")
    if screen.json:
        screen.document(found_document(found))
    elif screen.terminal:
        draw_found(found, screen)
    else:
        print_found(found, screen)
    return code(found)


def code(found: Verified) -> int:
    """The exit code that says what was found."""
    if found.damaged:
        return codes.DAMAGED
    return codes.INCOMPLETE if found.unseen else codes.DONE


# For programs.


def print_found(found: Verified, screen: Screen) -> None:
    """What was found, in columns."""
    for one in found.damaged:
        screen.columns("damaged", *whose(one), harmless(one.damage.what))
    for failure in found.unseen:
        screen.columns("unseen", shown(failure.path), harmless(failure.reason))
    for workspace in found.interrupted:
        screen.columns("interrupted", shown(str(workspace)))
    depth = "full" if found.full else "quick"
    screen.columns("verified", found.workspaces, found.snapshots, depth, len(found.damaged))


def whose(one: Damaged | Repair) -> tuple[str, ...]:
    """Part, id, time, workspace and path; ``-`` for what there is not."""
    about = one.damage if isinstance(one, Damaged) else one.mended
    taken = iso(one.snapshot.created_ns) if one.snapshot is not None else "-"
    workspace = shown(str(one.workspace)) if one.workspace is not None else "-"
    return one.part, about.snapshot or "-", taken, workspace, shown(about.path) if about.snapshot else "-"


def found_document(found: Verified) -> dict[str, Any]:
    """What was found, for JSON."""
    return {
        "full": found.full,
        "workspaces": found.workspaces,
        "snapshots": found.snapshots,
        "damaged": [subject_document(one) | {"what": portable(one.damage.what)} for one in found.damaged],
        "unseen": failures_document(found.unseen),
        "interrupted": [portable(str(workspace)) for workspace in found.interrupted],
    }


def subject_document(one: Damaged | Repair) -> dict[str, Any]:
    """What one thing is about, for JSON."""
    about = one.damage if isinstance(one, Damaged) else one.mended
    return {
        "part": one.part,
        "snapshot": about.snapshot or None,
        "created": iso(one.snapshot.created_ns) if one.snapshot is not None else None,
        "workspace": portable(str(one.workspace)) if one.workspace is not None else None,
        "path": portable(about.path) if about.snapshot else None,
    }


def failures_document(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """What failed, for JSON."""
    return [{"subject": portable(one.path), "reason": portable(one.reason)} for one in failures]


# For eyes.


def draw_found(found: Verified, screen: Screen) -> None:
    """What was found, and what to do about it."""
    screen.some([*_damage_lines(found.damaged)])
    for failure in found.unseen:
        screen.line(f"not looked at: {shown(failure.path)}: {harmless(failure.reason)}", "bold red")
    for workspace in found.interrupted:
        screen.line(
            f"A restore of {shown(str(workspace))} was interrupted: `restore --continue` finishes it, `restore --abort`"
            " takes it back.",
            "yellow",
        )
    looked = f"{counted(found.snapshots, 'snapshot')} of {counted(found.workspaces, 'workspace')}"
    if not found.damaged:
        depth = "every byte was read" if found.full else "contents are there; without --quick, they are read as well"
        screen.line(f"No damage in {looked}: {depth}.", "yellow" if found.unseen else "bold green")
        return
    ids = {one.damage.snapshot for one in found.damaged} - {""}
    screen.line(f"{len(found.damaged)} damaged, of {looked}; it costs {len(ids)} of them something.", "bold red")
    screen.line("What is damaged is not restored; all else is. `hermes-checkpoints repair` saves what can be saved.")


def _damage_lines(damaged: Sequence[Damaged]) -> Iterator[tuple[str, str]]:
    """What is damaged, below the snapshot, or the number of them, that it costs something."""
    alike = gathered(damaged, lambda one: (one.part, one.workspace, one.damage.path, one.damage.what))
    for about, groups in groupby(alike, key=heading):
        yield about, "bold"
        for one, *_ in groups:
            path = f"{shown(one.damage.path)}: " if one.damage.path else "all of it: " if one.damage.snapshot else ""
            yield f"  {path}{harmless(one.damage.what)}", "red"


def gathered(ones: Iterable[One], alike: Callable[[One], Hashable]) -> list[list[One]]:
    """Those that differ in nothing but the snapshot together, where the first of them was: there may be thousands."""
    groups: dict[Hashable, list[One]] = {}
    for one in ones:
        groups.setdefault(alike(one), []).append(one)
    return [*groups.values()]


def heading(group: Sequence[Damaged | Repair]) -> str:
    """The snapshot, how many of them, or the part of the store, that something is about."""
    one = group[0]
    snapshot = (one.damage if isinstance(one, Damaged) else one.mended).snapshot
    if snapshot and len(group) > 1:
        of = f" of {shown(str(one.workspace))}" if one.workspace is not None else ""
        return f"{counted(len(group), 'snapshot')}{of}"
    words = [snapshot[:10] or one.part]
    if one.snapshot is not None:
        words.append(f"taken {when(one.snapshot.created_ns)}")
    if one.workspace is not None:
        words.append(f"of {shown(str(one.workspace))}")
    return ", ".join(words)
