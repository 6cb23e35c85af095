"""What came of each attempt to save a state, told where people see it."""

import logging

from hermes_checkpoints import results
from hermes_checkpoints.contract import CheckpointError, Reason
from hermes_checkpoints.hermes.guarding import Answer, log
from hermes_checkpoints.wording import harmless

# What people expect to be left out, and need not be told of at every turn.
_EXPECTED = frozenset({Reason.IGNORED, Reason.VERSION_CONTROL, Reason.STORE})


class Outcomes:
    """The last outcome, and what the log has been told before."""

    def __init__(self) -> None:
        self.last: Answer = {"taken": False, "why": "not asked yet", "message": "", "directory": ""}
        self._told: set[str] = set()

    def taken(self, outcome: results.Taken) -> bool:
        """A state was saved; what it does not hold, and nobody would expect it to lack, is told."""
        snapshot = outcome.snapshot
        notice = " ".join(outcome.notice.splitlines())
        self._note(str(snapshot.workspace), "taken", notice)
        left_out = {harmless(one.path): str(one.reason) for one in outcome.left_out if one.reason not in _EXPECTED}
        self.last |= {"taken": True, "hash": snapshot.id, "left_out": left_out}
        if notice:
            self._once(logging.WARNING, f"checkpoints of {snapshot.workspace}: {notice}")
        if left_out:
            path, reason = next(iter(left_out.items()))
            what = f"{len(left_out)} paths, {path} for one ({reason})"
            self._once(logging.INFO, f"checkpoints of {snapshot.workspace} do not hold {what}")
        log.debug("checkpoint %s of %s: %s", snapshot.short_id, snapshot.workspace, snapshot.note.reason)
        return True

    def untaken(self, directory: str, why: str, message: str) -> bool:
        """Nothing was saved, and nothing is the matter."""
        self._note(directory, why, message)
        return False

    def unprotected(self, directory: str, why: str, message: str, error: Exception | None = None) -> bool:
        """Nothing was saved although it should have been: people are told, once for each directory and reason."""
        self._note(directory, why, message)
        kind = type(error).__name__ if why == "failed" else message  # a message may name a scratch file
        text = f"{directory} is NOT protected by a checkpoint: {message}"
        self._once(logging.WARNING, text, f"{directory} {why} {kind}", error)
        return False

    def _note(self, directory: str, why: str, message: str) -> None:
        self.last = {"taken": False, "why": why, "message": harmless(message), "directory": harmless(directory)}

    def _once(self, level: int, text: str, subject: str = "", error: Exception | None = None) -> None:
        if (subject or text) not in self._told:
            self._told.add(subject or text)
            log.log(level, "%s", harmless(text), exc_info=error if not isinstance(error, CheckpointError) else None)
