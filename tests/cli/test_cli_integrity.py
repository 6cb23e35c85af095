"""``verify`` and ``repair``: damage is named, and mended after a yes."""

import os
import re
import shutil

import pytest

from commandline import ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import Reason, StoreBusy
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.upkeep.upkeep import Upkeep
from spoiling import DAMAGES, replace, spoil
from trees import BACKENDS

WIDE = {"NO_COLOR": "1", "COLUMNS": "400"}
LOST = os.urandom(20_000)
KEPT = os.urandom(20_000)


@pytest.fixture(params=BACKENDS)
def spoilt(request, run, workspace, base, monkeypatch):
    """Two snapshots that hold a content which is damaged, and one that does not; the second is pinned."""
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", request.param)
    (workspace / "lost\x1b[31m").write_bytes(LOST)
    (workspace / "kept").write_bytes(KEPT)
    run("snapshot", "-m", "first")
    (workspace / "src" / "main.py").write_text("another\n")
    run("snapshot", "-m", "second")
    run("pin", "1", "--label", "the second")
    (workspace / "lost\x1b[31m").unlink()
    run("snapshot", "-m", "third")
    spoil(base / "store", LOST)
    return workspace


def stored(base):
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file() and "locks" not in path.parts}


def test_what_is_damaged_is_named_and_has_its_own_exit_code(run, spoilt):
    _, second, first = ids(run)
    found = run("verify", "--json")
    assert (found.code, found.json["full"], found.json["snapshots"]) == (codes.DAMAGED, True, 3)
    costs = [one for one in found.json["damaged"] if one["snapshot"]]
    assert {(one["snapshot"], one["workspace"], one["path"]) for one in costs} == {
        (first, str(spoilt), "lost\x1b[31m"),
        (second, str(spoilt), "lost\x1b[31m"),
    }
    rows = run("verify").rows
    assert {tuple(row[2:6:3]) for row in rows if row[0] == "damaged" and row[2] != "-"} == {
        (second, r'"lost\033[31m"'),
        (first, r'"lost\033[31m"'),
    }
    assert rows[-1][:4] == ["verified", "1", "3", "full"]
    code, drawn = on_a_terminal("verify", env=WIDE)
    assert code == codes.DAMAGED
    assert (rb"lost\033[31m" in drawn, b"\x1b[31m" in drawn, b"`hermes-checkpoints repair`" in drawn) == (
        True, False, True
    )  # fmt: skip


def test_a_whole_store_is_verified_and_there_is_nothing_to_repair(run, workspace):
    run("snapshot")
    for words, depth in ((["verify"], "full"), (["verify", "--quick"], "quick"), (["verify", "."], "full")):
        assert (run(*words).code, run(*words).rows) == (0, [["verified", "1", "1", depth, "0"]])
    assert run("verify", "--json").json["damaged"] == []
    for words in (["repair"], ["repair", "--yes"], ["repair", "--dry-run"]):
        assert (run(*words).code, run(*words).rows) == (0, [["verified", "1", "1", "full", "0"]])
    for words in (["verify"], ["repair"]):
        code, drawn = on_a_terminal(*words, env=WIDE)
        assert (code, b"No damage in 1 snapshot of 1 workspace" in drawn) == (0, True)


def test_only_what_one_workspace_leans_on_is_told_of_it(run, spoilt, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").write_bytes(b"theirs")
    run("snapshot", other)
    told = run("verify", other, "--json").json
    assert [one for one in told["damaged"] if one["snapshot"]] == []
    assert run("verify", spoilt).code == codes.DAMAGED
    assert run("verify", tmp_path).code == codes.NOT_FOUND


def test_without_a_terminal_and_without_yes_nothing_is_repaired_and_the_plan_is_printed(run, spoilt, base):
    before = stored(base)
    asked = run("repair", "--json")
    assert (asked.code, asked.json["confirmed"]) == (codes.UNCONFIRMED, False)
    in_words = run("repair")
    assert (in_words.code, "--yes" in in_words.err) == (codes.UNCONFIRMED, True)
    assert [row[5] for row in in_words.rows if row[0] == "leave_out"] == [r'"lost\033[31m"'] * 2
    dry = run("repair", "--dry-run", "--json")
    assert (dry.code, dry.json["dry_run"], dry.json["plan"]) == (0, True, asked.json["plan"])
    assert stored(base) == before


def test_what_is_lost_is_told_with_what_became_of_it_and_the_rest_restores(run, spoilt):
    third, second, first = ids(run)
    done = run("repair", "--yes", "--json")
    assert (done.code, done.json["after"]["damaged"]) == (0, [])
    lost = {one["snapshot"]: one for one in done.json["repairs"] if one["repair"] == "left_out"}
    assert {one: row["path"] for one, row in lost.items()} == dict.fromkeys((second, first), "lost\x1b[31m")
    assert ids(run) == [third, lost[second]["new_id"], lost[first]["new_id"]]
    assert [row[-1] for row in run("list").rows] == ["", "the second", ""]
    left = run("show", "3", "--json").json["left_out"]
    assert {"path": "lost\x1b[31m", "reason": Reason.DAMAGED.value} in left
    assert run("cat", "3", "kept").out == KEPT
    assert run("verify").code == 0
    assert run("restore", "3", "--yes").code == 0
    assert (spoilt / "src" / "main.py").read_text() == "print('one')\n"


def test_what_the_workspace_has_is_healed_and_costs_no_id(run, spoilt):
    before = ids(run)
    (spoilt / "again").write_bytes(LOST)
    done = run("repair", "--yes")
    assert done.code == 0
    words = [row[0] for row in done.rows]
    assert ("healed" in words, "left_out" in words, words[-1]) == (True, False, "verified")
    assert ids(run) == before
    assert run("cat", "3", "--", "lost\x1b[31m").out == LOST


def test_a_yes_at_the_question_repairs_what_was_shown_and_a_no_nothing(run, spoilt, base):
    before = stored(base)
    for typed in (b"n\n", b"\x04"):
        code, drawn = on_a_terminal("repair", typed=typed, env=WIDE)
        assert (code, b"Nothing was changed" in drawn) == (codes.UNCONFIRMED, True)
    assert stored(base) == before
    code, drawn = on_a_terminal("repair", typed=b"y\n", env=WIDE)
    assert code == 0
    assert b"Repair? [y/N]" in drawn
    assert re.search(rb"Would be: .*2 lost, and left out", drawn)
    assert re.search(rb"Done: .*2 lost, and left out", drawn)
    assert b"No damage in 3 snapshots" in drawn
    assert b"\x1b[31m" not in drawn


def test_a_person_is_told_once_what_costs_many_snapshots_and_a_program_each_time(run, spoilt):
    assert len([one for one in run("verify", "--json").json["damaged"] if one["snapshot"]]) == 2
    assert len([row for row in run("repair").rows if row[0] == "leave_out"]) == 2
    for words, typed in ((["verify"], b""), (["repair"], b"n\n")):
        _, drawn = on_a_terminal(*words, typed=typed, env=WIDE)
        assert (drawn.count(rb"lost\033[31m"), b"2 snapshots of " in drawn) == (1, True)


def test_what_an_absent_workspace_lost_is_left_out_only_when_that_is_asked_for(run, spoilt, monkeypatch):
    monkeypatch.chdir(spoilt.parent)
    spoilt.rename(spoilt.with_name("unmounted"))
    kept = run("repair", "--yes", "--json")
    assert (kept.code, kept.json["absent"]) == (codes.DAMAGED, [str(spoilt)])
    assert "--absent" in kept.json["undone"][0]["reason"]
    assert [one for one in kept.json["repairs"] if one["repair"] == "left_out"] == []
    assert len([row for row in run("repair", "--absent").rows if row[0] == "leave_out"]) == 2
    assert run("repair", "--absent", "--yes").code == 0


@pytest.mark.parametrize("command", [["verify"], ["repair", "--yes"]])
def test_control_c_says_that_it_was_safe_and_is(run, spoilt, monkeypatch, command):
    listed = ids(run)
    with monkeypatch.context() as patch:
        patch.setattr(Screen, "progress", _interrupt)
        stopped = run(*command)
    assert (stopped.code, "interrupted; " in stopped.err) == (codes.INTERRUPTED, True)
    assert ids(run) == listed
    assert run("repair", "--yes").code == 0
    assert run("verify").code == 0


def _interrupt(screen, done):
    raise KeyboardInterrupt


def test_somebody_at_work_has_an_exit_code_of_its_own(run, workspace, base, monkeypatch):
    def busy(upkeep, **options):
        raise StoreBusy("somebody is at work")

    monkeypatch.setattr(Upkeep, "repair", busy)
    assert run("repair", "--yes").code == codes.BUSY


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_damaged_file_of_the_store_ends_a_command_that_looks_at_it_with_a_traceback(
    run, workspace, base, tmp_path, monkeypatch, backend, damage
):
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", backend)
    (workspace / "large").write_bytes(LOST * 5)
    run("snapshot", "--label", "kept")
    (workspace / "notes.txt").write_text("later\n")
    run("snapshot")
    whole = tmp_path / "whole"
    base.rename(whole)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    assert len(files) > 10
    for name in files:
        shutil.rmtree(base, ignore_errors=True)
        shutil.copytree(whole, base, symlinks=True)
        damage(base / name)
        for words in (["list"], ["status"], ["verify", "--quick"], ["verify"], ["repair", "--dry-run"]):
            ran = run(*words, "--json")
            told = (str(name), words, ran.out)
            if ran.code == codes.FAILED:
                assert ran.json["error"]["kind"] in ("StoreError", "StoreDamaged", "StoreRefused"), told
                assert words[0] in ("list", "status"), told
            else:
                assert ran.code in (0, codes.INCOMPLETE, codes.DAMAGED), told


def test_a_record_that_is_garbage_is_found_and_made_anew(run, workspace, base):
    run("snapshot")
    (record,) = (base / "store" / "projects").iterdir()
    replace(record)
    assert {row[1] for row in run("verify").rows if row[0] == "damaged"} == {"projects"}
    assert [row[0] for row in run("repair").rows][:2] == ["quarantine", "rebuild"]
    before = picture(workspace)
    assert [row[0] for row in run("repair", "--yes").rows][:2] == ["quarantined", "rebuilt"]
    assert difference(before, picture(workspace)) == []
    assert len(ids(run, "--all")) == 1
