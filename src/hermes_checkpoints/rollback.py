"""A restore from end to end: safety snapshot, plan, and carrying it out."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_checkpoints import across
from hermes_checkpoints.across import Held, is_foreign, without_empty_directories
from hermes_checkpoints.contract import (
    Backend,
    Capability,
    Change,
    CheckpointError,
    Entry,
    Growing,
    Kind,
    Note,
    PathNotFound,
    Place,
    Progress,
    Reason,
    RestoreRefused,
    Restoring,
    Saved,
    Scope,
    Snapshot,
    ancestors,
    same,
    silent,
    split_path,
    unbounded,
    within,
)
from hermes_checkpoints.evidence import HermesThen, RulesOfThen
from hermes_checkpoints.policy.plan import Keep, Plan, keep_nothing, make_plan
from hermes_checkpoints.restore import SET_ID, Options, apply
from hermes_checkpoints.results import Restored


@dataclass(frozen=True, slots=True)
class Rollback:
    """What is asked for."""

    target: Snapshot
    restoring: Restoring
    options: Options
    reference: Held | None = None
    """Given to ``undo``: what differs from that snapshot was edited since, and is kept."""
    keep: Keep = keep_nothing
    """What the caller wants kept on top of that."""


def preview(
    backend: Backend,
    saving: type[Backend],
    scope: Scope,
    target: Snapshot,
    paths: tuple[str, ...] = (),
    reference: Held | None = None,
) -> Plan:
    """What a restore would do now; nothing is stored or changed.

    ``backend`` holds the target, and ``saving`` takes the safety snapshot.
    """
    if is_foreign(backend) and Capability.STORES_LARGE_FILES_FREELY in saving.capabilities:
        scope = replace(scope, max_file_size=0)  # as the safety snapshot will see the workspace
    live = _live_changes(backend, scope, target)
    too_large = (one.path for one in live if one.before == Entry.left_out(Reason.TOO_LARGE))
    if grown := _grown(backend, target, paths, too_large):
        scope = replace(scope, anyway=grown)
        live = _live_changes(backend, scope, target)
    if reference is None:  # undo is right to find nothing where both the restore and somebody since removed a path
        _must_exist(backend, target, paths, live)
    if reference is None:
        keep = _keep_unknown(backend, target, scope, live)
    else:
        keep = _keep_edits(across.changes(reference, None, scope))
    return make_plan(target, live, paths, keep, take_back=reference is not None)


def roll_back(
    backend: Backend,
    saving: Backend,
    place: Place,
    scope: Scope,
    asked: Rollback,
    progress: Progress = silent,
    growing: Growing = unbounded,
) -> Restored:
    """Save the present state, then make it the target's, within the selection.

    ``backend`` holds the target, and ``saving`` takes the safety snapshot. The
    workspace's lock is held by the caller. Raises ``RestoreRefused`` when the
    present state cannot be saved first.
    """
    target, restoring, reference = asked.target, asked.restoring, asked.reference
    made = _make_root(place.workspace)
    try:
        if restoring.paths:  # a path that nobody knows shall not cost a safety snapshot, which undo would go by
            preview(backend, type(saving), scope, target, restoring.paths, reference)
        safety = _save_first(saving, scope, restoring, progress, growing)
        held = (left.path for left in safety.left_out if left.reason is Reason.TOO_LARGE)
        if grown := _grown(backend, target, restoring.paths, held, asked.keep):
            safety = _save_those_too(saving, replace(scope, anyway=grown), restoring, progress, growing, safety)
        present = Held(saving, safety.latest.id)
        changes = _towards(backend, across.changes(present, Held(backend, target.id)))
        if reference is None:
            ours = _keep_unknown(backend, target, scope, changes)
        else:
            ours = _keep_edits(across.changes(reference, present))
        keep = _either(ours, asked.keep)
        plan = make_plan(target, changes, restoring.paths, keep, take_back=reference is not None)
    except BaseException:
        if made:
            place.workspace.rmdir()
        raise
    done = apply(plan, place.workspace, backend, safety.stamp, asked.options)
    backend.restored(target.id, done.stamps)
    return Restored(target, safety.latest, done.written, done.deleted, done.kept, done.failed, safety.left_out)


def held_in(backends: Iterable[Backend], snapshot: str) -> Held:
    """The snapshot that a restore being taken back went to. Raises ``RestoreRefused`` when it is gone."""
    for backend in backends:
        if any(held.id == snapshot for held in backend.snapshots()):
            return Held(backend, snapshot)
    raise RestoreRefused(
        f"snapshot {snapshot[:10]}, which was restored then, is gone, so later edits could not be told apart. "
        "Nothing was changed; restore the safety snapshot by its id instead."
    )


def _save_first(backend: Backend, scope: Scope, restoring: Restoring, progress: Progress, growing: Growing) -> Saved:
    action = {"restore": "before restoring", "undo": "before undoing to", "redo": "before redoing to"}
    note = Note(f"{action[restoring.action]} {restoring.target[:10]}", restoring=restoring)
    try:
        return backend.save(scope, note, progress, growing)
    except CheckpointError as error:
        raise RestoreRefused(
            f"the present state could not be saved first, so nothing was restored or changed: {error}"
        ) from error


def _save_those_too(
    backend: Backend, scope: Scope, restoring: Restoring, progress: Progress, growing: Growing, first: Saved
) -> Saved:
    """A safety snapshot that holds what the first one left out for its size; the first one where there is no room."""
    try:
        safety = _save_first(backend, scope, restoring, progress, growing)
    except RestoreRefused:
        return first  # those files stay as they are, then
    backend.forget([first.latest.id])
    return safety


def _grown(
    backend: Backend, target: Snapshot, selected: tuple[str, ...], too_large: Iterable[str], keep: Keep = keep_nothing
) -> frozenset[str]:
    """Of the files that are too large now, those that the target holds and that are to come back: they have grown."""
    found = set()
    for path in too_large:
        with suppress(PathNotFound):
            now, then = Entry.left_out(Reason.TOO_LARGE), backend.entry(target.id, path)
            if then.held and within(path, selected) and keep(Change(path, now, then)) is None:
                found.add(path)
    return frozenset(found)


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
    """From what is there to the target."""
    return _towards(backend, _reversed(across.changes(Held(backend, target.id), None, scope)))


def _either(one: Keep, other: Keep) -> Keep:
    return lambda change: one(change) or other(change)


def _towards(backend: Backend, changes: Iterator[Change]) -> list[Change]:
    found = list(changes)
    return without_empty_directories(found) if is_foreign(backend) else found


def _reversed(changes: Iterator[Change]) -> Iterator[Change]:
    return (Change(change.path, change.after, change.before) for change in changes)


def _keep_unknown(backend: Backend, target: Snapshot, scope: Scope, changes: list[Change]) -> Keep:
    """Keeps what came later and what the target's own rules would have left out: its absence is no evidence."""
    if is_foreign(backend):
        then = HermesThen(backend, target.id, scope.max_file_size, changes)
        return lambda change: then.why(change.path, change.before) if change.before and change.after is None else None
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
