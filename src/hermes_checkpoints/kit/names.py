"""Names under which snapshots stand in a directory: sorted as bytes, the newest comes last."""

import os
from pathlib import Path


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
