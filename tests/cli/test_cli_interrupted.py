"""``restore --continue`` and ``restore --abort``."""

import pytest

from commandline import in_a_process
from hermes_checkpoints import Engine
from hermes_checkpoints.cli import codes
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import difference, picture


@pytest.fixture
def interrupted(run, workspace):
    """A restore of ten files that was killed in the middle: the state before, and the one that was wanted."""
    for number in range(10):
        (workspace / f"file-{number}").write_text("then")
    taken = run("snapshot", "--json").json["id"]
    wanted = picture(workspace)
    for number in range(10):
        (workspace / f"file-{number}").write_text("edited")
    before = picture(workspace)

    def restore():
        with Engine() as engine:
            engine.restore(workspace, taken)

    every = steps_of(restore)
    run("undo", "--yes")
    for step in range(every, 0, -2):
        assert difference(before, picture(workspace)) == []
        if killed_at(step, restore) and before != picture(workspace) != wanted:
            return before, wanted
        run("restore", "--abort") if run("restore", "--abort", "--dry-run").code == 0 else run("undo", "--yes")
    raise AssertionError("no kill came in the middle")


def test_the_next_command_tells_of_an_interrupted_restore_and_works(run, workspace, interrupted):
    for words in (["list"], ["snapshot"], ["diff"]):
        told = in_a_process(*words)
        assert told.returncode == 0
        assert b"restore --continue" in told.stderr
    assert len(run("list", "--json").json["snapshots"]) > 1


def test_an_interrupted_restore_is_finished_without_asking_and_taken_back_by_undo(run, workspace, interrupted):
    before, wanted = interrupted
    plan = run("restore", "--continue", "--dry-run", "--json").json["plan"]
    done = run("restore", "--continue", "--json")
    assert (done.code, done.json["stopped"], done.json["written"]) == (codes.DONE, None, plan["write"])
    assert difference(wanted, picture(workspace)) == []
    assert "interrupted" not in run("list").err
    assert run("undo", "--yes").code == codes.DONE
    assert difference(before, picture(workspace)) == []


def test_an_interrupted_restore_is_taken_back(run, workspace, interrupted):
    before, _ = interrupted
    assert run("restore", "--abort", workspace).code == codes.DONE
    assert difference(before, picture(workspace)) == []
    assert run("restore", "--abort").code == codes.FAILED
    assert "no restore" in run("restore", "--continue").err


def test_what_was_said_when_it_was_begun_is_not_said_again(run, workspace):
    for more in (["--path", "notes.txt"], ["--times"], ["--setuid"], ["--abort"]):
        assert run("restore", "--continue", *more).code == codes.USAGE
    assert run("restore").code == codes.USAGE
