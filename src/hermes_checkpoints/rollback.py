"""A restore from end to end: safety snapshot, plan, and carrying it out."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from hermes_checkpoints import across
from hermes_checkpoints.across import Held, is_foreign, without_empty_directories
from hermes_checkpoints.carrying import Options
from hermes_checkpoints.contract import (
    Backend,
    Capability,
    Change,
    CheckpointError,
    Entry,
    Growing,
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
    StoreError,
    ancestors,
    silent,
    split_path,
    unbounded,
    within,
)
from hermes_checkpoints.keeping import edited_since, unknown_then
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX
from hermes_checkpoints.planned import read_only_directories, scratch_directories
from hermes_checkpoints.policy.history import ABORT, CONTINUE
from hermes_checkpoints.policy.plan import Action, Keep, Plan, keep_nothing, make_plan
from hermes_checkpoints.restore import apply
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.underway import Journal, Underway, fresh_token


@dataclass(frozen=True, slots=True)
class Rollback:
    """What is asked for."""

    target: Snapshot
    restoring: Restoring
    options: Options = field(default=Options())
    references: tuple[Held, ...] = ()
    """What differs from every one of these was edited since, and is kept: for ``undo``, and to finish or abort."""
    keep: Keep = keep_nothing
    """What the caller wants kept on top of that."""
    unfinished: bool = False
    """Whether the last restore was interrupted: then directories may have modes that no state had."""
    resumes: Underway | None = None
    """The interrupted restore that this one finishes or aborts."""

    @property
    def takes_back(self) -> bool:
        """Whether it goes back to the state before a restore."""
        continued = self.resumes is not None and self.restoring.action == CONTINUE
        action = self.resumes.restoring.action if continued and self.resumes is not None else self.restoring.action
        return action != "restore"


def preview(
    backend: Backend,
    saving: type[Backend],
    scope: Scope,
    asked: Rollback,
) -> Plan:
    """What a restore would do now; nothing is stored or changed.

    ``backend`` holds the target, and ``saving`` takes the safety snapshot.
    """
    target, paths = asked.target, asked.restoring.paths
    if is_foreign(backend) and Capability.STORES_LARGE_FILES_FREELY in saving.capabilities:
        scope = scope._replace(max_file_size=0)  # as the safety snapshot will see the workspace
    live = _live_changes(backend, scope, target)
    too_large = (one.path for one in live if one.before == Entry.left_out(Reason.TOO_LARGE))
    if grown := _grown(backend, target, paths, too_large):
        scope = scope._replace(anyway=grown)
        live = _live_changes(backend, scope, target)
    if not asked.references:  # undo is right to find nothing where both the restore and somebody since removed a path
        _must_exist(backend, target, paths, live)
    keep = _keeping(backend, asked, scope, live, None)
    return make_plan(target, live, paths, keep, take_back=asked.takes_back)


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
    present state cannot be saved first. Killed in the middle, it can be
    finished or taken back: its journal says so until it is done.
    """
    target, restoring = asked.target, asked.restoring
    made = _make_root(place.workspace)
    try:
        if restoring.paths and not asked.references:
            # A path that nobody knows shall not cost a safety snapshot, which undo would go by.
            preview(backend, type(saving), scope, asked)
        safety = _save_first(saving, scope, restoring, progress, growing)
        held = (left.path for left in safety.left_out if left.reason is Reason.TOO_LARGE)
        if grown := _grown(backend, target, restoring.paths, held, asked.keep):
            safety = _save_those_too(saving, scope._replace(anyway=grown), restoring, progress, growing, safety)
        present = Held(saving, safety.latest.id)
        changes = _towards(backend, across.changes(present, Held(backend, target.id)))
        keep = _keeping(backend, asked, scope, changes, present)
        plan = make_plan(target, changes, restoring.paths, keep, take_back=asked.takes_back)
        journal, underway = Journal(place), _underway(asked, plan, safety.latest)
        if not plan.empty:
            _note(journal, underway, Held(saving, safety.latest.id))
    except BaseException:
        if made:
            place.workspace.rmdir()
        raise
    token, opened = underway.token, journal.opened
    done = apply(plan, place.workspace, backend, safety.stamp, asked.options, token=token, opened=opened)
    if done.stopped:
        with suppress(StoreError):  # the same full disk, perhaps: it counts as killed, then
            journal.write(replace(journal.read() or underway, stopped=done.stopped))
    else:
        try:
            journal.end()
        except StoreError as error:
            done.failed.append(Failure(".", f"all was done that could be, and may be said to be interrupted: {error}"))
    with suppress(CheckpointError):  # it only saves work
        backend.restored(target.id, done.stamps)
    return Restored(
        target, safety.latest, done.written, done.deleted, done.kept, done.failed, safety.left_out, done.stopped
    )


def _note(journal: Journal, underway: Underway, safety: Held) -> None:
    """Note what is begun; where that fails, nothing is, and the safety snapshot just taken goes again."""
    try:
        journal.write(underway)
    except StoreError as error:
        with suppress(StoreError):
            noted = journal.read()
            if noted is not None and noted.safety == safety.snapshot:  # it got its name, and was only not synced
                journal.end()  # any other note, of what was interrupted before, stays
            safety.backend.forget([safety.snapshot])  # or undo would go by a restore that never was
        raise RestoreRefused(f"the restore could not be noted, so that it was not begun: {error}") from error


def _underway(asked: Rollback, plan: Plan, safety: Snapshot) -> Underway:
    """What the journal says of a restore; one that is resumed stays what it was."""
    begun = asked.resumes or Underway(
        safety.id,
        asked.restoring,
        (safety.created_ns, asked.target.created_ns),
        asked.options.times,
        asked.options.setuid,
        {step.path: step.reason for step in plan.of(Action.KEEP)},
    )
    directories, opened = scratch_directories(plan), read_only_directories(plan)
    return replace(begun, token=fresh_token(), directories=directories, opened=opened, stopped="")


def held_in(backends: Iterable[Backend], snapshot: str, created_ns: int = 0) -> Held:
    """The snapshot that a restore being taken back went to, also under a new id if its date is given.

    Raises ``RestoreRefused`` when it is gone.
    """
    for backend in backends:
        for held in backend.snapshots():
            if snapshot == held.id or created_ns == held.created_ns:
                return Held(backend, held.id)
    raise RestoreRefused(
        f"snapshot {snapshot[:10]}, which that restore was between, is gone, so later edits could not be told apart. "
        "Nothing was changed; restore one of the others by its id instead."
    )


_BEFORE = {
    "restore": "before restoring",
    "undo": "before undoing to",
    "redo": "before redoing to",
    CONTINUE: "before finishing the restore of",
    ABORT: "before taking the interrupted restore back to",
}


def _save_first(backend: Backend, scope: Scope, restoring: Restoring, progress: Progress, growing: Growing) -> Saved:
    note = Note(f"{_BEFORE[restoring.action]} {restoring.target[:10]}", restoring=restoring)
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
    """From what is there to the target, but for what a killed restore left beside files: that goes first."""
    found = _towards(backend, _reversed(across.changes(Held(backend, target.id), None, scope)))
    underway = Journal(backend.place).read()
    if underway is None:
        return found
    beginning = SCRATCH_PREFIX + underway.token
    return [change for change in found if not change.path.rpartition("/")[2].startswith(beginning)]


def _towards(backend: Backend, changes: Iterator[Change]) -> list[Change]:
    found = list(changes)
    return without_empty_directories(found) if is_foreign(backend) else found


def _reversed(changes: Iterator[Change]) -> Iterator[Change]:
    return (Change(change.path, change.after, change.before) for change in changes)


def _keeping(backend: Backend, asked: Rollback, scope: Scope, changes: list[Change], present: Held | None) -> Keep:
    """What stays although it differs. ``changes`` go to the target; ``present`` is ``None`` for the live workspace."""
    keeps = [asked.keep]
    if not asked.takes_back:
        keeps.append(unknown_then(backend, asked.target, scope, changes))
    if asked.references:
        keeps.append(edited_since(asked.references, scope, present, unfinished=asked.unfinished))
    if asked.resumes is not None:
        kept = asked.resumes.kept
        keeps.append(lambda change: kept.get(change.path))

    def keep(change: Change) -> str | None:
        for one in keeps:
            if why := one(change):
                return why
        return None

    return keep
