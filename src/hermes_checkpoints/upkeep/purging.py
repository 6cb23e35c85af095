"""A path taken out of every snapshot of a workspace, for good."""

import os
from contextlib import suppress

from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Kind,
    PathNotFound,
    Place,
    Progress,
    Reason,
    silent,
    split_path,
    within,
)
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.results import Failure, Purged
from hermes_checkpoints.upkeep.inventory import part_name
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.reclaiming import reclaim


def purge(place: Place, path: str, opener: Opener, ledger: Ledger, progress: Progress = silent) -> Purged:
    """Purge a path of a workspace whose lock is held, and reclaim thoroughly.

    Can be repeated when it was interrupted, until the content is gone. Raises
    ``PathNotFound`` when no snapshot holds it or did, with nothing changed.
    """
    split_path(path)
    backends = [*opener.holders(place)]
    contents = {backend.name: _contents(backend, path) for backend in backends}
    if not any(contents.values()) and not any(_was_purged(backend, path) for backend in backends):
        raise PathNotFound(f"no snapshot of {place.workspace} holds {path!r}. Nothing was changed.")
    replaced: dict[str, str] = {}
    still_in: list[Failure] = []
    for backend in backends:
        if not contents[backend.name]:
            continue
        try:
            replaced |= backend.purge(path, progress)
        except CheckpointError as error:
            held = [one for one in backend.snapshots() if _held(backend, one.id, path)]
            still_in += [Failure(one.short_id, str(error)) for one in held]
    parts = {part_name(backend): backend for backend in backends if not is_foreign(backend)}
    done = reclaim(parts, ledger, progress=progress, thorough=True)
    still_in += [Failure(path, f"its content is still in the store: {trouble}") for trouble in done.troubles]
    also_at = {other for backend in backends for other in _others(backend, contents[backend.name])}
    in_workspace = os.path.lexists(place.workspace / path)
    return Purged(path, replaced, tuple(still_in), tuple(sorted(also_at)), in_workspace)


def _held(backend: Backend, snapshot: str, path: str) -> bool:
    try:
        return backend.entry(snapshot, path).held
    except PathNotFound:
        return False


def _was_purged(backend: Backend, path: str) -> bool:
    """Whether a purge was begun: then its content may be in the store still."""
    for snapshot in backend.snapshots():
        with suppress(PathNotFound):
            if backend.entry(snapshot.id, path).reason is Reason.PURGED:
                return True
    return False


def _contents(backend: Backend, path: str) -> set[bytes]:
    """The keys of everything that snapshots hold at the path and below it; a mark for what has no content."""
    found = set()
    for snapshot in backend.snapshots():
        if not _held(backend, snapshot.id, path):
            continue
        found.add(b"")
        for below, entry in backend.entries(snapshot.id):
            if entry.kind is Kind.FILE and within(below, (path,)):
                found.add(entry.key)
    return found


def _others(backend: Backend, keys: set[bytes]) -> set[str]:
    """Where else snapshots of the workspace hold one of these contents."""
    wanted = keys - {b""}
    return {
        path
        for snapshot in (backend.snapshots() if wanted else ())
        for path, entry in backend.entries(snapshot.id)
        if entry.kind is Kind.FILE and entry.size and entry.key in wanted
    }
