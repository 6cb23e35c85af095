"""Headers back under the names that they should have, and out of the way what has no business among them."""

import os
from collections.abc import Iterator
from pathlib import Path

from hermes_checkpoints.contract import Mended, Mending, Place, StoreError
from hermes_checkpoints.kit import decode_header, locked, private_directory, sync_path
from hermes_checkpoints.kit.store.names import created_name
from hermes_checkpoints.kit.store.nodes import id_of
from hermes_checkpoints_cow.listing import QUARANTINE, header_in, strangers, workspace_directories
from hermes_checkpoints_cow.repairing import put_aside

_DATE = len(created_name(0, ""))
_ALIKE = 36
"""So many of the 40 digits of an id have to be right."""


def listed_again(home: Path, *, dry_run: bool) -> Iterator[Mended]:
    """Give headers whose names are damaged, or which are in another workspace's directory, their names again.

    What is no header, and has not the name of one either, is put aside, so that
    space can be given back; but links to directories, behind which snapshots may
    be, are left to people.
    """
    snapshots = home / "snapshots"
    strange = [path for path, _ in strangers(snapshots)]
    named = (path for directory in workspace_directories(snapshots) for path in sorted(directory.iterdir()))
    for path in dict.fromkeys((*strange, *named)):
        if path.is_dir() and path.is_symlink():
            continue
        header = header_in(path)
        target = _place_of(header, path.name, snapshots) if header else None
        if target == path or header is None:
            continue
        if target is not None and not os.path.lexists(target):
            if not dry_run:
                _move(path, target, home)
            yield Mended(Mending.REBUILT, "", "", f"{path}: listed again as {target.parent.name}/{target.name}")
        elif target is not None or path in strange:
            kept = home / QUARANTINE / (path.parent.name if path.parent != snapshots else snapshots.name)
            if not dry_run:
                put_aside(path, kept)
            yield Mended(Mending.QUARANTINED, "", "", f"{path}, which stands for no snapshot; kept in {kept}")


def _place_of(header: bytes, name: str, snapshots: Path) -> Path | None:
    """Where a header should be; ``None`` when it is none, or not the one that its name is about."""
    snapshot = id_of(header) or ""
    # The id is made from the header: were that damaged, next to nothing of its name would fit.
    if sum(map(str.__eq__, name[_DATE:], snapshot)) < _ALIKE:
        return None
    try:
        described = decode_header(header, snapshot, "")[0]
    except StoreError:
        return None
    owner = Place(snapshots, described.workspace).workspace_id
    return snapshots / owner / created_name(described.created_ns, snapshot)


def _move(path: Path, target: Path, home: Path) -> None:
    # With the lock: a reclaim must not look in between, and see it nowhere.
    with locked(home / "lock", shared=True):
        private_directory(target.parent)
        path.rename(target)
        sync_path(target.parent)
        sync_path(path.parent)
