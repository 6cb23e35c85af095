"""What Hermes's start-up and ``hermes checkpoints`` ask of a store: pruning, figures, clearing. None of it raises."""

import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import CheckpointError, Place, StoreError
from hermes_checkpoints.hermes.configuration import PathLike, base_directory, open_engine, settings_for
from hermes_checkpoints.hermes.guarding import log
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.kit.store.publish import publish
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.legacy import archives, remove_archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.budget import Pruning, Standing
from hermes_checkpoints.records import read_record
from hermes_checkpoints.results import WorkspaceStatus
from hermes_checkpoints.upkeep.clearing import put_aside, sweep
from hermes_checkpoints.upkeep.repositories import repositories
from hermes_checkpoints.upkeep.unneeded import Swept, forget_unneeded
from hermes_checkpoints.upkeep.upkeep import Upkeep
from hermes_checkpoints.wording import harmless

_MARKER = ".last_prune"


@dataclass(slots=True)
class Counts:
    """What came of pruning, by the names that Hermes reads."""

    scanned: int = 0
    deleted_orphan: int = 0
    deleted_stale: int = 0
    errors: int = 0
    bytes_freed: int = 0

    def failed(self, error: object) -> None:
        log.warning("not all checkpoints were pruned: %s", error)
        self.errors += 1

    def swept(self, done: Swept) -> None:
        self.scanned, self.deleted_orphan, self.deleted_stale = done.scanned, done.gone, done.stale
        for failure in done.failures:
            self.failed(f"{failure.path}: {failure.reason}")


def prune_checkpoints(
    retention_days: float = 7,
    delete_orphans: bool = True,  # noqa: FBT001, FBT002  Hermes's signature
    checkpoint_base: PathLike | None = None,
    max_total_size_mb: float = 0,
    orphan_allowlist: Collection[PathLike] | None = None,
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
                swept = forget_unneeded(opener, upkeep.budget.ledger, orphan_allowlist or (), orphans=delete_orphans)
                counts.swept(swept)
                counts.bytes_freed = swept.aside + _give_back(opener, upkeep, counts)
    except Exception as error:
        counts.failed(error)
    return asdict(counts)


def maybe_auto_prune_checkpoints(
    retention_days: float = 7,
    min_interval_hours: float = 24,
    delete_orphans: bool = True,  # noqa: FBT001, FBT002  Hermes's signature
    checkpoint_base: PathLike | None = None,
    max_total_size_mb: float = 0,
    orphan_allowlist: Collection[PathLike] | None = None,
) -> dict[str, Any]:
    """``prune_checkpoints`` for a start-up, which must not wait; once in so many hours.

    What is gone or stale is forgotten at once, but where somebody is at work.
    In the background its space comes back and room is made for the size, so
    ``bytes_freed`` is 0.
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
                ledger = upkeep.budget.ledger
                swept = forget_unneeded(
                    opener, ledger, orphan_allowlist or (), orphans=delete_orphans, wait=0, measure=False
                )
                counts.swept(swept)
                if opener.settings.store.is_dir():
                    upkeep.budget.look_after(asked=swept.gone + swept.stale > 0)
        finally:  # failed, too: the next start-up is not to be slow as well
            _mark(base)
    except Exception as error:
        counts.failed(error)
        answer["error"] = str(error)
    return answer | {"result": asdict(counts)}


def store_status(checkpoint_base: PathLike | None = None) -> dict[str, Any]:
    """What there is and what it takes; bytes are those that would come back if it were removed."""
    answer: dict[str, Any] = {"base": str(checkpoint_base)}
    answer |= dict.fromkeys(("total_size_bytes", "store_size_bytes", "legacy_size_bytes", "project_count"), 0)
    answer |= {"projects": [], "legacy_archives": [], "pre_v2_projects": []}
    try:
        base = base_directory(checkpoint_base)
        answer["base"] = harmless(str(base))
        answer["legacy_archives"] = [
            {"name": one.path.name, "size_bytes": one.size, "mtime": one.mtime} for one in archives(base)
        ]
        answer["pre_v2_projects"] = [
            {
                "name": one.path.name,
                "workdir": harmless(str(one.workspace)),
                "exists": one.standing is Standing.LIVE,
                "size_bytes": one.size,
                "mtime": one.mtime,
            }
            for one in repositories(base)
        ]
        answer["legacy_size_bytes"] = sum(one["size_bytes"] for one in answer["legacy_archives"])
        answer["store_size_bytes"], known = _measured(base)
        answer["projects"] = [_project(base / "store", one) for one in known]
    except Exception as error:
        log.warning("the checkpoints could not be looked at: %s", error)
    answer["project_count"] = len(answer["projects"])
    aside = sum(one["size_bytes"] for one in answer["pre_v2_projects"])
    answer["total_size_bytes"] = answer["store_size_bytes"] + answer["legacy_size_bytes"] + aside
    return answer


def _measured(base: Path) -> tuple[int, Sequence[WorkspaceStatus]]:
    """Bytes of the store, and the workspaces in it; all its blocks, and none, when it cannot be opened."""
    try:
        with open_engine(settings_for(base)) as engine:
            told = engine.upkeep.status()
    except CheckpointError as error:
        log.warning("what is in the store cannot be told: %s", error)
        return space_of(base / "store").real, ()
    return told.real - sum(archive.size for archive in told.archives), told.workspaces


def _project(store: Path, known: WorkspaceStatus) -> dict[str, Any]:
    workspace_id = Place(store, known.workspace).workspace_id
    record = read_record(store, workspace_id)
    oldest = min((one.snapshot.created_ns / 1e9 for one in known.snapshots), default=None)
    return {
        "hash": workspace_id,
        "workdir": harmless(str(known.workspace)),
        "exists": known.standing is Standing.LIVE,
        "created_at": record.created_at if record is not None else oldest,
        "last_touch": known.last_touch,
        "commits": len(known.snapshots),
    }


def clear_all(checkpoint_base: PathLike | None = None) -> dict[str, Any]:
    """Remove every snapshot, pinned ones too, and what older formats left; the store's configuration stays."""
    before, deleted = store_status(checkpoint_base)["total_size_bytes"], False
    try:
        base = base_directory(checkpoint_base)
        if base.exists():
            with open_engine(settings_for(base)) as engine:
                store = engine.settings.store
                engine.upkeep.refuse_others()
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


def _give_back(opener: Opener, upkeep: Upkeep, counts: Counts) -> int:
    """Reclaim, after forgetting for room what people expect to go first; bytes that came back."""
    sweep(opener)
    if not opener.settings.store.is_dir():
        return 0
    most = opener.settings.limits.max_total_size
    plan = upkeep.plan(retention_days=0, orphans=False) if most else Pruning((), 0, 0)
    expected = [removal for removal in plan.removals if not removal.loud]
    pruned, reclaimed = upkeep.prune(plan._replace(removals=expected))
    for trouble in (*(f"{one.path}: {one.reason}" for one in pruned.failed), *reclaimed.troubles):
        counts.failed(trouble)
    return max(reclaimed.before - reclaimed.after, 0)


@contextmanager
def _opened(base: Path, retention_days: float, max_total_size_mb: float) -> Iterator[Opener]:
    """The store in ``base`` with Hermes's limits; how many snapshots a workspace keeps is for takes to see to."""
    most = int(max(max_total_size_mb, 0))
    settings = settings_for(base, max_snapshots=sys.maxsize, max_total_size_mb=most)
    opener = Opener(replace(settings, limits=replace(settings.limits, retention_days=max(retention_days, 0))))
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
