"""``restore``, ``undo`` and ``redo``."""

import os
import shutil
from pathlib import Path

import pytest

from commandline import damage, in_a_process
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import AmbiguousId, StoreBusy
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.testing.witness import difference, picture


def test_without_a_terminal_and_without_yes_nothing_is_changed_and_the_plan_is_printed(run, workspace):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    asked = run("restore", "1", "--json")
    assert asked.code == codes.UNCONFIRMED
    assert asked.json["confirmed"] is False
    assert asked.json["plan"].items() >= {"write": ["notes.txt", "src/main.py"], "delete": ["new"], "keep": []}.items()
    in_words = run("restore", "1")
    assert in_words.code == codes.UNCONFIRMED
    assert in_words.rows == [["delete", "new"], ["write", "notes.txt"], ["write", "src/main.py"]]
    assert "--yes" in in_words.err
    assert difference(before, picture(workspace)) == []
    assert len(run("list", "--json").json["snapshots"]) == 1


def test_a_dry_run_prints_the_plan_and_changes_nothing(run, workspace):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    dry = run("restore", "1", "--dry-run", "--yes", "--json")
    assert (dry.code, dry.json["dry_run"]) == (0, True)
    assert difference(before, picture(workspace)) == []
    done = run("restore", "1", "--yes", "--json").json
    plan = dry.json["plan"]
    assert sorted(done["written"]) == sorted(plan["write"] + plan["attributes"])
    assert (done["deleted"], done["kept"]) == (plan["delete"], plan["keep"])


def test_a_restore_can_be_taken_back_and_done_again(run, workspace):
    original, first = picture(workspace), run("snapshot", "--json").json["id"]
    damage(workspace)
    damaged = picture(workspace)
    done = run("restore", "1", "--yes", "--json")
    assert (done.code, done.json["restored_to"]) == (0, first)
    assert done.json.keys() == {"restored_to", "safety", "written", "deleted", "kept", "failed", "stopped"}
    assert difference(original, picture(workspace)) == []
    assert run("undo").code == codes.UNCONFIRMED
    assert difference(original, picture(workspace)) == []
    undone = run("undo", "--yes", "--json").json
    assert undone["restored_to"] == done.json["safety"]
    assert difference(damaged, picture(workspace)) == []
    assert run("redo", "--yes").code == 0
    assert difference(original, picture(workspace)) == []


def test_in_words_a_restore_names_what_it_did_and_the_way_back(run, workspace):
    run("snapshot")
    damage(workspace)
    rows = run("restore", "1", "--yes").rows
    assert [row[:2] for row in rows[:3]] == [["deleted", "new"], ["written", "notes.txt"], ["written", "src/main.py"]]
    safety = dict(row for row in rows if len(row) == 2)["safety"]
    assert safety == run("list", "--json").json["snapshots"][0]["id"]


def test_there_is_nothing_to_undo_before_a_restore(run, workspace):
    run("snapshot")
    for command in ("undo", "redo"):
        ran = run(command, "--yes", "--json")
        assert (ran.code, ran.json["error"]["kind"]) == (codes.FAILED, "RestoreRefused")


def test_a_workspace_that_was_removed_altogether_comes_back(run, workspace, monkeypatch):
    original = picture(workspace)
    run("snapshot")
    monkeypatch.chdir("/")
    shutil.rmtree(workspace)
    assert run("restore", "1", workspace, "--yes").code == 0
    assert difference(original, picture(workspace)) == []


def test_modification_times_come_back_only_when_asked_for(run, workspace):
    os.utime("notes.txt", (1_000_000_000, 1_000_000_000))
    run("snapshot")
    for option, expected in (([], False), (["--times"], True)):
        Path("notes.txt").write_text("other\n")
        assert run("restore", "1" if not option else "2", "--yes", *option).code == 0
        assert (os.stat("notes.txt").st_mtime == 1_000_000_000) is expected


def test_what_a_restore_could_not_do_has_its_own_exit_code(run, workspace, monkeypatch):
    run("snapshot")
    with Engine() as engine:
        snapshot = engine.list(workspace)[0]
    failed = Restored(snapshot, snapshot, failed=[Failure("a", "Permission denied")])
    monkeypatch.setattr(Engine, "restore", lambda *_, **__: failed)
    ran = run("restore", "1", "--yes", "--json")
    assert (ran.code, ran.json["failed"]) == (codes.INCOMPLETE, [{"path": "a", "reason": "Permission denied"}])
    assert ["failed", "a", "Permission denied"] in run("restore", "1", "--yes").rows


@pytest.mark.parametrize(
    ("error", "code"), [(StoreBusy("somebody has it"), codes.BUSY), (AmbiguousId("two have"), codes.NOT_FOUND)]
)
def test_failures_are_told_apart_by_exit_codes(run, workspace, monkeypatch, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr(Engine, "list", fail)
    ran = run("list", "--json")
    assert ran.code == code
    assert ran.json == {"error": {"kind": type(error).__name__, "message": str(error)}}
    assert str(error) in ran.err


def test_the_snapshot_that_was_shown_is_restored_even_if_its_number_moved_meanwhile(run, workspace, monkeypatch):
    shown_id = run("snapshot", "--json").json["id"]
    damage(workspace)

    def agrees(*_):
        assert in_a_process("snapshot").returncode == 0  # now number 1 is another one
        return True

    monkeypatch.setattr(Screen, "can_ask", True)
    monkeypatch.setattr(Screen, "agrees", agrees)
    rows = run("restore", "1").rows
    assert ["restored_to", shown_id] in rows
