"""Operations killed by the kernel at each system call that changes the disk."""

from aftermath import after_a_kill, after_an_answer
from tampering import killed_before


def test_an_operation_killed_at_any_call_loses_nothing_and_the_next_one_goes_on(trial):
    def check(before, ended):
        if ended.killed:
            after_a_kill(trial.field, trial.scenario, before)
        else:
            after_an_answer(trial.field, trial.scenario, before, ended.answer)

    trial.strike("kills", (killed_before(call) for call in trial.calls() if call.changes), check)
