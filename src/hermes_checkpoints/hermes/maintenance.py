"""What Hermes's start-up and ``hermes checkpoints`` ask of a store: pruning and clearing. None of it raises."""

import logging
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.hermes.base import PathLike, base_directory, open_engine
from hermes_checkpoints.hermes.figures import store_status
from hermes_checkpoints.hermes.pruning import Counts, forget, give_back
from hermes_checkpoints.hermes.repositories import put_aside, repositories
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.kit.store.publish import publish
from hermes_checkpoints.legacy import archives, remove_archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.upkeep.upkeep import Upkeep

_MARKER = ".last_prune"
log = logging.getLogger("tools.checkpoint_manager")


def prune_checkpoints(
    retention_days: float = 7,
    delete_orphans: bool = True,  # noqa: FBT001, FBT002  Hermes's signature
    checkpoint_base: PathLike | None = None,
    max_total_size_mb: float = 0,
    orphan_allowlist: Collection[PathLike] = frozenset(),
) -> dict[str, int]:
    """Forget workspaces that are gone or stale, then what exceeds a size (0: no limit), and give the space back.

    Gone needs evidence, which a volume that is not mounted does not give; what
    ``orphan_allowlist`` names (directories, or their 16 hex digits) never is.
    A stale workspace keeps its newest snapshot, for room none loses its last
    one or what undo leans on, and pinned ones stay. ``deleted_*`` count
    workspaces, and archives among the stale.
    """
    counts = Counts()
    try:
        base = base_directory(checkpoint_base)
        if base.exists():
            with _opened(base, retention_days, max_total_size_mb) as opener:
                upkeep = Upkeep(opener, DEFAULT_WAIT)
                aside = forget(opener, upkeep, counts, orphan_allowlist, orphans=delete_orphans)
                counts.bytes_freed = aside + give_back(opener, upkeep, counts)
    except Exception as error:
        counts.failed(error)
    return asdict(counts)


def maybe_auto_prune_checkpoints(
    retention_days: float = 7,
    min_interval_hours: float = 24,
    delete_orphans: bool = True,  # noqa: FBT001, FBT002  Hermes's signature
    checkpoint_base: PathLike | None = None,
    max_total_size_mb: float = 0,
    orphan_allowlist: Collection[PathLike] = frozenset(),
) -> dict[str, Any]:
    """``prune_checkpoints`` for a start-up, which must not wait; once in so many hours.

    What is gone or stale is forgotten at once, but where somebody is at work.
    In the background its space comes back and room is made for the size, so
    ``bytes_freed`` says little.
    """
    counts = Counts()
    answer: dict[str, Any] = {"skipped": False}
    try:
        base = base_directory(checkpoint_base)
        if not base.exists():
            return answer | {"result": asdict(counts)}
        if _is_marked(base, min_interval_hours * 3600):
            return {"skipped": True}
        try:
            with _opened(base, retention_days, max_total_size_mb) as opener:
                upkeep = Upkeep(opener, wait=0)
                aside = forget(opener, upkeep, counts, orphan_allowlist, orphans=delete_orphans, wait=0)
                if opener.settings.store.is_dir():
                    upkeep.budget.look_after(asked=counts.deleted_orphan + counts.deleted_stale > 0)
                else:
                    counts.bytes_freed = aside
        finally:  # failed, too: the next start-up is not to be slow as well
            _mark(base)
    except Exception as error:
        counts.failed(error)
        answer["error"] = str(error)
    return answer | {"result": asdict(counts)}


def clear_all(checkpoint_base: PathLike | None = None) -> dict[str, Any]:
    """Remove every snapshot, pinned ones too, and what older formats left; the store's configuration stays."""
    before, deleted = store_status(checkpoint_base)["total_size_bytes"], False
    try:
        base = base_directory(checkpoint_base)
        if base.exists():
            with open_engine(base) as engine:
                store = engine.settings.store
                for repository in repositories(base):
                    put_aside(repository.path, store)
                if store.is_dir():
                    engine.upkeep.clear()
                else:
                    engine.upkeep.clear_legacy()
            deleted = True
    except Exception as error:
        log.warning("not all checkpoints were cleared: %s", error)
    return {"deleted": deleted, "bytes_freed": max(before - store_status(checkpoint_base)["total_size_bytes"], 0)}


def clear_legacy(checkpoint_base: PathLike | None = None) -> dict[str, int]:
    """Remove the archives of what Hermes kept before its shared store."""
    deleted = freed = 0
    try:
        base = base_directory(checkpoint_base)
        for archive in archives(base):
            remove_archives(base, [archive.path])
            deleted, freed = deleted + 1, freed + archive.size
    except Exception as error:
        log.warning("old checkpoints were not cleared: %s", error)
    return {"deleted": deleted, "bytes_freed": freed}


@contextmanager
def _opened(base: Path, retention_days: float, max_total_size_mb: float) -> Iterator[Opener]:
    """The store in ``base`` with Hermes's limits; how many snapshots a workspace keeps is for takes to see to."""
    most = int(max(max_total_size_mb, 0))
    with open_engine(base, max_snapshots=sys.maxsize, max_total_size_mb=most) as engine:
        limits = replace(engine.settings.limits, retention_days=max(retention_days, 0))
        opener = Opener(replace(engine.settings, limits=limits))
    try:
        yield opener
    finally:
        opener.close()


def _is_marked(base: Path, seconds: float) -> bool:
    """Whether the last start-up that pruned was so short a time ago; a mark from the future says nothing."""
    try:
        return 0 <= time.time() - float((base / _MARKER).read_text("utf-8")) < seconds
    except (OSError, ValueError):
        return False


def _mark(base: Path) -> None:
    try:
        publish(base / _MARKER, str(time.time()).encode(), scratch=base, durable=False)
    except StoreError as error:
        log.debug("the next start-up prunes again: %s", error)
