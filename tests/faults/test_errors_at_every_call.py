"""Operations that the kernel refuses something: one call, or all of them from one on."""

from aftermath import after_an_answer
from tampering import CHANGING, MAKING, NAMING, failing, failing_from

_FULL = (MAKING | NAMING) - {"openat", "ioctl", "sendfile"}
_READ_ONLY = CHANGING - {"openat", "ioctl", "fsync", "fdatasync", "syncfs"}


def _faults(calls):
    """Each call fails once; a quota ends and is raised; the disk is full or becomes read-only, and stays so.

    Of the same question asked again and again, the first and the last answer are refused.
    """
    asked = {}
    for call in calls:
        asked.setdefault(call.name + call.text.partition("{")[0], []).append(call)
    for call in calls:
        again = asked[call.name + call.text.partition("{")[0]]
        if call.changes or call in (again[0], again[-1]):
            yield failing(call, "EIO")
        if not call.changes:
            continue
        if call.name in MAKING | NAMING:
            yield failing(call, "EDQUOT")
            yield failing_from(call, calls, "ENOSPC", _FULL)
        yield failing_from(call, calls, "EROFS", _READ_ONLY)


def test_an_operation_that_is_refused_a_call_says_so_and_loses_nothing(trial):
    def check(before, ended):
        after_an_answer(trial.field, trial.scenario, before, ended.answer)

    trial.strike("errors", _faults(trial.calls()), check)
