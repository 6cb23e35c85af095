"""One operation, struck again and again, each time from the same beginning."""

import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from field import Field, Picture
from hermes_checkpoints.testing.witness import picture
from scenarios import Scenario, failures_told
from tampering import Call, Ended, Fault, calls_of, struck_by

# Failures that are told in full; the others are the same ones, as a rule.
_TOLD = 12


@dataclass(frozen=True, slots=True)
class Trial:
    """A scenario on a field, and the calls that its operation makes there."""

    field: Field
    scenario: Scenario
    log: Path
    sample: Callable[[Sequence[Any]], Sequence[Any]]
    tried: Callable[[str], None]

    def calls(self) -> list[Call]:
        """Prepare the field, and see what the operation does on it when nothing is in its way."""
        self.scenario.prepare(self.field)
        self.field.keep()
        self._operation()  # imports what it needs: a process that has it makes fewer calls
        self.field.put_back()
        calls, ended = calls_of(self._operation, self.field.here, self.log)
        assert ended.error == ""
        assert ended.answer.done, ended.answer
        assert any(call.changes for call in calls)
        return calls

    def strike(self, what: str, faults: Iterable[Fault], check: Callable[[Picture, Ended], None]) -> None:
        """Try the faults, or the sample of them; ``check`` looks at what each has left.

        Raises ``AssertionError`` that tells of every fault after which something was wrong.
        """
        points = self.sample([*faults])
        wrong, missed = [], 0
        for fault in points:
            self.field.put_back()
            before = picture(self.field.workspace)
            ended = struck_by(fault, self._operation, self.log)
            missed += not ended.struck
            try:
                assert ended.error == "", ended.error
                check(before, ended)
            except Exception as error:
                told = "".join(traceback.format_exception(error, limit=-4))
                wrong.append(f"{fault}\n{ended.answer}\n{told}")
            self.tried(f"{what}: {self.scenario.name}, {self.field.backend}")
        assert not wrong, f"{len(wrong)} of {len(points)}:\n\n" + "\n".join(wrong[:_TOLD])
        assert missed <= len(points) // 20, f"{missed} of {len(points)} faults met no call: these runs differ"

    @property
    def _operation(self) -> Callable[[], Any]:
        return partial(failures_told(self.scenario.act), self.field)
