"""``prune``: what is shown is what goes."""

import os
import re
import shutil
import signal

import pytest

from commandline import add_snapshots, ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.upkeep.upkeep import Upkeep

WIDE = {"NO_COLOR": "1", "COLUMNS": "400"}
STALE = "0.000000001"  # days: whatever is there is older


def planned(run, *words):
    return run("prune", "--dry-run", "--json", *words).json["plan"]


def test_without_a_terminal_and_without_yes_nothing_is_forgotten_and_the_plan_is_printed(run, workspace):
    oldest, middle, newest = add_snapshots(run, workspace, 3)
    asked = run("prune", "--max-size-mb", "0.45", "--json")
    assert (asked.code, asked.json["confirmed"]) == (codes.UNCONFIRMED, False)
    [first, *_] = asked.json["plan"]["removals"]
    assert (first["snapshots"], first["workspace"], first["archive"]) == ([oldest], str(workspace), None)
    in_words = run("prune", "--max-size-mb", "0.45")
    assert (in_words.code, "--yes" in in_words.err) == (codes.UNCONFIRMED, True)
    assert in_words.rows[0][:3] == ["forget", oldest, str(workspace)]
    assert in_words.rows[-1][0] == "size"
    assert ids(run) == [newest, middle, oldest]


def test_what_is_forgotten_is_what_a_dry_run_showed_and_the_space_comes_back(run, workspace):
    taken = add_snapshots(run, workspace, 5)
    (workspace / "src" / "main.py").write_text("another\n")
    for path in list(workspace.glob("file-*"))[:4]:
        path.unlink()
    taken += add_snapshots(run, workspace, 1)
    run("maintain")
    plan = planned(run, "--max-size-mb", "0.9")
    assert plan["removals"]
    assert plan["allowed"] == int(0.9 * (1 << 20))
    done = run("prune", "--max-size-mb", "0.9", "--yes", "--json")
    assert done.code == 0
    told = done.json
    assert (told["removed"], told["failed"]) == (plan["removals"], [])
    gone = [one for removal in plan["removals"] for one in removal["snapshots"]]
    assert ids(run) == [one for one in reversed(taken) if one not in gone]
    assert told["size_after"] == run("status", "--json").json["real"]
    assert told["size_planned"] == plan["size_after"]
    assert told["size"] - told["size_after"] == pytest.approx(plan["size"] - plan["size_after"], rel=0.1)
    assert told["reclaimed"].items() >= {"complete": True, "troubles": []}.items()


def test_a_workspace_that_is_gone_is_pruned_unless_orphans_are_kept(run, workspace, other):
    add_snapshots(run, workspace, 1)
    shutil.rmtree(other)
    assert planned(run, "--keep-orphans")["removals"] == []
    [removal] = planned(run)["removals"]
    assert (removal["workspace"], removal["reason"], removal["loud"]) == (str(other), "the workspace is gone", False)
    assert run("prune", "--yes").code == 0
    assert [known["workspace"] for known in run("status", "--json").json["workspaces"]] == [str(workspace)]


def test_stale_workspaces_keep_their_newest_snapshot(run, workspace):
    taken = add_snapshots(run, workspace, 3)
    assert planned(run)["removals"] == []
    assert planned(run, "--retention-days", "0")["removals"] == []
    assert run("prune", "--retention-days", STALE, "--yes").code == 0
    assert ids(run) == taken[-1:]


def test_on_a_terminal_the_plan_is_shown_and_exactly_that_is_forgotten_after_a_yes(run, workspace):
    oldest, middle, newest = add_snapshots(run, workspace, 3)
    words = ["prune", "--retention-days", STALE]
    for typed in (b"n\n", b"\n", b"\x04"):
        code, drawn = on_a_terminal(*words, typed=typed)
        assert (code, b"Nothing was changed" in drawn) == (codes.UNCONFIRMED, True)
    later = []
    code, drawn = on_a_terminal(
        *words, typed=b"y\n", env=WIDE, meanwhile=lambda: later.extend(add_snapshots(run, workspace, 1))
    )
    assert code == 0
    assert b"Prune? [y/N]" in drawn
    assert b"not used for" in drawn
    assert b"2 snapshots forgotten for good" in drawn
    assert ids(run) == [*later, newest]  # a new plan would have forgotten that one as well
    assert oldest[:10].encode() in drawn
    assert middle[:10].encode() in drawn


def test_control_c_at_the_question_forgets_nothing(run, workspace):
    taken = add_snapshots(run, workspace, 2)
    code, drawn = on_a_terminal("prune", "--retention-days", STALE, interrupt=signal.SIGINT)
    assert (code, b"Traceback" in drawn, b"interrupted" in drawn) == (codes.INTERRUPTED, False, True)
    assert ids(run) == taken[::-1]


def test_a_loud_removal_stands_out_and_stands_first(run, workspace, other):
    oldest, _ = add_snapshots(run, workspace, 2)
    words = ["prune", "--max-size-mb", "0.01"]
    removals = planned(run, *words[1:])["removals"]
    assert [(one["workspace"], one["loud"]) for one in removals] == [(str(workspace), False), (str(other), True)]
    rows = run(*words).rows
    assert [(row[2], row[4]) for row in rows if row[0] == "forget"] == [(str(other), "loud"), (str(workspace), "-")]
    code, drawn = on_a_terminal(*words, typed=b"n\n", env=WIDE)
    assert code == codes.UNCONFIRMED
    [marked] = _marked(drawn)
    assert str(other).encode() in marked
    assert b"nobody would expect" in drawn
    # Without a question, too, they are told.
    code, drawn = on_a_terminal(*words, "--yes", env=WIDE)
    assert _marked(drawn) == [marked]
    assert oldest not in ids(run)


def _marked(drawn):
    """The lines that stand out, but for how long ago something was: that goes on."""
    lines = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|\r| \(\d+ s ago\)", b"", drawn).split(b"\n")
    return [line for line in lines if line.startswith(b"!")]


def test_what_is_pinned_stays_and_the_shortfall_is_told_with_what_to_do(run, workspace, other):
    add_snapshots(run, workspace, 1)
    run("pin", "1", other)
    words = ["prune", "--max-size-mb", "0.01"]
    plan = planned(run, *words[1:])
    assert plan["removals"] == []
    assert 0 < plan["shortfall"] == plan["size"] - plan["allowed"]
    code, drawn = on_a_terminal(*words, env=WIDE)
    assert code == 0
    assert b"pinned snapshots and the newest one" in drawn
    assert b"unpin" in drawn
    assert run(*words).rows == [
        ["size", str(plan["size"]), str(plan["size"]), str(plan["allowed"]), str(plan["shortfall"])]
    ]
    assert len(ids(run, "--all")) == 2


def test_what_was_pinned_meanwhile_stays_is_told_and_has_its_own_exit_code(run, workspace, monkeypatch):
    oldest, middle, newest = add_snapshots(run, workspace, 3)
    make_plan = Upkeep.plan

    def and_pin(upkeep, **limits):
        plan = make_plan(upkeep, **limits)
        upkeep.pin(plan.removals[0].snapshots[0])
        return plan

    monkeypatch.setattr(Upkeep, "plan", and_pin)
    done = run("prune", "--retention-days", STALE, "--yes", "--json")
    assert done.code == codes.INCOMPLETE
    assert [removal["snapshots"] for removal in done.json["removed"]] == [[middle]]
    assert [one["subject"] for one in done.json["failed"]] == [str(workspace)]
    assert ids(run) == [newest, oldest]
    run("unpin", oldest)
    in_words = run("prune", "--retention-days", STALE, "--yes")
    assert (in_words.code, in_words.rows[0][:2]) == (codes.INCOMPLETE, ["failed", str(workspace)])


def test_an_old_archive_is_pruned_and_counted(run, workspace, base):
    run("snapshot")
    archive = base / "legacy-20250131-093000"
    archive.mkdir()
    (archive / "pack").write_bytes(os.urandom(300_000))
    os.utime(archive, (0, 0))
    assert run("prune").rows[0][:3] == ["archive", "-", str(archive)]
    code, drawn = on_a_terminal("prune", typed=b"n\n", env=WIDE)
    assert (code, archive.name.encode() in drawn) == (codes.UNCONFIRMED, True)
    done = run("prune", "--yes", "--json").json
    assert [removal["archive"] for removal in done["removed"]] == [str(archive)]
    assert done["size"] - done["size_after"] >= 300_000
    assert not archive.exists()


def test_a_name_cannot_act_on_the_terminal_nor_break_a_line(run, workspace, tmp_path):
    hostile = tmp_path / "esc\x1b[31m\nred"
    hostile.mkdir()
    add_snapshots(run, hostile, 2)
    words = ["prune", "--retention-days", STALE]
    outputs = [run(*words), run(*words, "--dry-run")]
    assert [len(ran.rows) for ran in outputs] == [2, 2]
    drawn = [on_a_terminal(*words, "--dry-run", env=WIDE)[1], on_a_terminal(*words, "--yes", env=WIDE)[1]]
    for out in [ran.out for ran in outputs] + drawn:
        assert b"\x1b[31m" not in out
        assert rb"esc\033[31m\nred" in out


@pytest.mark.parametrize("command", [["maintain"], ["prune", "--retention-days", STALE, "--yes"]])
def test_control_c_stops_it_cleanly_and_it_can_be_repeated(run, workspace, monkeypatch, command):
    newest = add_snapshots(run, workspace, 6)[-1]
    run("forget", "2", "3")
    with monkeypatch.context() as patch:
        patch.setattr(Screen, "progress", _interrupt)
        stopped = run(*command)
    assert stopped.code == codes.INTERRUPTED
    assert "interrupted; " in stopped.err
    assert "Traceback" not in stopped.err
    assert newest in ids(run)
    assert all(run("export", one, workspace.parent / one).code == 0 for one in ids(run))
    assert run(*command).code == 0


def _interrupt(screen, done):
    raise KeyboardInterrupt
