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
from types import TracebackType
from typing import BinaryIO, Self

from hermes_checkpoints import results
from hermes_checkpoints.contract import (
    Backend,
    Kind,
    LeftOut,
    Note,
    PathNotFound,
    Place,
    Progress,
    RestoreRefused,
    Restoring,
    Scope,
    Snapshot,
    SnapshotNotFound,
    silent,
)
from hermes_checkpoints.differences import file_diffs
from hermes_checkpoints.export import lay_out
from hermes_checkpoints.kit.locks import DEFAULT_WAIT, locked
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.policy.history import redoable, undoable
from hermes_checkpoints.policy.plan import Plan
from hermes_checkpoints.policy.references import resolve
from hermes_checkpoints.records import records, touch_record
from hermes_checkpoints.restore import Options
from hermes_checkpoints.rollback import preview, roll_back
from hermes_checkpoints.settings import home_directory, read_settings
from hermes_checkpoints.survey import enclosing, survey

PathLike = str | os.PathLike[str]


class Engine:
    """Snapshots of workspaces in one store."""

    def __init__(
        self,
        *,
        store: PathLike | None = None,
        backend: str | type[Backend] | None = None,
        scope: Scope | None = None,
        progress: Progress = silent,
        wait: float = DEFAULT_WAIT,
    ) -> None:
        """Reads settings; touches no store before there is something to do.

        ``store``: the directory to keep snapshots in, default
        ``$HERMES_HOME/checkpoints``. ``backend``: a name, a backend class, or
        ``None`` for ``HERMES_CHECKPOINT_BACKEND``, the configuration, what the
        workspace already uses, or what its filesystem deserves. ``wait``:
        seconds to wait for another process before ``StoreBusy``.
        """
        name, given = (backend, None) if backend is None or isinstance(backend, str) else (None, backend)
        self.settings = read_settings(store, name, scope)
        self._opener = Opener(self.settings, given)
        self._progress = progress
        self._wait = wait
        self._turns: dict[Path, Hashable] = {}

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
        with self._alone(place):
            held = self._opener.holding(place)
            if choice.name not in held:  # noted first: a snapshot that no record leads to would not be listed
                touch_record(place, choice.name, held, taken=True)
            saved = backend.save(self.settings.scope, Note(reason, request), self._progress)
            touch_record(place, choice.name, held, taken=saved.snapshot is not None)
        if turn is not None:
            self._turns[place.workspace] = turn
        if saved.snapshot is None:
            return results.Unchanged(saved.latest, saved.left_out, saved.stats)
        notice = choice.notice if choice.name not in held else ""
        return results.Taken(saved.snapshot, saved.left_out, saved.stats, notice)

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
        counts = dict.fromkeys(Kind, 0)
        left_out = []
        for path, entry in backend.entries(snapshot.id):
            counts[entry.kind] += 1 if path else 0
            if not entry.held:
                left_out.append(LeftOut(path, entry.reason))
        return results.Shown(snapshot, counts[Kind.FILE], counts[Kind.DIR], counts[Kind.LINK], snapshot.size, left_out)

    def diff(
        self, workspace: PathLike, ref: str | None = None, paths: Sequence[str] = ()
    ) -> Iterator[results.FileDiff]:
        """How the workspace differs from a snapshot (the newest one by default), path by path."""
        place, snapshot, backend = self._found(workspace, ref or "1")
        return file_diffs(backend, place.workspace, snapshot.id, self.settings.scope, tuple(paths))

    def read(self, workspace: PathLike, ref: str, path: str) -> BinaryIO:
        """The content of a file in a snapshot. Raises ``PathNotFound``."""
        _, snapshot, backend = self._found(workspace, ref)
        entry = backend.entry(snapshot.id, path)
        if entry.kind is not Kind.FILE:
            what = str(entry.reason) if not entry.held else entry.kind.name.lower()
            raise PathNotFound(f"{path!r} is not a file in snapshot {snapshot.short_id} ({what}).")
        return backend.read(entry)

    def export(self, workspace: PathLike, ref: str, target: PathLike) -> results.Exported:
        """Lay a snapshot out as a directory to look around in, as clones where that is possible.

        ``target`` must not exist, or be an empty directory.
        """
        _, snapshot, backend = self._found(workspace, ref)
        return lay_out(backend, snapshot, Path(target))

    def plan(self, workspace: PathLike, ref: str, paths: Sequence[str] = ()) -> Plan:
        """What ``restore`` would do now. Nothing is stored or changed."""
        _, snapshot, backend = self._found(workspace, ref)
        return preview(backend, self.settings.scope, snapshot, tuple(paths))

    def restore(
        self, workspace: PathLike, ref: str, paths: Sequence[str] = (), *, times: bool = False, setuid: bool = False
    ) -> results.Restored:
        """Make the workspace, or the given literal paths of it, what the snapshot holds.

        The present state is saved first (``Restored.safety``). Only what that
        safety snapshot holds is overwritten or deleted. ``times`` gives
        rewritten files their recorded time, ``setuid`` their setuid and setgid
        bits. Raises ``RestoreRefused`` with nothing changed.
        """
        place, target, backend = self._found(workspace, ref)
        restoring = Restoring(target.id, tuple(paths))
        return self._roll_back(place, backend, target, restoring, Options(times, setuid))

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

    def _roll_back(
        self,
        place: Place,
        backend: Backend,
        target: Snapshot,
        restoring: Restoring,
        options: Options,
        reference: str | None = None,
    ) -> results.Restored:
        declined = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        if declined is not None:
            raise RestoreRefused(f"{place.workspace} is not restored: {declined}. Nothing was changed.")
        with self._alone(place):
            done = roll_back(backend, place, self.settings.scope, target, restoring, options, self._progress, reference)
            held = self._opener.holding(place) or (backend.name,)
            touch_record(place, held[-1], held, taken=True)  # where new snapshots go is not for a restore to change
        return done

    def _take_back(self, workspace: PathLike, action: str, options: Options) -> results.Restored:
        place, safety, backend = self._last(workspace, action)
        last = safety.note.restoring
        assert last is not None
        restoring = Restoring(safety.id, last.paths, action)
        return self._roll_back(place, backend, safety, restoring, options, self._known(backend, last.target))

    def _plan_back(self, workspace: PathLike, action: str) -> Plan:
        _, safety, backend = self._last(workspace, action)
        last = safety.note.restoring
        assert last is not None
        return preview(backend, self.settings.scope, safety, last.paths, self._known(backend, last.target))

    def _last(self, workspace: PathLike, action: str) -> tuple[Place, Snapshot, Backend]:
        place = self._opener.place(workspace)
        safety = (undoable if action == "undo" else redoable)(self.list(place.workspace))
        if safety is None:
            raise RestoreRefused(f"{place.workspace} has nothing to {action}. Nothing was changed.")
        return place, safety, self._opener.open(safety.backend, place)

    @staticmethod
    def _known(backend: Backend, snapshot: str) -> str:
        if all(held.id != snapshot for held in backend.snapshots()):
            raise RestoreRefused(
                f"snapshot {snapshot[:10]}, which was restored then, is gone, so later edits could not be told apart. "
                "Nothing was changed; restore the safety snapshot by its id instead."
            )
        return snapshot

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

    def status(self) -> results.Status:
        """The store as a whole: what it takes on disk, and the workspaces it knows."""
        return survey(self._opener)

    def close(self) -> None:
        """Let go of files and processes; the engine may be used again."""
        self._opener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _declined(self, place: Place) -> str | None:
        reason = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        if reason is None and not place.workspace.is_dir():
            reason = "it is not a directory"
        return reason

    def _alone(self, place: Place) -> AbstractContextManager[int]:
        return locked(self.settings.store / "locks" / place.workspace_id, wait=self._wait)

    def _found(self, workspace: PathLike, ref: str) -> tuple[Place, Snapshot, Backend]:
        place = self._opener.place(workspace)
        snapshot = self.find(place.workspace, ref)
        return place, snapshot, self._opener.open(snapshot.backend, place)
