"""``purge``: a key that slipped in."""

import os
import sys

import pytest

from commandline import ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import Reason
from hermes_checkpoints.results import Failure, Purged
from hermes_checkpoints.upkeep.upkeep import Upkeep

SECRET = b"-----BEGIN PRIVATE KEY-----" + os.urandom(3000).hex().encode()


@pytest.fixture
def leaked(run, workspace):
    """A workspace with three snapshots, the newer two of which hold a key."""
    run("snapshot", "-m", "before")
    (workspace / "id_rsa").write_bytes(SECRET)
    run("snapshot", "-m", "with the key")
    (workspace / "notes.txt").write_text("later\n")
    run("snapshot", "-m", "later")
    return workspace


def test_without_a_terminal_and_without_yes_nothing_is_purged(run, leaked):
    before = ids(run)
    ran = run("purge", "id_rsa", "--json")
    assert (ran.code, ran.json) == (
        codes.UNCONFIRMED, {"confirmed": False, "workspace": str(leaked), "path": "id_rsa"}
    )  # fmt: skip
    in_words = run("purge", "id_rsa")
    assert (in_words.code, in_words.out, "--yes" in in_words.err) == (codes.UNCONFIRMED, b"", True)
    assert ids(run) == before
    assert run("cat", "1", "id_rsa").out == SECRET


def test_a_purged_path_is_in_no_snapshot_and_all_else_still_is(run, leaked):
    newest, middle, oldest = ids(run)
    (leaked / "id_rsa").unlink()
    done = run("purge", "id_rsa", "--yes", "--json")
    assert done.code == 0
    told = done.json
    assert (told["path"], told["still_in"], told["also_at"], told["in_workspace"]) == ("id_rsa", [], [], False)
    assert ids(run) == [told["replaced"][newest], told["replaced"][middle], oldest]
    assert told["replaced"].keys() == {newest, middle}
    for number in ("1", "2", "3"):
        assert run("cat", number, "id_rsa").code == codes.NOT_FOUND
    assert run("cat", "1", "notes.txt").out == b"later\n"
    assert [row[-2] for row in run("list").rows] == ["later", "with the key", "before"]
    assert {"path": "id_rsa", "reason": Reason.PURGED.value} in run("show", "1", "--json").json["left_out"]


def test_a_path_that_is_still_in_the_workspace_will_be_held_again_and_that_is_said(run, leaked):
    assert ["in_workspace", "id_rsa"] in run("purge", "id_rsa", "--yes").rows
    run("snapshot")
    code, drawn = on_a_terminal("purge", leaked / "id_rsa", typed=b"y\n", env={"NO_COLOR": "1", "COLUMNS": "400"})
    assert code == 0
    assert b"Purge? [y/N]" in drawn
    assert b"cannot be taken back" in drawn
    assert b"1 snapshot rewritten" in drawn
    assert b".hermesignore" in drawn
    (leaked / ".hermesignore").write_text("id_rsa\n")
    run("snapshot")
    assert run("cat", "1", "id_rsa").code == codes.NOT_FOUND


def test_the_same_content_elsewhere_is_named(run, leaked):
    (leaked / "backup").write_bytes(SECRET)
    run("snapshot")
    assert run("purge", "id_rsa", "--yes", "--json").json["also_at"] == ["backup"]
    (leaked / "id_rsa").write_bytes(SECRET)
    run("snapshot")
    assert ["also_at", "backup"] in run("purge", "id_rsa", "--yes").rows
    assert run("cat", "1", "backup").out == SECRET


def test_no_at_the_question_keeps_everything(run, leaked):
    before = ids(run)
    for typed in (b"n\n", b"\n", b"\x04"):
        code, drawn = on_a_terminal("purge", "id_rsa", typed=typed)
        assert (code, b"Nothing was changed" in drawn) == (codes.UNCONFIRMED, True)
    assert ids(run) == before


def test_a_path_that_no_snapshot_holds_has_its_own_exit_code(run, leaked):
    before = ids(run)
    ran = run("purge", "id_dsa", "--yes", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (codes.NOT_FOUND, "PathNotFound")
    assert ids(run) == before


def test_a_pin_follows_the_snapshot_to_its_new_id(run, leaked):
    run("pin", "2", "--label", "kept")
    run("purge", "id_rsa", "--yes")
    assert [row[-1] for row in run("list").rows] == ["", "kept", ""]


@pytest.mark.parametrize("name", ["esc\x1b[31m\n", "-rf", "a*", "\udcff"])
def test_a_hostile_name_is_purged_and_shown_without_harm(run, workspace, name):
    (workspace / name).write_bytes(SECRET)
    (workspace / "ab").write_text("stays")
    run("snapshot")
    told = run("purge", "--yes", "--", name)
    assert told.code == 0
    assert [row[0] for row in told.rows] == ["rewritten", "in_workspace"]
    run("snapshot")
    code, drawn = on_a_terminal("purge", "--yes", "--", name, env={"NO_COLOR": "1"})
    assert code == 0
    for out in (told.out, drawn):
        assert b"\x1b[31m" not in out
    run("snapshot")
    assert run("purge", "--yes", "--json", "--", name).json["path"] == name
    assert run("cat", "1", "ab").out == b"stays"


def test_an_interrupted_purge_loses_no_snapshot_and_is_finished_by_the_next_one(run, leaked, monkeypatch):
    def interrupt(screen, done):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "progress", interrupt)
        stopped = run("purge", "id_rsa", "--yes")
    assert (stopped.code, "repeat the command" in stopped.err) == (codes.INTERRUPTED, True)
    assert [row[-2] for row in run("list").rows] == ["later", "with the key", "before"]
    assert run("purge", "id_rsa", "--yes").code == 0
    assert [run("cat", number, "id_rsa").code for number in ("1", "2", "3")] == [codes.NOT_FOUND] * 3
    assert run("cat", "1", "notes.txt").out == b"later\n"


def test_what_still_holds_the_path_is_told_and_has_its_own_exit_code(run, leaked, monkeypatch):
    held = Purged("id_rsa", {}, still_in=[Failure("abc", "made by\x1b[31m another program")])
    monkeypatch.setattr(Upkeep, "purge", lambda upkeep, workspace, path: held)
    ran = run("purge", "id_rsa", "--yes")
    assert (ran.code, ran.rows) == (codes.INCOMPLETE, [["still_in", "abc", r"made by\033[31m another program"]])
    in_json = run("purge", "id_rsa", "--yes", "--json")
    assert (in_json.code, in_json.json["still_in"][0]["subject"]) == (codes.INCOMPLETE, "abc")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    drawn = run("purge", "id_rsa", "--yes")
    assert (drawn.code, b"NOT gone" in drawn.out, b"\x1b[31m another" in drawn.out) == (codes.INCOMPLETE, True, False)
