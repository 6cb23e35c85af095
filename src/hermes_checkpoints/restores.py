"""Putting workspaces back: restores, undo and redo, and what becomes of one that was interrupted.

How it is done is imported when it is asked for: every engine is one of these, and most only take snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hermes_checkpoints.across import Held
from hermes_checkpoints.contract import Backend, Place, RestoreRefused, Restoring, Snapshot
from hermes_checkpoints.crossing import only_our_errors
from hermes_checkpoints.looking import Looking, PathLike
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.policy.history import ABORT, CONTINUE, redoable, undoable
from hermes_checkpoints.policy.plan import Keep, Plan, keep_nothing
from hermes_checkpoints.records import touch_record
from hermes_checkpoints.settings import home_directory
from hermes_checkpoints.underway import Journal, Underway

if TYPE_CHECKING:
    from hermes_checkpoints import results
    from hermes_checkpoints.rollback import Rollback


@only_our_errors
class Restores(Looking):
    """What an engine does to a workspace."""

    def plan(self, workspace: PathLike, ref: str, paths: Sequence[str] = ()) -> Plan:
        """What ``restore`` would do now; nothing is changed."""
        return self._preview(*self._first(workspace, ref, paths))

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
        return self._roll_back(*self._first(workspace, ref, paths, times=times, setuid=setuid, keep=keep))

    def undo(self, workspace: PathLike, *, times: bool = False) -> results.Restored:
        """Take the last restore back; what was edited since then is kept. Raises ``RestoreRefused``."""
        return self._roll_back(*self._last(workspace, "undo", times=times))

    def redo(self, workspace: PathLike, *, times: bool = False) -> results.Restored:
        """Take the last undo back. Raises ``RestoreRefused``."""
        return self._roll_back(*self._last(workspace, "redo", times=times))

    def plan_undo(self, workspace: PathLike) -> Plan:
        """What ``undo`` would do now."""
        return self._preview(*self._last(workspace, "undo"))

    def plan_redo(self, workspace: PathLike) -> Plan:
        """What ``redo`` would do now."""
        return self._preview(*self._last(workspace, "redo"))

    def finish_restore(self, workspace: PathLike) -> results.Restored:
        """Finish a restore that was interrupted; what was edited since it began is kept. Raises ``RestoreRefused``."""
        place, underway = self._interrupted(workspace)
        return self._roll_back(place, *self._finishing(place, underway))

    def abort_restore(self, workspace: PathLike) -> results.Restored:
        """Take an interrupted restore back; what was edited since it began is kept. Raises ``RestoreRefused``."""
        place, underway = self._interrupted(workspace)
        return self._roll_back(place, *self._aborting(place, underway))

    def plan_finish(self, workspace: PathLike) -> Plan:
        """What ``finish_restore`` would do now."""
        place, underway = self._interrupted(workspace)
        return self._preview(place, *self._finishing(place, underway))

    def plan_abort(self, workspace: PathLike) -> Plan:
        """What ``abort_restore`` would do now."""
        place, underway = self._interrupted(workspace)
        return self._preview(place, *self._aborting(place, underway))

    def _first(
        self,
        workspace: PathLike,
        ref: str,
        paths: Sequence[str],
        *,
        times: bool = False,
        setuid: bool = False,
        keep: Keep = keep_nothing,
    ) -> tuple[Place, Backend, Rollback]:
        """A restore that nothing was before."""
        from hermes_checkpoints.carrying import Options
        from hermes_checkpoints.rollback import Rollback

        place, target, backend = self._found(workspace, ref)
        restoring = Restoring(target.id, tuple(paths))
        return place, backend, Rollback(target, restoring, Options(times, setuid), keep=keep)

    def _interrupted(self, workspace: PathLike) -> tuple[Place, Underway]:
        place = self._opener.place(workspace)
        self._told.add(place.workspace)  # whoever asks for it knows
        underway = Journal(place).read()
        if underway is None:
            raise RestoreRefused(f"no restore of {place.workspace} was interrupted. Nothing was changed.")
        return place, underway

    def _finishing(self, place: Place, underway: Underway) -> tuple[Backend, Rollback]:
        from hermes_checkpoints.carrying import Options
        from hermes_checkpoints.rollback import Rollback

        ends = self._ends(place, underway)
        options = Options(underway.times, underway.setuid)
        restoring = Restoring(ends[1].snapshot, underway.restoring.paths, CONTINUE, ends[0].snapshot)
        return ends[1].backend, Rollback(
            _snapshot(ends[1]), restoring, options, ends, unfinished=True, resumes=underway
        )

    def _aborting(self, place: Place, underway: Underway) -> tuple[Backend, Rollback]:
        from hermes_checkpoints.rollback import Rollback

        ends = self._ends(place, underway)
        restoring = Restoring(ends[0].snapshot, underway.restoring.paths, ABORT, ends[0].snapshot)
        return ends[0].backend, Rollback(
            _snapshot(ends[0]), restoring, references=ends, unfinished=True, resumes=underway
        )

    def _ends(self, place: Place, underway: Underway) -> tuple[Held, Held]:
        """The states that an interrupted restore lies between: before it, and its target."""
        from hermes_checkpoints.rollback import held_in

        before, after = underway.dates
        return (
            held_in(self._opener.holders(place), underway.safety, before),
            held_in(self._opener.holders(place), underway.restoring.target, after),
        )

    def _preview(self, place: Place, backend: Backend, asked: Rollback) -> Plan:
        from hermes_checkpoints.rollback import preview

        return preview(backend, self._opener.saves(place, backend), self.settings.scope, asked)

    def _roll_back(self, place: Place, backend: Backend, asked: Rollback) -> results.Restored:
        from hermes_checkpoints.rollback import roll_back

        declined = why_declined(place.workspace, home=home_directory(os.environ), store=self.settings.base)
        if declined is not None:
            raise RestoreRefused(f"{place.workspace} is not restored: {declined}. Nothing was changed.")
        saving, scope = self._opener.saving(place, backend), self.settings.scope
        with self.upkeep.budget.regardless(saving) as growing, self._alone(place):
            self._still_so(place, asked)
            done = roll_back(backend, saving, place, scope, asked, self._progress, growing)
            held = self._opener.holding(place) or (saving.name,)
            with self._afterwards():
                touch_record(place, held[-1], held)  # where new snapshots go is not for a restore to change
                self.upkeep.budget.after_take(place)
        return done

    def _still_so(self, place: Place, asked: Rollback) -> None:
        """Now that nobody else can: refuse what was decided by a state that is not there any more."""
        if asked.resumes is not None:
            found = Journal(place).read()
            if found is None or found.dates != asked.resumes.dates:
                raise RestoreRefused(f"somebody else ended the restore of {place.workspace}. Nothing was changed.")
        elif asked.references:
            last = (undoable if asked.restoring.action == "undo" else redoable)(self.list(place.workspace))
            if last is None or last.id != asked.target.id:
                raise RestoreRefused(f"somebody else restored {place.workspace} meanwhile. Nothing was changed.")

    def _last(self, workspace: PathLike, action: str, *, times: bool = False) -> tuple[Place, Backend, Rollback]:
        """Taking the last restore, or the last undo, back."""
        from hermes_checkpoints.carrying import Options
        from hermes_checkpoints.rollback import Rollback, held_in

        place = self._opener.place(workspace)
        safety = (undoable if action == "undo" else redoable)(self.list(place.workspace))
        if safety is None or (last := safety.note.restoring) is None:
            raise RestoreRefused(f"{place.workspace} has nothing to {action}. Nothing was changed.")
        backend = self._opener.open(safety.backend, place)
        restored = held_in(self._opener.holders(place), last.target)
        underway, restoring = Journal(place).read(), Restoring(safety.id, last.paths, action)
        unfinished = underway is not None and underway.dates[0] == safety.created_ns
        return place, backend, Rollback(safety, restoring, Options(times), (restored,), unfinished=unfinished)


def _snapshot(held: Held) -> Snapshot:
    return next(one for one in held.backend.snapshots() if one.id == held.snapshot)
