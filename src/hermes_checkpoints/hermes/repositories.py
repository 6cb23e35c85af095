"""Hermes's repositories of the time before its shared store: which are gone or stale, and removing them."""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints.kit.store.publish import private_directory
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.legacy import pre_v2
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import read_record
from hermes_checkpoints.upkeep.clearing import CLEARED
from hermes_checkpoints.upkeep.standing import standing

_NOTE = "HERMES_WORKDIR"


@dataclass(frozen=True, slots=True)
class Repository:
    """One of them, still where Hermes made it: ``base/<16 hex digits>``."""

    path: Path
    workspace: Path
    standing: Standing
    size: int
    """Bytes on disk."""
    mtime: float
    """Of the newest file, in seconds since the epoch."""


def repositories(base: Path) -> Iterator[Repository]:
    """Every one whose workspace is noted in it; one without that note is nobody's to judge. Raises ``StoreError``.

    They do not say which directory the workspace was in, so one is gone only
    where a record of ours says it.
    """
    for path in pre_v2(base):
        try:
            workspace = Path(os.fsdecode((path / _NOTE).read_bytes().strip()))
            record = read_record(base / "store", path.name)
            stands = standing(workspace, record.parent if record is not None else None)
            yield Repository(path, workspace, stands, space_of(path).real, _newest(path))
        except (OSError, ValueError):
            continue  # removed or moved meanwhile, or not to be read


def _newest(directory: Path) -> float:
    """When anything below a directory was written last."""
    newest = directory.lstat().st_mtime
    for above, names, files in os.walk(directory):
        for name in (*names, *files):
            newest = max(newest, Path(above, name).lstat().st_mtime)
    return newest


def put_aside(path: Path, store: Path) -> None:
    """Have a repository or an archive removed: at once out of sight, and off the disk with the next ``maintain``.

    Where there is no store to put it in, it is removed here. Raises ``OSError`` or ``StoreError``.
    """
    if store.is_dir():
        path.rename(private_directory(store / f"{CLEARED}{secrets.token_hex(4)}") / path.name)
        return
    for child in sorted(path.iterdir(), key=lambda one: one.name in ("HEAD", _NOTE)):  # killed here, it is known still
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    path.rmdir()
