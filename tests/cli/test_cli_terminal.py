"""A terminal, a pipe, and what goes wrong with them."""

import os
import shlex
import signal
import subprocess
import sys

import pytest

from commandline import COMMAND, damage, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.testing.witness import difference, picture


def test_on_a_terminal_no_is_the_answer_unless_somebody_says_yes(run, workspace):
    run("snapshot", "-m", "the good state")
    original = picture(workspace)
    damage(workspace)
    damaged = picture(workspace)
    for typed in (b"n\n", b"\n", b"\x04"):
        code, drawn = on_a_terminal("restore", "1", typed=typed)
        assert code == codes.UNCONFIRMED
        assert b"Restore? [y/N]" in drawn
        assert b"the good state" in drawn
        assert b"Nothing was changed" in drawn
        assert difference(damaged, picture(workspace)) == []
    code, drawn = on_a_terminal("restore", "1", typed=b"y\n")
    assert code == 0
    assert b"hermes-checkpoints undo" in drawn
    assert difference(original, picture(workspace)) == []


def test_a_long_plan_is_cut_on_a_terminal_and_whole_in_a_pipe(run, workspace):
    run("snapshot")
    for number in range(100):
        (workspace / f"file-{number}").write_text("x")
    assert len(run("restore", "1", "--dry-run").rows) == 100
    code, drawn = on_a_terminal("restore", "1", "--dry-run")
    assert code == 0
    assert drawn.count(b"file-") == 40
    assert b"and 60 more" in drawn


def test_every_command_draws_on_a_terminal(run, workspace):
    run("snapshot", "-m", "[red]reason")
    damage(workspace)
    for words, expected in (
        (["list"], b"[red]reason"),
        (["list", "--all"], str(workspace).encode()),
        (["show", "1"], b"[red]reason"),
        (["diff", "--stat"], b"notes.txt"),
        (["backends"], b"chosen"),
        (["status"], str(workspace).encode()),
        (["status", "."], b"[red]reason"),
        (["pin", "1", "--label", "[red]kept"], b"[red]kept"),
        (["unpin", "1"], b"unpinned"),
        (["prune", "--dry-run"], b"Nothing to forget"),
        (["maintain"], b"before"),
        (["clear-legacy", "-f"], b"0 archives"),
        (["snapshot"], b"taken"),
    ):
        code, drawn = on_a_terminal(*words, env={"NO_COLOR": "1", "COLUMNS": "400"})
        assert code == 0, drawn
        assert expected in drawn


def test_control_c_at_the_question_changes_nothing_and_is_no_traceback(run, workspace):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    code, drawn = on_a_terminal("restore", "1", interrupt=signal.SIGINT)
    assert code == codes.INTERRUPTED
    assert b"Traceback" not in drawn
    assert b"interrupted; no file is half written" in drawn
    assert difference(before, picture(workspace)) == []


def test_a_reader_that_goes_away_is_no_traceback(workspace, run):
    (workspace / "big").write_bytes(b"x" * 5_000_000)
    run("snapshot")
    process = subprocess.Popen([*COMMAND, "cat", "1", "big"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), complaint) == (codes.BROKEN_PIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_could_not_be_written_is_not_called_success(run, workspace):
    run("snapshot")
    with open("/dev/full", "wb") as full:
        process = subprocess.run([*COMMAND, "cat", "1", "notes.txt"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert process.returncode == codes.FAILED
    assert b"Traceback" not in process.stderr
    assert b"No space left" in process.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_an_error_that_could_not_be_written_has_its_code_all_the_same(run, workspace):
    with open("/dev/full", "wb") as full:
        process = subprocess.run([*COMMAND, "--json", "show", "9"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert process.returncode == codes.NOT_FOUND
    assert b"Traceback" not in process.stderr


def test_a_hook_without_standard_streams_takes_its_snapshot(run, workspace):
    """What is opened next gets their numbers: a message must not end up in a file of the store."""
    script = f'exec {shlex.join(COMMAND)} "$@" <&- >&- 2>&-'
    ran = subprocess.run(["/bin/sh", "-c", script, "sh", "snapshot", "-m", "without"], timeout=60)
    assert ran.returncode == codes.DONE
    assert b"without" in run("list").out
    assert run("verify").code == codes.DONE


def test_a_hook_pays_for_nothing_it_does_not_use(run, workspace):
    run("snapshot")
    program = (
        "import sys; from hermes_checkpoints.cli.program import main; assert main(['snapshot']) == 0;"
        "print(sorted({'rich', 'difflib', 'datetime', 'importlib.resources', 'asyncio'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == b"[]"
