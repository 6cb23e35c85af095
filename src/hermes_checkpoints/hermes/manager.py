"""``CheckpointManager``: what an agent of Hermes holds to have its steps saved and taken back."""

import os
import threading
from datetime import datetime
from pathlib import Path

from hermes_checkpoints import results
from hermes_checkpoints.contract import AmbiguousId, InvalidPath, Snapshot, SnapshotNotFound
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes import answers
from hermes_checkpoints.hermes.configuration import PathLike, base_directory, open_engine, settings_for
from hermes_checkpoints.hermes.differing import in_words
from hermes_checkpoints.hermes.guarding import Answer, log, never_raises, refused
from hermes_checkpoints.hermes.listing import Listing
from hermes_checkpoints.hermes.outcomes import Outcomes
from hermes_checkpoints.hermes.ownership import Writes
from hermes_checkpoints.hermes.requests import current_request, join
from hermes_checkpoints.hermes.workspaces import directory_for
from hermes_checkpoints.policy.plan import keep_nothing
from hermes_checkpoints.settings import home_directory

_LONGEST = 500  # characters of a reason


def _none(_: str) -> list[Answer]:
    return []


def _nowhere(_: str) -> Path | None:
    return None


class CheckpointManager:
    """The checkpoints of one agent. Answers in dicts; never raises.

    ``max_snapshots``: of a directory. ``max_total_size_mb``: of the store; 0 is
    no limit. ``max_file_size_mb``: of a file that would have to be copied; 0 is
    no limit. A disabled one takes nothing, and lists and restores what is there.
    """

    def __init__(
        self,
        enabled: bool = False,  # noqa: FBT001, FBT002 - as in Hermes
        max_snapshots: int = 20,
        max_total_size_mb: int = 500,
        max_file_size_mb: int = 10,
    ) -> None:
        self.enabled = enabled
        self.max_snapshots = _number(max_snapshots, 20, least=1)
        self.max_total_size_mb = _number(max_total_size_mb, 500)
        self.max_file_size_mb = _number(max_file_size_mb, 10)
        self._turn = object()
        self._outcomes = Outcomes()
        self._writes = Writes()
        self._listing = Listing()
        self._opened: tuple[object, Engine] | None = None
        self._opening = threading.RLock()
        join(self)

    @property
    def last_outcome(self) -> Answer:
        """What came of the last ``ensure_checkpoint``, and why.

        ``taken``; ``why`` (``taken``, ``disabled``, ``declined``, ``already this
        turn``, ``unchanged``, ``failed``); a ``message`` for people; the
        ``directory``; of a checkpoint its ``hash``, and ``left_out``: what it
        unexpectedly does not hold, as path and reason.
        """
        return self._outcomes.last

    def new_turn(self) -> None:
        """An iteration of the agent begins: each directory may be saved once more."""
        join(self)
        self._turn = object()
        self.turn_ended()

    def broken_off(self) -> None:
        """The request ended without a word: whatever differs now need not be the agent's work."""
        self._writes.break_off()

    @never_raises("the end of a turn could not be looked at", lambda _: None)
    def turn_ended(self) -> None:
        """The turn is over, and so may be what the user asked for: what differs now is the agent's work."""
        if self.enabled:
            self._writes.end(self._engine())

    def ensure_checkpoint(self, working_dir: PathLike, reason: str = "auto") -> bool:
        """Save a directory's state, unless that was done in this turn or nothing has changed; whether it was.

        What failed is tried again when asked again, in the same turn too.
        ``last_outcome`` says why it was not saved.
        """
        told, directory = self._outcomes, str(working_dir)
        if not self.enabled:
            return told.untaken(directory, "disabled", "checkpoints are switched off")
        try:
            workspace = _resolved(working_dir)
            note, request = str(reason)[:_LONGEST], current_request()
            outcome = self._engine().snapshot(workspace, note, request=request, turn=self._turn)
        except Exception as error:  # whatever it is, the tool that is about to run must run
            return told.unprotected(directory, "failed", str(error) or repr(error), error)
        match outcome:
            case results.Taken():
                self._writes.begin(outcome.snapshot)
                return told.taken(outcome)
            case results.Unchanged():
                self._writes.begin(outcome.latest)
                return told.untaken(directory, "unchanged", f"it is as checkpoint {outcome.latest.short_id} has it")
            case results.AlreadyThisTurn():
                return told.untaken(directory, "already this turn", "it was looked at in this turn before")
            case results.Declined():
                return told.unprotected(directory, "declined", outcome.reason)

    @never_raises("checkpoints could not be listed", _none)
    def list_checkpoints(self, working_dir: PathLike) -> list[Answer]:
        """The checkpoints of a directory, newest first."""
        return self._listing.rows(self._engine(), _resolved(working_dir))

    @never_raises("checkpoints could not be listed", _none)
    def list_all_checkpoints(self) -> list[Answer]:
        """The checkpoints of every directory, newest first, each with its ``directory``."""
        engine = self._engine()
        rows = [
            one | {"directory": str(workspace)}
            for workspace in engine.workspaces()
            for one in self._listing.rows(engine, workspace)
        ]
        return sorted(rows, key=lambda one: datetime.fromisoformat(one["timestamp"]), reverse=True)

    @never_raises("a checkpoint could not be compared", refused)
    def diff(self, working_dir: PathLike, commit_hash: str) -> Answer:
        """How the directory differs from a checkpoint: ``stat`` and ``diff``, as git prints them."""
        if (wrong := answers.wrong_hash(commit_hash)) is not None:
            return refused(wrong)
        workspace = _resolved(working_dir)
        return self._difference(workspace, self._checkpoint(workspace, commit_hash))

    @never_raises("a session could not be compared", refused)
    def session_diff(self, working_dir: PathLike) -> Answer:
        """How the directory differs from what this agent found, or the first of it that is still kept.

        As ``diff``, with ``baseline`` and ``empty``.
        """
        workspace = _resolved(working_dir)
        known = {snapshot.id for snapshot in self._engine().list(workspace)}
        first = next((start for start in self._writes.starts(workspace) if start.id in known), None)
        if first is None:
            return refused(f"{answers.NO_CHECKPOINTS} in this session")
        found = self._difference(workspace, first)
        return found | {"baseline": first.id, "empty": not found["diff"]}

    @never_raises("a checkpoint could not be restored", refused)
    def restore(
        self,
        working_dir: PathLike,
        commit_hash: str,
        file_path: str | None = None,
        safe: bool = True,  # noqa: FBT001, FBT002 - as in Hermes
    ) -> Answer:
        """Put a directory, or one literal path of it, back as a checkpoint has it.

        The present state is saved first, or nothing is changed. What came later
        goes away; what that safety snapshot cannot hold stays and is named in
        ``kept``. With ``safe``, when the whole directory is asked for and
        ``record_agent_write`` has told what the agent wrote in it, what others
        changed stays too (``skipped_user_edits``; of these, what the agent had
        written before is in ``conflicts``). Where anything could not be done,
        ``success`` is false and ``error`` says what.
        """
        workspace = _resolved(working_dir)
        wrong = answers.wrong_hash(commit_hash)
        if wrong is None and file_path is not None:
            wrong = answers.wrong_path(file_path, workspace)
        if wrong is not None:
            return refused(wrong)
        target, engine = self._checkpoint(workspace, commit_hash), self._engine()
        path = os.path.normpath(file_path or ".")
        judge = self._writes.judge(engine, workspace) if safe and path == "." else None
        done = engine.restore(workspace, target.id, [] if path == "." else [path], keep=judge or keep_nothing)
        self._writes.restored(workspace, (*done.written, *done.deleted))
        return answers.answer_of(done, workspace, engine, judge) | ({"file": file_path} if file_path else {})

    @never_raises("a write could not be recorded", lambda _: None)
    def record_agent_write(self, path: PathLike) -> None:
        """The agent has just written this file: a safe restore may take that back."""
        if self.enabled:
            self._writes.record(Path(os.path.abspath(os.path.expanduser(path))))

    def get_working_dir_for_path(self, file_path: PathLike) -> str:
        """The directory to save before a file is written: a known workspace, a project, or the file's own directory."""
        return str(self._directory_for(file_path) or os.path.dirname(str(file_path)))

    def close(self) -> None:
        """Let go of files; the manager may be used again."""
        with self._opening:
            if self._opened is not None:
                self._opened[1].close()
            self._opened = None

    @never_raises("a workspace could not be found", _nowhere)
    def _directory_for(self, file_path: PathLike) -> Path | None:
        return directory_for(_resolved(file_path), self._engine(), home_directory(os.environ))

    def _engine(self) -> Engine:
        """On the store as it is named now: callers move ``CHECKPOINT_BASE``, and change the limits."""
        base = base_directory()
        wanted = (base, self.max_snapshots, self.max_total_size_mb, self.max_file_size_mb)
        with self._opening:
            if self._opened is None or self._opened[0] != wanted:
                self.close()
                settings = settings_for(
                    base,
                    max_snapshots=self.max_snapshots,
                    max_total_size_mb=self.max_total_size_mb,
                    max_file_size_mb=self.max_file_size_mb,
                )
                self._opened = wanted, open_engine(settings)
            return self._opened[1]

    def _checkpoint(self, workspace: Path, commit_hash: str) -> Snapshot:
        """The snapshot that a hash, or the beginning of one, means. Raises ``SnapshotNotFound`` in Hermes's words."""
        engine = self._engine()
        try:
            found = engine.find(workspace, commit_hash)
        except AmbiguousId:
            raise
        except SnapshotNotFound as error:
            known = engine.list(workspace)
            raise SnapshotNotFound(_not_found(commit_hash) if known else answers.NO_CHECKPOINTS) from error
        if not found.id.startswith(commit_hash.lower()):  # a number in the list, which is no hash
            raise SnapshotNotFound(_not_found(commit_hash))
        return found

    def _difference(self, workspace: Path, snapshot: Snapshot) -> Answer:
        stat, text = in_words(self._engine().diff(workspace, snapshot.id))
        return {"success": True, "stat": stat, "diff": text}


def _number(given: object, usual: int, least: int = 0) -> int:
    """What Hermes's configuration says, as it is passed on unseen; the usual where that is no number."""
    try:
        return max(least, int(float(str(given))))
    except (ValueError, OverflowError):
        log.warning("%r is no number; checkpoints go by the usual %d", given, usual)
        return usual


def _not_found(commit_hash: str) -> str:
    return f"Checkpoint '{commit_hash}' not found"


def _resolved(path: PathLike) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (TypeError, ValueError, OSError, RuntimeError) as error:  # not a path, a NUL, a loop, nobody's home
        raise InvalidPath(f"{path!r} is not a path: {error}. Nothing was changed.") from error
