"""``diff``, ``cat`` and ``export``."""

import os
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.place import inside, selection, workspace_of
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import FileDiff
from hermes_checkpoints.wording import counted, portable, shown

BLOCK = 1 << 20  # bytes read at a time


def diff(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Print how the workspace differs from a snapshot: bytes as they are, so any encoding survives."""
    workspace = workspace_of(asked, engine)
    pieces = engine.diff(workspace, asked.id, selection(workspace, asked.paths))
    if screen.json:
        screen.document({"files": [_piece(piece, stat=asked.stat) for piece in pieces]})
    elif not asked.stat:
        for piece in pieces:
            screen.raw(piece.text)
    elif screen.terminal:
        _figures(pieces, screen)
    else:  # as git's --numstat
        for piece in pieces:
            added, removed = ("-", "-") if piece.binary else (piece.added, piece.removed)
            screen.columns(added, removed, shown(piece.path))
    return codes.DONE


def _piece(piece: FileDiff, *, stat: bool) -> dict[str, Any]:
    figures = {"path": portable(piece.path), "added": piece.added, "removed": piece.removed, "binary": piece.binary}
    return figures if stat else figures | {"text": piece.text.decode("utf-8", "surrogateescape")}


def _figures(pieces: Iterable[FileDiff], screen: Screen) -> None:
    rows, added, removed = [], 0, 0
    for piece in pieces:
        rows.append((shown(piece.path), "binary" if piece.binary else f"+{piece.added} -{piece.removed}"))
        added, removed = added + piece.added, removed + piece.removed
    if rows:
        screen.table(("path", "lines"), rows, right=("lines",))
    screen.line(f"{counted(len(rows), 'path')}: {added} lines added, {removed} removed", "bold")


def cat(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Write the content of one file of a snapshot, byte for byte."""
    workspace = workspace_of(asked, engine)
    path = inside(workspace, asked.path)
    with engine.read(workspace, asked.id, path) as content:
        if screen.json:
            from base64 import b64encode

            whole = content.read()
            encoded = b64encode(whole).decode("ascii")
            screen.document({"path": portable(path), "size": len(whole), "content_base64": encoded})
        else:
            while block := content.read(BLOCK):
                screen.raw(block)
    return codes.DONE


def export(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Lay a snapshot out as a directory of its own."""
    workspace = workspace_of(asked, engine)
    target = Path(os.path.abspath(asked.target))
    snapshot = engine.find(workspace, asked.id)
    with screen.working(f"Laying out {snapshot.short_id}"):
        done = engine.export(workspace, snapshot.id, target)
    if screen.json:
        failed = [{"path": portable(one.path), "reason": portable(one.reason)} for one in done.failed]
        screen.document({"id": snapshot.id, "target": portable(str(target)), "files": done.files, "failed": failed})
    elif screen.terminal:
        screen.line(f"{counted(done.files, 'file')} of {snapshot.short_id} laid out in {shown(str(target))}", "green")
    else:
        screen.columns("exported", snapshot.id, done.files, shown(str(target)))
    if not screen.json:
        for one in done.failed:
            screen.note(f"failed {shown(one.path)}: {one.reason}")
    return codes.INCOMPLETE if done.failed else codes.DONE
