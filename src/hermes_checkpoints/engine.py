"""The engine: where policy meets storage. This is the Python interface.

::

    from hermes_checkpoints import Engine

    with Engine() as engine:
        engine.snapshot("project", reason="before the refactoring")
        ...                                     # an agent edits files
        for snapshot in engine.list("project"):
            print(snapshot.short_id, snapshot.note.reason)
        engine.restore("project", "1")          # the newest one
        engine.undo("project")                  # and back again

Answers are values (:mod:`hermes_checkpoints.results`); every failure is a
:class:`~hermes_checkpoints.contract.CheckpointError`. An engine may be used
from several threads; processes exclude each other by locks in the store.
"""

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Self

from hermes_checkpoints import across, results
from hermes_checkpoints.across import Held
from hermes_checkpoints.contract import (
    Backend,
    Change,
    Growing,
    Note,
    Place,
    Progress,
    RestoreRefused,
    Restoring,
    Saved,
    Scope,
    Snapshot,
    SnapshotNotFound,
    silent,
)
from hermes_checkpoints.differences import file_diffs, held_diffs
from hermes_checkpoints.export import lay_out
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT, locked
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.policy.history import redoable, undoable
from hermes_checkpoints.policy.plan import Keep, Plan, keep_nothing
from hermes_checkpoints.policy.references import resolve
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.records import records, touch_record
from hermes_checkpoints.restore import Options
from hermes_checkpoints.rollback import Rollback, held_in, preview, roll_back
from hermes_checkpoints.settings import Settings, home_directory, read_settings
from hermes_checkpoints.survey import content, describe, enclosing
from hermes_checkpoints.upkeep.forgetting import workspace_lock
from hermes_checkpoints.upkeep.upkeep import Upkeep

PathLike = str | os.PathLike[str]


class Engine:
    """Snapshots of workspaces in one store."""

    def __init__(
        self,
        *,
        store: PathLike | None = None,
        backend: str | type[Backend] | None = None,
        scope: Scope | None = None,
        limits: Limits | None = None,
        settings: Settings | None = None,
        progress: Progress = silent,
        wait: float = DEFAULT_WAIT,
    ) -> None:
        """Reads settings; touches no store before there is something to do.

        ``store``: the directory to keep snapshots in, default
        ``$HERMES_HOME/checkpoints``. ``backend``: a name, a backend class, or
        ``None`` for ``HERMES_CHECKPOINT_BACKEND``, the configuration, what the
        workspace already uses, or what its filesystem deserves. ``limits``
        (``hermes_checkpoints.Limits``): what is kept, all of it instead of what
        the store's configuration says. ``settings``: all of these at once. ``wait``: seconds to wait for another
        process before ``StoreBusy``.
        """
        name, given = (backend, None) if backend is None or isinstance(backend, str) else (None, backend)
        self.settings = settings or read_settings(store, name, scope, limits)
        self._opener = Opener(self.settings, given)
        self._progress = progress
        self._wait = wait
        self._turns: dict[Path, Hashable] = {}
        self.upkeep = Upkeep(self._opener, wait, progress)
        """Keeping the store small: what it takes, what is forgotten, pins."""

    def snapshot(
        self, workspace: PathLike, reason: str = "", *, request: str | None = None, turn: Hashable = None
    ) -> results.SnapshotOutcome:
        """Save the state of a directory, unless it is as the newest snapshot has it.

        ``request`` names the user request that a turn belongs to. With a
        ``turn``, a directory is looked at once for each value of it. Raises
        ``CheckpointError`` when the state could not be saved.
        """
        place = self._opener.place(workspace)
        declined = self._declined(place)
        if declined is not None:
            return results.Declined(place.workspace, declined)
        if turn is not None and self._turns.get(place.workspace) == turn:
            return results.AlreadyThisTurn(place.workspace)
        choice = self._opener.choose(place)
        backend = self._opener.open(choice.name, place)
        new = choice.name not in self._opener.holding(place)
        saved = self.upkeep.budget.within(
            backend, lambda meter: self._save(place, backend, Note(reason, request), meter)
        )
        if turn is not None:
            self._turns[place.workspace] = turn
        if saved.snapshot is None:
            return results.Unchanged(saved.latest, saved.left_out, saved.stats)
        said = [choice.notice] if new and choice.notice else []
        said += self.upkeep.budget.said
        self.upkeep.budget.said.clear()
        return results.Taken(saved.snapshot, saved.left_out, saved.stats, "\n".join(said))

    def _save(self, place: Place, backend: Backend, note: Note, growing: Growing) -> Saved:
        with self._alone(place):
            held = self._opener.holding(place)
            if backend.name not in held:  # noted first: a snapshot that no record leads to would not be listed
                touch_record(place, backend.name, held, taken=True)
            saved = backend.save(self.settings.scope, note, self._progress, growing)
            touch_record(place, backend.name, held, taken=saved.snapshot is not None)
            if saved.snapshot is not None:
                self.upkeep.budget.after_take(place)
        return saved

    def list(self, workspace: PathLike) -> list[Snapshot]:
        """The snapshots of a directory, newest first, whichever backends hold them."""
        place = self._opener.place(workspace)
        found = [snapshot for backend in self._opener.holders(place) for snapshot in backend.snapshots()]
        return sorted(found, key=lambda snapshot: snapshot.created_ns, reverse=True)

    def find(self, workspace: PathLike, ref: str) -> Snapshot:
        """The snapshot that ``ref`` means: a number from the list (1 is the newest), an id, or the beginning of one.

        Four digits and more are the beginning of an id when there is one.
        Raises ``SnapshotNotFound`` or ``AmbiguousId``.
        """
        place = self._opener.place(workspace)
        snapshots = self.list(place.workspace)
        if not snapshots:
            raise SnapshotNotFound(f"{place.workspace} has no snapshots.")
        return resolve(ref, snapshots)

    def show(self, workspace: PathLike, ref: str) -> results.Shown:
        """One snapshot in figures, and everything that it left out."""
        _, snapshot, backend = self._found(workspace, ref)
        return describe(backend, snapshot)

    def diff(
        self, workspace: PathLike, ref: str | None = None, paths: Sequence[str] = ()
    ) -> Iterator[results.FileDiff]:
        """How the workspace differs from a snapshot (the newest one by default), path by path."""
        place, snapshot, backend = self._found(workspace, ref or "1")
        return file_diffs(Held(backend, snapshot.id), place.workspace, self.settings.scope, tuple(paths))

    def diff_between(self, since: Snapshot, until: Snapshot) -> Iterator[results.FileDiff]:
        """How a later snapshot differs from an earlier one of the same workspace, path by path."""
        return held_diffs(self._held(since), self._held(until))

    def changes(self, since: Snapshot, until: Snapshot | None = None) -> Iterator[Change]:
        """The paths that differ from a snapshot in a later one, or in the workspace (``None``); no text is made."""
        return across.changes(self._held(since), self._held(until) if until is not None else None, self.settings.scope)

    def read(self, workspace: PathLike, ref: str, path: str) -> BinaryIO:
        """The content of a file in a snapshot. Raises ``PathNotFound``."""
        _, snapshot, backend = self._found(workspace, ref)
        return content(backend, snapshot, path)

    def export(self, workspace: PathLike, ref: str, target: PathLike) -> results.Exported:
        """Lay a snapshot out as a directory to look around in, as clones where that is possible.

        ``target`` must not exist, or be an empty directory.
        """
        _, snapshot, backend = self._found(workspace, ref)
        return lay_out(backend, snapshot, Path(target))

    def plan(self, workspace: PathLike, ref: str, paths: Sequence[str] = ()) -> Plan:
        """What ``restore`` would do now; nothing is changed."""
        place, snapshot, backend = self._found(workspace, ref)
        return preview(backend, self._opener.saves(place, backend), self.settings.scope, snapshot, tuple(paths))

    def restore(
        self,
        workspace: PathLike,
        ref: str,
        paths: Sequence[str] = (),
        *,
        times: bool = False,
        setuid: bool = False,
        keep: Keep = keep_nothing,
    ) -> results.Restored:
        """Make the workspace, or the given literal paths of it, what the snapshot holds.

        The present state is saved first (``Restored.safety``). Only what that
        safety snapshot holds is overwritten or deleted. ``times`` gives
        rewritten files their recorded time, ``setuid`` their setuid and setgid
        bits. ``keep`` is asked about each path that would change; a reason keeps
        it. Raises ``RestoreRefused`` with nothing changed.
        """
        place, target, backend = self._found(workspace, ref)
        restoring = Restoring(target.id, tuple(paths))
        return self._roll_back(place, backend, Rollback(target, restoring, Options(times, setuid), keep=keep))

    def undo(self, workspace: PathLike, *, times: bool = False) -> results.Restored:
        """Take the last restore back; what was edited since then is kept. Raises ``RestoreRefused``."""
        return self._take_back(workspace, "undo", Options(times))

    def redo(self, workspace: PathLike, *, times: bool = False) -> results.Restored:
        """Take the last undo back. Raises ``RestoreRefused``."""
        return self._take_back(workspace, "redo", Options(times))

    def plan_undo(self, workspace: PathLike) -> Plan:
        """What ``undo`` would do now."""
        return self._plan_back(workspace, "undo")

    def plan_redo(self, workspace: PathLike) -> Plan:
        """What ``redo`` would do now."""
        return self._plan_back(workspace, "redo")

    def _roll_back(self, place: Place, backend: Backend, asked: Rollback) -> results.Restored:
        declined = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        if declined is not None:
            raise RestoreRefused(f"{place.workspace} is not restored: {declined}. Nothing was changed.")
        saving, scope = self._opener.saving(place, backend), self.settings.scope
        with self.upkeep.budget.regardless(saving) as growing, self._alone(place):
            done = roll_back(backend, saving, place, scope, asked, self._progress, growing)
            held = self._opener.holding(place) or (saving.name,)
            touch_record(place, held[-1], held, taken=True)  # where new snapshots go is not for a restore to change
            self.upkeep.budget.after_take(place)
        return done

    def _take_back(self, workspace: PathLike, action: str, options: Options) -> results.Restored:
        place, backend, safety, last, reference = self._last(workspace, action)
        restoring = Restoring(safety.id, last.paths, action)
        return self._roll_back(place, backend, Rollback(safety, restoring, options, reference))

    def _plan_back(self, workspace: PathLike, action: str) -> Plan:
        _, backend, safety, last, reference = self._last(workspace, action)
        return preview(backend, type(backend), self.settings.scope, safety, last.paths, reference)

    def _last(self, workspace: PathLike, action: str) -> tuple[Place, Backend, Snapshot, Restoring, Held]:
        place = self._opener.place(workspace)
        safety = (undoable if action == "undo" else redoable)(self.list(place.workspace))
        if safety is None or (last := safety.note.restoring) is None:
            raise RestoreRefused(f"{place.workspace} has nothing to {action}. Nothing was changed.")
        backend = self._opener.open(safety.backend, place)
        return place, backend, safety, last, held_in(self._opener.holders(place), last.target)

    def choose(self, workspace: PathLike) -> results.Choice:
        """Which backend new snapshots of a directory go to, and why. Writes nothing."""
        return self._opener.choose(self._opener.place(workspace))

    def backends(self, workspace: PathLike | None = None) -> Sequence[results.BackendReport]:
        """Every installed backend, where it comes from, and whether it can serve the directory."""
        return self._opener.reports(self._opener.place(workspace) if workspace is not None else None)

    def enclosing(self, directory: PathLike) -> Path:
        """The nearest known workspace at or above a directory, else the directory itself."""
        return enclosing(self._opener, self._opener.place(directory).workspace)

    def workspaces(self) -> Sequence[Path]:
        """Every workspace that has snapshots in the store."""
        return [record.workspace for record in records(self.settings.store)]

    def close(self) -> None:
        """Let go of files and processes; the engine may be used again."""
        self._opener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _declined(self, place: Place) -> str | None:
        reason = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        return reason or (None if place.workspace.is_dir() else "it is not a directory")

    def _alone(self, place: Place) -> AbstractContextManager[int]:
        return locked(workspace_lock(place), wait=self._wait)

    def _held(self, snapshot: Snapshot) -> Held:
        place = Place(self.settings.store, snapshot.workspace)
        return Held(self._opener.open(snapshot.backend, place), snapshot.id)

    def _found(self, workspace: PathLike, ref: str) -> tuple[Place, Snapshot, Backend]:
        place = self._opener.place(workspace)
        snapshot = self.find(place.workspace, ref)
        return place, snapshot, self._opener.open(snapshot.backend, place)
