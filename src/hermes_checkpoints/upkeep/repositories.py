"""Hermes's repositories of the time before its shared store, where they stand: which workspace each is of."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.legacy import WORKSPACE_NOTE, pre_v2
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import read_record
from hermes_checkpoints.upkeep.standing import standing


@dataclass(frozen=True, slots=True)
class Repository:
    """One of them, still where Hermes made it: ``base/<16 hex digits>``."""

    path: Path
    workspace: Path
    standing: Standing
    size: int
    """Bytes on disk; 0 unless measured."""
    mtime: float
    """Of the newest file, in seconds since the epoch."""


def repositories(base: Path, *, measure: bool = True) -> Iterator[Repository]:
    """Every one whose workspace is noted in it; one without that note is nobody's to judge. Raises ``StoreError``.

    They do not say which directory the workspace was in, so one is gone only
    where a record of ours says it.
    """
    for path in pre_v2(base):
        try:
            workspace = Path(os.fsdecode((path / WORKSPACE_NOTE).read_bytes().strip()))
            record = read_record(base / "store", path.name)
            stands = standing(workspace, record.parent if record is not None else None)
            size = space_of(path).real if measure else 0
            yield Repository(path, workspace, stands, size, _newest(path))
        except (OSError, ValueError):
            continue  # removed or moved meanwhile, or not to be read


def _newest(directory: Path) -> float:
    """When anything below a directory was written last."""
    newest = directory.lstat().st_mtime
    for above, names, files in os.walk(directory):
        for name in (*names, *files):
            newest = max(newest, Path(above, name).lstat().st_mtime)
    return newest
