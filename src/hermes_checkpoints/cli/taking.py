"""``snapshot``, ``list`` and ``show``."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import LeftOut, Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Declined, Shown, Taken, Unchanged
from hermes_checkpoints.wording import counted, harmless, iso, portable, shown, size, when


def snapshot(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Save the state of the workspace."""
    workspace = workspace_of(asked, engine)
    with screen.working("Taking a snapshot"):
        outcome = engine.snapshot(workspace, asked.reason)
    match outcome:
        case Taken(saved, left_out):
            word, changed = "taken", saved.changed
        case Unchanged(saved, left_out):
            word, changed = "unchanged", 0
        case Declined(workspace, reason):
            return _declined(screen, workspace, reason)
        case _:
            raise AssertionError(f"no turn was named, so {outcome} cannot be")
    if asked.label is not None:
        engine.upkeep.pin(saved, asked.label)
    if isinstance(outcome, Taken) and outcome.notice:
        for sentence in outcome.notice.splitlines():
            screen.warn(sentence)
    if screen.json:
        document = {"outcome": word} | head(saved) | {"changed": changed, "left_out": left_out_document(left_out)}
        if asked.label is not None:
            document["label"] = engine.upkeep.pins(workspace).get(saved.id)
        screen.document(document)
    elif screen.terminal:
        what = f"{counted(saved.files, 'file')}, {changed} changed, {size(saved.size)}, {saved.backend}"
        if asked.label is not None:
            what += f", {labelled(asked.label)}"
        screen.line(f"{word} {saved.short_id}  {what}", "green" if word == "taken" else "")
        if left_out:
            screen.line(f"left out: {_by_reason(left_out)}", "dim")
    else:
        screen.columns(word, saved.id, saved.files, changed, len(left_out))
    return codes.DONE


def _declined(screen: Screen, workspace: Path, reason: str) -> int:
    if screen.json:
        empty = {"id": None, "workspace": portable(str(workspace)), "backend": None, "files": 0, "changed": 0}
        screen.document({"outcome": "declined"} | empty | {"left_out": [], "reason": reason})
    else:
        screen.note(f"declined {shown(str(workspace))}: {harmless(reason)}")
    return codes.DECLINED


def list_(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """List the snapshots of the workspace, or of every known one."""
    workspaces = engine.workspaces() if asked.all else [workspace_of(asked, engine)]
    found = [(workspace, engine.list(workspace)) for workspace in workspaces]
    numbered = [(number, one) for _, snapshots in found for number, one in enumerate(snapshots, 1)]
    labels = {key: label for workspace in workspaces for key, label in engine.upkeep.pins(workspace).items()}
    if screen.json:
        listed = [_listed(number, one) | {"label": labels.get(one.id)} for number, one in numbered]
        screen.document({"snapshots": listed})
    elif not screen.terminal:
        for number, one in numbered:
            cells = (number, one.id, iso(one.created_ns), one.files, one.changed, one.size, one.backend)
            said = (harmless(one.note.reason), labelled(labels.get(one.id)))
            screen.columns(*cells, shown(str(one.workspace)), *said)
    else:
        for workspace, snapshots in found:
            if asked.all or not snapshots:
                screen.line(shown(str(workspace)) + ("" if snapshots else ": no snapshots yet"), "bold")
            if snapshots:
                headings = ("#", "id", "taken", "files", "changed", "size", "backend", "label", "reason")
                screen.table(headings, _rows(snapshots, labels), right=("#", "files", "changed", "size"))
    return codes.DONE


def show(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Print one snapshot in figures, and everything that it left out."""
    told = engine.show(workspace_of(asked, engine), asked.id)
    if screen.json:
        screen.document(_shown(told))
        return codes.DONE
    one = told.snapshot
    facts = {
        "id": one.id,
        "workspace": shown(str(one.workspace)),
        "taken": when(one.created_ns) if screen.terminal else iso(one.created_ns),
        "reason": harmless(one.note.reason),
        "backend": one.backend,
        "files": str(told.files),
        "links": str(told.links),
        "directories": str(told.directories),
        "size": size(told.size) if screen.terminal else str(told.size),
        "changed": str(one.changed),
    }
    for fact, value in facts.items():
        if screen.terminal:
            screen.line(f"{fact:<12} {value}")
        else:
            screen.columns(fact, value)
    if not screen.terminal:
        for left in told.left_out:
            screen.columns("left out", shown(left.path), left.reason.value)
    elif told.left_out:
        screen.line(f"left out     {_by_reason(told.left_out)}")
        screen.some([(f"  {shown(left.path)}  ({left.reason.value})", "dim") for left in told.left_out])
    return codes.DONE


def head(one: Snapshot) -> dict[str, Any]:
    """What every document about one snapshot begins with."""
    workspace = portable(str(one.workspace))
    return {"id": one.id, "workspace": workspace, "backend": one.backend, "files": one.files, "changed": one.changed}


def left_out_document(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    """Paths and reasons, for JSON."""
    return [{"path": portable(left.path), "reason": left.reason.value} for left in left_out]


def _listed(number: int, one: Snapshot) -> dict[str, Any]:
    return head(one) | {
        "short_id": one.short_id,
        "number": number,
        "created": iso(one.created_ns),
        "reason": portable(one.note.reason),
        "size": one.size,
    }


def _shown(told: Shown) -> dict[str, Any]:
    one = told.snapshot
    return head(one) | {
        "short_id": one.short_id,
        "created": iso(one.created_ns),
        "reason": portable(one.note.reason),
        "files": told.files,
        "directories": told.directories,
        "links": told.links,
        "size": told.size,
        "left_out": left_out_document(told.left_out),
    }


def _rows(snapshots: Sequence[Snapshot], labels: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for number, one in enumerate(snapshots, 1):
        figures = (str(one.files), str(one.changed), size(one.size))
        said = (one.backend, labelled(labels.get(one.id)), harmless(one.note.reason))
        yield (str(number), one.short_id, when(one.created_ns), *figures, *said)


def labelled(label: str | None) -> str:
    """The label of a pinned snapshot for a column: ``pinned`` for an empty one, nothing for ``None``."""
    return "" if label is None else harmless(label) or "pinned"


def _by_reason(left_out: Sequence[LeftOut]) -> str:
    reasons = Counter(left.reason.value for left in left_out)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
