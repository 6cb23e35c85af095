"""What a store takes and which workspaces it knows, as Hermes shows it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import CheckpointError, Place
from hermes_checkpoints.hermes.base import PathLike, base_directory, open_engine
from hermes_checkpoints.hermes.repositories import repositories
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import read_record
from hermes_checkpoints.results import WorkspaceStatus
from hermes_checkpoints.wording import harmless

log = logging.getLogger("tools.checkpoint_manager")


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
        with open_engine(base) as engine:
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
