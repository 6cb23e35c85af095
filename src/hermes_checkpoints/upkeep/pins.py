"""Pins: snapshots that are never forgotten by themselves, each a file with its label in it.

A file for each, so that two processes never rewrite each other's: one rename
pins, one unlink unpins.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync_path

_DIRECTORY = "pins"


def pins(store: Path, workspace_id: str) -> dict[str, str]:
    """The labels of a workspace's pinned snapshots, by id. Raises ``StoreError``: unread pins must not be lost."""
    directory = store / _DIRECTORY / workspace_id
    try:
        names = [name for name in os.listdir(directory) if len(name) == 40]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(directory, error) from error
    found = {}
    for name in names:
        try:
            found[name] = (directory / name).read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            continue  # unpinned meanwhile; the others are pinned still
        except OSError as error:
            raise _unreadable(directory, error) from error
    return found


def _unreadable(directory: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot read the pins in {directory}: {error.strerror}. Nothing was changed.")


def pin(store: Path, workspace_id: str, snapshot: str, label: str = "") -> None:
    """Pin a snapshot, or give a pinned one another label. Raises ``StoreError``."""
    private_directory(store / _DIRECTORY)
    directory = private_directory(store / _DIRECTORY / workspace_id)
    publish(directory / snapshot, label.encode("utf-8", "surrogateescape"), scratch=directory)


def unpin(store: Path, workspace_id: str, snapshot: str) -> bool:
    """Let a snapshot go with the others; whether it was pinned. Raises ``StoreError``."""
    directory = store / _DIRECTORY / workspace_id
    try:
        (directory / snapshot).unlink()
        sync_path(directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"cannot unpin {snapshot[:10]}: {error.strerror}. Nothing was changed.") from error
    return True


def move_pins(store: Path, workspace_id: str, new_ids: Mapping[str, str]) -> None:
    """Pin under their new ids what was pinned under old ones. Raises ``StoreError``."""
    for snapshot, label in pins(store, workspace_id).items():
        if snapshot in new_ids:
            pin(store, workspace_id, new_ids[snapshot], label)
            unpin(store, workspace_id, snapshot)
