"""``clear`` and ``clear-legacy``: everything away, after saying how much that is."""

from argparse import Namespace

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen, counted, portable, shown, size
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.legacy import archives


def clear(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Remove every snapshot of every workspace, pinned ones too, and the archives."""
    with screen.working("Measuring"):
        told = engine.upkeep.status()
    snapshots = sum(len(one.snapshots) for one in told.workspaces)
    pinned = sum(held.label is not None for one in told.workspaces for held in one.snapshots)
    kept_aside = len(told.archives)
    figures = {
        "store": portable(str(told.store)),
        "workspaces": len(told.workspaces),
        "snapshots": snapshots,
        "pinned": pinned,
        "archives": kept_aside,
        "size": told.real,
    }
    words = [counted(snapshots, "snapshot") + f" of {counted(len(told.workspaces), 'workspace')}"]
    words += [f"{pinned} of them pinned"] if pinned else []
    words += [counted(kept_aside, "archive") + " of old checkpoints"] if kept_aside else []
    what = f"{', '.join(words)}: {size(told.real)} in {shown(str(told.store))}"
    if not _agreed(asked, screen, "Remove all of it for good?", what, figures):
        return codes.UNCONFIRMED
    with screen.working("Clearing", counting="done"):
        engine.upkeep.clear()
    return _cleared(screen, what, figures)


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
