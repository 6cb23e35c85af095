"""One small record a workspace: which backends hold its snapshots, and when it was last touched.

Records only save looking: a lost one is made anew from the snapshots. The keys
``workdir``, ``created_at`` and ``last_touch`` are those of Hermes's own records.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hermes_checkpoints.contract import Place, StoreError
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish

# The date is renewed only this often (seconds); the newest snapshot's is exact.
_RENEW_AFTER = 600.0


class Record(NamedTuple):
    workspace: Path
    created_at: float
    last_touch: float
    """Seconds since the epoch."""
    backends: tuple[str, ...]
    """Every backend that snapshots were taken with, the one used last at the end."""
    parent: tuple[int, int, int] | None = None
    """Device, inode and filesystem id of the directory that the workspace was in when it was last touched.

    ``None`` for a volume's own top directory: its absence is no evidence.
    """


def read_record(store: Path, workspace_id: str) -> Record | None:
    """The record of a workspace; ``None`` when it is missing or not to be believed."""
    return _read(store / "projects" / f"{workspace_id}.json")


def _read(path: Path) -> Record | None:
    try:
        raw = json.loads(read_plain(path))
        workspace = Path(os.fsdecode(raw["workdir"].encode("utf-8", "surrogateescape")))
        backends = tuple(str(name) for name in list[object](raw.get("backends", ())))
        parent = tuple(map(int, raw["parent"])) if "parent" in raw else None
        created_at, last_touch = float(raw["created_at"]), float(raw["last_touch"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if Place(path.parent, workspace).workspace_id != path.stem or not math.isfinite(created_at + last_touch):
        return None
    if parent is not None and len(parent) != 3:
        return None
    return Record(workspace, created_at, last_touch, backends, parent)


def records(store: Path) -> Iterator[Record]:
    """Every workspace on record; none where the records cannot be read."""
    try:
        found = sorted(entry.name for entry in os.scandir(store / "projects") if entry.name.endswith(".json"))
    except OSError:
        return
    for name in found:
        record = _read(store / "projects" / name)
        if record is not None:
            yield record


def parent_of(workspace: Path) -> tuple[int, int, int] | None:
    """Device, inode and filesystem id of the directory that a workspace is in; ``None`` when it cannot be seen."""
    try:
        status, filesystem = workspace.parent.stat(), os.statvfs(workspace.parent)
    except OSError:
        return None
    return status.st_dev, status.st_ino, filesystem.f_fsid


def forget_record(store: Path, workspace_id: str) -> None:
    """Remove the record of a workspace that has no snapshots any more."""
    with suppress(OSError):
        (store / "projects" / f"{workspace_id}.json").unlink(missing_ok=True)


def touch_record(place: Place, backend: str, holding: Sequence[str]) -> None:
    """Note that a workspace was looked at just now with this backend, and which others hold snapshots of it.

    A date that is hardly older stays: a turn does not write for it. Failing
    to is no failure of the snapshot that was taken: the record is made anew later.
    """
    old = read_record(place.store, place.workspace_id)
    now = time.time()
    if old is not None and old.backends[-1:] == (backend,) and abs(now - old.last_touch) < _RENEW_AFTER:
        return
    others = [name for name in holding if name != backend]
    row = {
        "workdir": os.fsencode(place.workspace).decode("utf-8", "surrogateescape"),
        "created_at": old.created_at if old is not None else now,
        "last_touch": now,
        "backends": [*others, backend],
    }
    parent = parent_of(place.workspace)
    if parent is not None and not os.path.ismount(place.workspace):  # a volume that goes takes its name along, perhaps
        row["parent"] = parent
    with suppress(StoreError):
        directory = private_directory(place.store / "projects")
        # Not synced: a record lost in a power cut is made anew.
        publish(directory / f"{place.workspace_id}.json", json.dumps(row).encode(), scratch=directory, durable=False)
