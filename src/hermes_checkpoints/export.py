"""Laying a snapshot out as a directory."""

from pathlib import Path

from hermes_checkpoints.carrying import Options
from hermes_checkpoints.contract import Backend, Change, RestoreRefused, Snapshot
from hermes_checkpoints.policy.plan import make_plan
from hermes_checkpoints.restore import apply
from hermes_checkpoints.results import Exported


def lay_out(backend: Backend, snapshot: Snapshot, target: Path) -> Exported:
    """Fill a new or empty directory with what the snapshot holds, recorded times included.

    Raises ``RestoreRefused`` when there is something at ``target`` already.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
        occupied = any(target.iterdir())
    except OSError as error:
        raise RestoreRefused(f"cannot export to {target}: {error.strerror}. Nothing was written.") from error
    if occupied:
        raise RestoreRefused(f"{target} is not empty. Nothing was written; name a directory that does not exist yet.")
    changes = (Change(path, None, entry) for path, entry in backend.entries(snapshot.id) if entry.held)
    root = next(changes)
    assert root.after is not None
    plan = make_plan(snapshot, (Change("", root.after._replace(mode=0), root.after), *changes))
    done = apply(plan, target, backend, lambda path: None, Options(times=True))
    return Exported(len(done.stamps), [*done.failed, *done.kept])
