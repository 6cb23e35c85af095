"""Names under which snapshots stand in a directory: sorted as bytes, the newest comes last."""

import os
from collections.abc import Collection
from pathlib import Path

from hermes_checkpoints.contract import StoreError


def created_name(created_ns: int, snapshot: str) -> str:
    """The name of what stands for a snapshot."""
    return f"{created_ns:016x}-{snapshot}"


def listed(directory: Path) -> dict[str, int]:
    """The snapshots that a directory lists, by id, with ``created_ns``; other names are passed over."""
    found = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                created, _, snapshot = entry.name.partition("-")
                if len(created) == 16 and len(snapshot) == 40:
                    try:
                        int(snapshot, 16)
                        found[snapshot] = int(created, 16)
                    except ValueError:
                        continue
    except FileNotFoundError:
        pass
    return found


def remove_names(directory: Path, snapshots: Collection[str]) -> None:
    """Take snapshots off a directory's list; those that are gone already are passed over.

    Not synced: it costs nothing in a turn, and after a power cut they are
    listed again, whole, as long as ``reclaim`` syncs the directory before it
    removes anything.
    """
    found = listed(directory)
    gone = found.keys() & set(snapshots)
    try:
        for snapshot in gone:
            (directory / created_name(found[snapshot], snapshot)).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove a snapshot from {directory}: {error.strerror}.") from error
