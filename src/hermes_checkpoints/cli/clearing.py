"""``clear`` and ``clear-legacy``: everything away, after saying how much that is."""

from argparse import Namespace
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.wording import counted, portable, shown, size


def clear(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Remove every snapshot of every workspace, pinned ones too, and the archives."""
    with screen.working("Measuring"):
        figures = _figures(engine)
    words = [counted(figures["snapshots"], "snapshot") + f" of {counted(figures['workspaces'], 'workspace')}"]
    words += [f"{figures['pinned']} of them pinned"] if figures["pinned"] else []
    words += [counted(figures["archives"], "archive") + " of old checkpoints"] if figures["archives"] else []
    what = f"{', '.join(words)}: {size(figures['size'])} in {shown(str(engine.settings.base))}"
    if not _agreed(asked, screen, "Remove all of it for good?", what, figures):
        return codes.UNCONFIRMED
    with screen.working("Clearing", counting="done"):
        engine.upkeep.clear()
    return _cleared(screen, what, figures)


def _figures(engine: Engine) -> dict[str, Any]:
    """How much there is."""
    told = engine.upkeep.status()
    snapshots = [held for one in told.workspaces for held in one.snapshots]
    return {
        "store": portable(str(engine.settings.base)),
        "workspaces": len(told.workspaces),
        "snapshots": len(snapshots),
        "pinned": sum(held.label is not None for held in snapshots),
        "archives": len(told.archives),
        "size": told.real,
    }


def clear_legacy(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Remove the archives of what Hermes kept before its shared store."""
    found = archives(engine.settings.base)
    total = sum(archive.size for archive in found)
    figures = {"store": portable(str(engine.settings.base)), "archives": len(found), "size": total}
    what = f"{counted(len(found), 'archive')} of old checkpoints: {size(total)} in {shown(str(engine.settings.base))}"
    if not _agreed(asked, screen, "Remove them for good?", what, figures):
        return codes.UNCONFIRMED
    with screen.working("Clearing"):
        removed = engine.upkeep.clear_legacy()
    figures |= {"archives": len(removed), "size": sum(archive.size for archive in removed)}
    return _cleared(screen, what, figures)


def _agreed(asked: Namespace, screen: Screen, question: str, what: str, figures: dict[str, object]) -> bool:
    """Say what will go, and ask unless ``-f``."""
    if asked.force:
        return True
    if screen.json:
        screen.document({"confirmed": False} | figures)
    elif screen.terminal:
        screen.line(what, "bold")
    else:
        _print("clear", screen, figures)
    return screen.confirmed(question, "-f")


def _cleared(screen: Screen, what: str, figures: dict[str, object]) -> int:
    if screen.json:
        screen.document({"cleared": True} | figures)
    elif screen.terminal:
        screen.line(f"removed {what}", "green")
    else:
        _print("cleared", screen, figures)
    return codes.DONE


def _print(word: str, screen: Screen, figures: dict[str, object]) -> None:
    for name, figure in figures.items():
        if name != "store":
            screen.columns(word, name, figure)
