"""Snapshots made up for tests of pure decisions."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from hermes_checkpoints.contract import Note, Restoring, Snapshot
from hermes_checkpoints.policy.budget import Holding, Standing
from hermes_checkpoints.policy.retention import protected

HOUR = 3600 * 10**9
NOW = 1_000_000 * 3600.0


def snapshot(
    number: int,
    *,
    workspace: str = "/w",
    request: str | None = None,
    restoring: Restoring | None = None,
    hours: float = 0,
) -> Snapshot:
    """The ``number``-th snapshot of a workspace; later numbers, and later ``hours``, are newer."""
    name = hashlib.sha1(f"{workspace} {number}".encode()).hexdigest()
    created_ns = int((900_000 + hours) * HOUR) + number
    return Snapshot(name, Path(workspace), "made", created_ns, Note(f"{number}", request, restoring), 1, 1, 1)


def newest_first(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    return sorted(snapshots, key=lambda one: one.created_ns, reverse=True)


def holding(
    workspace: str,
    snapshots: Sequence[Snapshot],
    *,
    standing: Standing = Standing.LIVE,
    days: float = 0,
    pinned: Sequence[Snapshot] = (),
    as_one: bool = False,
) -> Holding:
    """A workspace last touched so many days ago."""
    listed = newest_first(snapshots)
    units = (tuple(listed),) if as_one else tuple((one,) for one in listed)
    ids = frozenset(one.id for one in pinned)
    return Holding(Path(workspace), standing, NOW - days * 86400, units, ids, protected(listed))
