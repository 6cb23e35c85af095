"""How a workspace, or a later snapshot, differs from a snapshot, in words: only what differs is read."""

import os
from collections.abc import Iterator
from pathlib import Path

from hermes_checkpoints import across
from hermes_checkpoints.across import Held
from hermes_checkpoints.contract import Backend, Change, Entry, Kind, Scope, WorkspaceError, split_path, within
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import Changed, open_regular
from hermes_checkpoints.results import FileDiff
from hermes_checkpoints.textdiff import Side, quoted, unified

# Nobody reads the text of a larger change; it is named as a binary one is.
MAX_TEXT = 32 * 1024 * 1024


def file_diffs(since: Held, workspace: Path, scope: Scope, paths: tuple[str, ...]) -> Iterator[FileDiff]:
    """The differing files and links, from the snapshot to the workspace, within the literal ``paths``."""
    for path in paths:
        split_path(path)
    try:
        descent = Descent(str(workspace))
    except OSError as error:
        raise WorkspaceError(f"cannot read {workspace}: {error.strerror}. Nothing was changed.") from error
    with descent:
        for change in across.changes(since, None, scope):
            if not within(change.path, paths) or not (_shows(change.before) or _shows(change.after)):
                continue
            yield _left_out(change) or unified(
                change.path, _held(since.backend, change.before), _living(descent, change)
            )


def held_diffs(since: Held, until: Held) -> Iterator[FileDiff]:
    """The files and links that differ between two snapshots."""
    for change in across.changes(since, until):
        if _shows(change.before) or _shows(change.after):
            held = _held(since.backend, change.before), _held(until.backend, change.after)
            yield _left_out(change) or unified(change.path, *held)


def _shows(entry: Entry | None) -> bool:
    return entry is not None and entry.kind in (Kind.FILE, Kind.LINK)


def _left_out(change: Change) -> FileDiff | None:
    """What is there and not held did not come or go; a line that no patch program minds says so."""
    for entry, when in ((change.before, b"then it was"), (change.after, b"now it is")):
        if entry is not None and not entry.held:
            text = b"# %s is not compared: %s %s\n" % (quoted(os.fsencode(change.path)), when, entry.key)
            return FileDiff(change.path, text, 0, 0)
    return None


def _held(backend: Backend, entry: Entry | None) -> Side | None:
    return Side.of(entry, _stored(backend, entry)) if entry is not None and _shows(entry) else None


def _living(descent: Descent, change: Change) -> Side | None:
    if change.after is None or not _shows(change.after):
        return None
    content = _live(descent, change.path, change.after)
    return Side.of(change.after, content) if content is not None else None


def _stored(backend: Backend, entry: Entry) -> bytes:
    if entry.kind is not Kind.FILE:
        return b""
    if entry.size > MAX_TEXT:
        return _too_large(entry)
    with backend.read(entry) as content:
        return content.read()


def _live(descent: Descent, path: str, entry: Entry) -> bytes | None:
    if entry.kind is not Kind.FILE:
        return b""
    if entry.size > MAX_TEXT:
        return _too_large(entry)
    *above, name = split_path(path)
    try:
        descent.go(tuple(above))
        with open_regular(descent.fd, name) as fd, os.fdopen(os.dup(fd), "rb") as file:
            return file.read(MAX_TEXT)
    except (OSError, Changed):
        return None  # gone since the walk


def _too_large(entry: Entry) -> bytes:
    """Stands for content that is not shown: binary, and different for different content."""
    return b"\0" + entry.size.to_bytes(8, "big") + entry.key
