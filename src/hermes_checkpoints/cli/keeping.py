"""``pin``, ``unpin`` and ``forget``: what stays whatever happens, and what goes at once."""

from argparse import Namespace

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.cli.taking import head, labelled
from hermes_checkpoints.contract import SnapshotNotFound
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.policy.references import resolve
from hermes_checkpoints.wording import counted, harmless, iso, portable, when


def pin(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Keep a snapshot until it is unpinned; without ``--label`` a label that it has stays."""
    workspace = workspace_of(asked, engine)
    one = engine.find(workspace, asked.id)
    label = asked.label if asked.label is not None else engine.upkeep.pins(workspace).get(one.id, "")
    engine.upkeep.pin(one, label)
    if screen.json:
        screen.document({"outcome": "pinned"} | head(one) | {"label": engine.upkeep.pins(workspace).get(one.id)})
    elif screen.terminal:
        screen.line(f"pinned {one.short_id}" + (f"  {labelled(label)}" if label else ""), "green")
    else:
        screen.columns("pinned", one.id, harmless(label))
    return codes.DONE


def unpin(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Let a snapshot go with the others again; one that is not pinned is left as it is."""
    one = engine.find(workspace_of(asked, engine), asked.id)
    word = "unpinned" if engine.upkeep.unpin(one) else "not pinned"
    if screen.json:
        screen.document({"outcome": word.replace(" ", "_")} | head(one) | {"label": None})
    elif screen.terminal:
        screen.line(f"{word} {one.short_id}")
    else:
        screen.columns(word, one.id)
    return codes.DONE


def forget(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Forget snapshots that were named one by one, so nobody is asked; all of them are found before one goes."""
    workspace = workspace_of(asked, engine)
    listed = engine.list(workspace)
    if not listed:
        raise SnapshotNotFound(f"{workspace} has no snapshots.")
    # Against one list: numbers would move if a snapshot were taken in between.
    going = list({one.id: one for one in (resolve(ref, listed) for ref in asked.ids)}.values())
    engine.upkeep.forget(going)
    if screen.json:
        forgotten = [{"id": one.id, "short_id": one.short_id, "created": iso(one.created_ns)} for one in going]
        screen.document({"workspace": portable(str(workspace)), "forgotten": forgotten})
        return codes.DONE
    for one in going:
        if screen.terminal:
            screen.line(f"forgot {one.short_id}, taken {when(one.created_ns)}  {harmless(one.note.reason)}".rstrip())
        else:
            screen.columns("forgotten", one.id, iso(one.created_ns), harmless(one.note.reason))
    if screen.terminal:
        gone = "It is" if len(going) == 1 else "They are"
        screen.line(f"{counted(len(going), 'snapshot')} forgotten. {gone} gone for good.", "bold")
        screen.line("The space comes back by and by; `hermes-checkpoints maintain` gives it back now.", "dim")
    return codes.DONE
