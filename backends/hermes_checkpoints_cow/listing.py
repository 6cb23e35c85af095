"""The headers of all workspaces, and whatever else is where only they should be."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.store.names import created_name, listed
from hermes_checkpoints.kit.store.nodes import Listed, id_of
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints_cow.opening import unreadable

QUARANTINE = "quarantine"
_WORKSPACE = re.compile("[0-9a-f]{16}")
_HEADER = re.compile("[0-9a-f]{16}-[0-9a-f]{40}")


def workspace_directories(snapshots: Path) -> Iterator[Path]:
    """Where each workspace's headers are. Raises ``StoreDamaged`` when there is no such place."""
    try:
        directories = [entry for entry in snapshots.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except FileNotFoundError as error:  # not "there are no snapshots": then all contents would be garbage
        raise StoreDamaged(f"{snapshots} is not there. Nothing was changed.") from error
    yield from directories


def strangers(snapshots: Path) -> Iterator[tuple[Path, str]]:
    """What is not listed, and may hide snapshots: links in the place of directories, damaged names; and what it is."""
    with suppress(FileNotFoundError):
        for path in map(snapshots.joinpath, sorted(os.listdir(snapshots))):
            if path.is_symlink() or not path.is_dir():
                if os.path.lexists(path):  # else its last snapshot was forgotten meanwhile
                    yield path, "is not a directory of snapshots"
                continue
            with suppress(FileNotFoundError):
                for name in sorted(os.listdir(path)):
                    if not _HEADER.fullmatch(name):
                        yield path / name, "does not have the name of a snapshot"


def headers_of(snapshots: Path) -> Iterator[Listed]:
    """Every snapshot of every workspace, as it is listed; with no bytes for one that is damaged."""
    for directory in workspace_directories(snapshots):
        for snapshot, created_ns in listed(directory).items():
            header = header_in(directory / created_name(created_ns, snapshot))
            if header is not None:
                yield snapshot, directory.name, created_ns, header if id_of(header) == snapshot else b""


def header_in(path: Path) -> bytes | None:
    """A header's bytes, none if it is damaged; ``None`` when it was forgotten meanwhile. Raises ``StoreError``."""
    try:
        return read_plain(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        failure = unreadable(path, error)
        if not isinstance(failure, StoreDamaged):
            raise failure from error
        return b""


def headers_aside(home: Path) -> Iterator[Path]:
    """The headers that repairs have put into quarantine. Raises ``StoreError``."""
    quarantine = home / QUARANTINE
    try:
        for directory in quarantine.iterdir() if quarantine.is_dir() else ():
            if _WORKSPACE.fullmatch(directory.name) and directory.is_dir():
                yield from directory.iterdir()
    except OSError as error:
        raise StoreError(f"{quarantine} cannot be read: {error.strerror}. Nothing was changed.") from error
