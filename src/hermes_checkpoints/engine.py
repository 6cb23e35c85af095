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
from collections.abc import Hashable

from hermes_checkpoints import results
from hermes_checkpoints.contract import (
    Backend,
    Growing,
    Note,
    Place,
    Saved,
)
from hermes_checkpoints.crossing import only_our_errors
from hermes_checkpoints.looking import PathLike
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.records import touch_record
from hermes_checkpoints.restores import Restores
from hermes_checkpoints.settings import home_directory


@only_our_errors
class Engine(Restores):
    """Snapshots of workspaces in one store."""

    def snapshot(
        self, workspace: PathLike, reason: str = "", *, request: str | None = None, turn: Hashable = None
    ) -> results.SnapshotOutcome:
        """Save the state of a directory, unless it is as the newest snapshot has it.

        ``request`` names the user request that a turn belongs to. With a
        ``turn``, a directory is looked at once for each value of it. Raises
        ``CheckpointError`` when the state could not be saved.
        """
        place = self._opener.place(workspace)
        self._tell_interrupted(place)
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
                touch_record(place, backend.name, held)
            if self._watch:
                backend.watch()
            saved = backend.save(self.settings.scope, note, self._progress, growing)
            with self._afterwards():
                touch_record(place, backend.name, held)
                if saved.snapshot is not None:
                    self.upkeep.budget.after_take(place)
        return saved

    def _declined(self, place: Place) -> str | None:
        reason = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        return reason or (None if place.workspace.is_dir() else "it is not a directory")
