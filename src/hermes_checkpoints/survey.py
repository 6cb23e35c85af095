"""Looking around: what a snapshot holds, and which known workspace a directory belongs to."""

from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Backend, Kind, LeftOut, PathNotFound, Snapshot
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import read_record
from hermes_checkpoints.results import Shown


def enclosing(opener: Opener, directory: Path) -> Path:
    """The nearest known workspace at or above a resolved directory, else the directory itself."""
    for candidate in (directory, *directory.parents):
        if read_record(opener.settings.store, opener.place(candidate).workspace_id) is not None:
            return candidate
    return directory


def describe(backend: Backend, snapshot: Snapshot) -> Shown:
    """One snapshot in figures, and everything that it left out."""
    counts = dict.fromkeys(Kind, 0)
    left_out = []
    for path, entry in backend.entries(snapshot.id):
        counts[entry.kind] += 1 if path else 0
        if not entry.held:
            left_out.append(LeftOut(path, entry.reason))
    return Shown(snapshot, counts[Kind.FILE], counts[Kind.DIR], counts[Kind.LINK], snapshot.size, left_out)


def content(backend: Backend, snapshot: Snapshot, path: str) -> BinaryIO:
    """The content of a file in a snapshot. Raises ``PathNotFound``."""
    entry = backend.entry(snapshot.id, path)
    if entry.kind is not Kind.FILE:
        what = str(entry.reason) if not entry.held else entry.kind.name.lower()
        raise PathNotFound(f"{path!r} is not a file in snapshot {snapshot.short_id} ({what}).")
    return backend.read(entry)
