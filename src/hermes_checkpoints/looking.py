"""What can be learnt of workspaces and their snapshots; nothing is changed."""

import logging
import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from hermes_checkpoints import across, results
from hermes_checkpoints.across import Held
from hermes_checkpoints.contract import (
    Backend,
    Change,
    Place,
    Progress,
    Scope,
    Snapshot,
    SnapshotNotFound,
    StoreError,
    silent,
)
from hermes_checkpoints.crossing import only_our_errors
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT, locked
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.references import resolve
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.records import records
from hermes_checkpoints.settings import Settings, read_settings
from hermes_checkpoints.survey import content, describe, enclosing
from hermes_checkpoints.underway import Journal, Underway, sweep_left
from hermes_checkpoints.upkeep.forgetting import workspace_lock
from hermes_checkpoints.upkeep.upkeep import Upkeep

log = logging.getLogger("hermes_checkpoints")
PathLike = str | os.PathLike[str]


@only_our_errors
class Looking:
    """An engine's settings and backends, and all that only looks; :class:`~hermes_checkpoints.Engine` does the rest."""

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
        watch: bool = False,
    ) -> None:
        """Reads settings; touches no store before there is something to do.

        ``store``: the directory to keep snapshots in, default
        ``$HERMES_HOME/checkpoints``. ``backend``: a name, a backend class, or
        ``None`` for ``HERMES_CHECKPOINT_BACKEND``, the configuration, what the
        workspace already uses, or what its filesystem deserves. ``limits``
        (``hermes_checkpoints.Limits``): what is kept, all of it instead of what
        the store's configuration says. ``settings``: all of these at once. ``wait``: seconds to wait for another
        process before ``StoreBusy``. ``watch``: for long-lived callers with
        large workspaces: a snapshot only looks at directories of which the
        kernel told that something changed, and at everything now and then
        (Linux, with the extra ``watch``; elsewhere it makes no difference).
        """
        name, given = (backend, None) if backend is None or isinstance(backend, str) else (None, backend)
        self.settings = settings or read_settings(store, name, scope, limits)
        self._opener = Opener(self.settings, given)
        self._progress = progress
        self._wait = wait
        self._watch = watch
        self._turns: dict[Path, Hashable] = {}
        self._told: set[Path] = set()
        self.upkeep = Upkeep(self._opener, wait, progress)
        """Keeping the store small: what it takes, what is forgotten, pins."""

    @property
    def base(self) -> Path:
        """The directory that ``--store`` names."""
        return self.settings.base

    def list(self, workspace: PathLike) -> list[Snapshot]:
        """The snapshots of a directory, newest first, whichever backends hold them."""
        place = self._opener.place(workspace)
        self._tell_interrupted(place)
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
        from hermes_checkpoints.differences import file_diffs  # a turn needs none of it

        place, snapshot, backend = self._found(workspace, ref or "1")
        return file_diffs(Held(backend, snapshot.id), place.workspace, self.settings.scope, tuple(paths))

    def diff_between(self, since: Snapshot, until: Snapshot) -> Iterator[results.FileDiff]:
        """How a later snapshot differs from an earlier one of the same workspace, path by path."""
        from hermes_checkpoints.differences import held_diffs

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
        from hermes_checkpoints.export import lay_out

        _, snapshot, backend = self._found(workspace, ref)
        return lay_out(backend, snapshot, Path(target))

    def interrupted(self, workspace: PathLike) -> results.Interrupted | None:
        """The restore of a directory that was begun and did not end; ``None`` while somebody is at it."""
        place = self._opener.place(workspace)
        underway = Journal(place).read()
        if underway is None:
            return None
        with suppress(StoreError), locked(workspace_lock(place), wait=0):
            underway = Journal(place).read()  # whoever was at it has ended
            return _described(place, underway) if underway is not None else None
        return None

    def _tell_interrupted(self, place: Place) -> None:
        """Say once that a restore of this workspace was interrupted."""
        if place.workspace in self._told or (found := self.interrupted(place.workspace)) is None:
            return
        self._told.add(place.workspace)
        log.warning("%s", _told(found))

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

    @contextmanager
    def _alone(self, place: Place) -> Iterator[None]:
        """Nobody else changes the workspace or its snapshots; nothing of a killed restore lies about in it."""
        with locked(workspace_lock(place), wait=self._wait):
            sweep_left(place)
            yield

    @contextmanager
    def _afterwards(self) -> Iterator[None]:
        """What follows once everything that was asked for is done: failing to is told, and makes it no less done."""
        try:
            yield
        except (StoreError, OSError) as error:
            log.warning("it is done, but the store could not be tidied up after it: %s", error)

    def _held(self, snapshot: Snapshot) -> Held:
        place = Place(self.settings.store, snapshot.workspace)
        return Held(self._opener.open(snapshot.backend, place), snapshot.id)

    def _found(self, workspace: PathLike, ref: str) -> tuple[Place, Snapshot, Backend]:
        place = self._opener.place(workspace)
        snapshot = self.find(place.workspace, ref)
        return place, snapshot, self._opener.open(snapshot.backend, place)


def _told(found: results.Interrupted) -> str:
    how = f"stopped ({found.why})" if found.why else "interrupted"
    return (
        f"a {found.action} of {found.workspace} to {found.target[:10]} was {how}; each file is the old or the new one. "
        "`hermes-checkpoints restore --continue` finishes it, `restore --abort` takes it back."
    )


def _described(place: Place, underway: Underway) -> results.Interrupted:
    restoring = underway.restoring
    ends = restoring.target, underway.safety
    return results.Interrupted(
        place.workspace, restoring.action, *ends, restoring.paths, underway.begun, underway.stopped
    )
