"""A restore from end to end: safety snapshot, plan, and carrying it out."""

from collections.abc import Callable, Iterator
from pathlib import Path

from hermes_checkpoints.contract import (
    Backend,
    Change,
    CheckpointError,
    Kind,
    Note,
    PathNotFound,
    Place,
    Progress,
    RestoreRefused,
    Restoring,
    Saved,
    Scope,
    Snapshot,
    ancestors,
    same,
    split_path,
)
from hermes_checkpoints.evidence import RulesOfThen
from hermes_checkpoints.policy.plan import Plan, make_plan
from hermes_checkpoints.restore import SET_ID, Options, apply
from hermes_checkpoints.results import Restored

Keep = Callable[[Change], str | None]


def preview(
    backend: Backend, scope: Scope, target: Snapshot, paths: tuple[str, ...] = (), reference: str | None = None
) -> Plan:
    """What a restore would do now; nothing is stored or changed."""
    live = _live_changes(backend, scope, target)
    if reference is None:  # undo is right to find nothing where both the restore and somebody since removed a path
        _must_exist(backend, target, paths, live)
    if reference is None:
        keep = _keep_unknown(backend, target, scope)
    else:
        keep = _keep_edits(backend.changes(reference, scope=scope))
    return make_plan(target, live, paths, keep, take_back=reference is not None)


def roll_back(
    backend: Backend,
    place: Place,
    scope: Scope,
    target: Snapshot,
    restoring: Restoring,
    options: Options,
    progress: Progress,
    reference: str | None = None,
) -> Restored:
    """Save the present state, then make it the target's, within the selection.

    ``reference`` is given to ``undo``: what differs from that snapshot was
    edited since, and is kept. The workspace's lock is held by the caller.
    Raises ``RestoreRefused`` when the present state cannot be saved first.
    """
    made = _make_root(place.workspace)
    try:
        if restoring.paths:  # a path that nobody knows shall not cost a safety snapshot, which undo would go by
            preview(backend, scope, target, restoring.paths, reference)
        safety = _save_first(backend, scope, restoring, progress)
        changes = list(backend.changes(safety.latest.id, target.id))
        if reference is None:
            keep = _keep_unknown(backend, target, scope)
        else:
            keep = _keep_edits(backend.changes(reference, safety.latest.id))
        plan = make_plan(target, changes, restoring.paths, keep, take_back=reference is not None)
    except BaseException:
        if made:
            place.workspace.rmdir()
        raise
    done = apply(plan, place.workspace, backend, safety.stamp, options)
    backend.restored(target.id, done.stamps)
    return Restored(target, safety.latest, done.written, done.deleted, done.kept, done.failed)


def _save_first(backend: Backend, scope: Scope, restoring: Restoring, progress: Progress) -> Saved:
    action = {"restore": "before restoring", "undo": "before undoing to", "redo": "before redoing to"}
    note = Note(f"{action[restoring.action]} {restoring.target[:10]}", restoring=restoring)
    try:
        return backend.save(scope, note, progress)
    except CheckpointError as error:
        raise RestoreRefused(
            f"the present state could not be saved first, so nothing was restored or changed: {error}"
        ) from error


def _make_root(workspace: Path) -> bool:
    """A workspace that was removed altogether comes back: first as an empty directory."""
    try:
        workspace.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise RestoreRefused(f"cannot create {workspace}: {error.strerror}. Nothing was changed.") from error
    return True


def _must_exist(backend: Backend, target: Snapshot, paths: tuple[str, ...], changes: list[Change]) -> None:
    known_paths = {path for change in changes for path in (change.path, *ancestors(change.path))} if paths else set()
    for path in paths:
        split_path(path)
        if path in known_paths:
            continue
        for known in (*reversed([*ancestors(path)]), path):
            try:
                entry = backend.entry(target.id, known)
            except PathNotFound:
                raise PathNotFound(
                    f"snapshot {target.short_id} has nothing at {path!r}. Nothing was changed."
                ) from None
            if not entry.held:
                raise PathNotFound(
                    f"snapshot {target.short_id} does not hold {known!r} ({entry.reason}). Nothing was changed."
                )


def _live_changes(backend: Backend, scope: Scope, target: Snapshot) -> list[Change]:
    """From what is there to the target; of a workspace that was removed, nothing is there."""
    if not backend.place.workspace.exists():
        return [Change(path, None, entry) for path, entry in backend.entries(target.id) if path and entry.held]
    return list(_reversed(backend.changes(target.id, scope=scope)))


def _reversed(changes: Iterator[Change]) -> Iterator[Change]:
    return (Change(change.path, change.after, change.before) for change in changes)


def _keep_unknown(backend: Backend, target: Snapshot, scope: Scope) -> Keep:
    """Keeps what came later and what the target's own rules would have left out: its absence is no evidence."""
    rules = RulesOfThen(backend, target.id, scope.excludes)

    def keep(change: Change) -> str | None:
        gone = change.before is not None and change.after is None
        if gone and change.before is not None and rules.ignore(change.path, change.before):
            return "the snapshot's own rules would have left it out"
        return None

    return keep


def _keep_edits(changes: Iterator[Change]) -> Keep:
    """Keeps the paths that changed since the restore that is being taken back."""
    edited = {change.path for change in changes if not _lost_set_id_only(change)}
    return lambda change: "it was edited after the restore" if change.path in edited else None


def _lost_set_id_only(change: Change) -> bool:
    """Whether the restore itself made the difference: it drops setuid and setgid of files."""
    before, after = change.before, change.after
    if before is None or after is None or before.kind is not Kind.FILE:
        return False
    return same(before._replace(mode=before.mode & ~SET_ID), after)
