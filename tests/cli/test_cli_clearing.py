"""``clear`` and ``clear-legacy``."""

import os

import pytest

from commandline import add_snapshots, ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen

WIDE = {"NO_COLOR": "1", "COLUMNS": "400"}


@pytest.fixture
def archive(base):
    archive = base / "legacy-20250131-093000"
    archive.mkdir(parents=True)
    base.chmod(0o700)
    (archive / "pack").write_bytes(os.urandom(300_000))
    return archive


@pytest.mark.parametrize("command", ["clear", "clear-legacy"])
def test_without_a_terminal_and_without_f_nothing_is_removed_and_what_would_go_is_printed(
    run, workspace, archive, command
):
    add_snapshots(run, workspace, 2)
    asked = run(command, "--json")
    assert (asked.code, asked.json["confirmed"], asked.json["archives"]) == (codes.UNCONFIRMED, False, 1)
    assert asked.json["size"] >= 300_000
    in_words = run(command)
    assert (in_words.code, "-f does it" in in_words.err) == (codes.UNCONFIRMED, True)
    assert [command.removesuffix("-legacy"), "archives", "1"] in in_words.rows
    assert len(ids(run)) == 2
    assert archive.exists()


@pytest.mark.parametrize("command", ["clear", "clear-legacy"])
def test_on_a_terminal_no_is_the_answer_unless_somebody_says_yes(run, workspace, archive, command):
    add_snapshots(run, workspace, 2)
    for typed in (b"n\n", b"\n", b"\x04"):
        code, drawn = on_a_terminal(command, typed=typed, env=WIDE)
        assert (code, b"Nothing was changed" in drawn, b"1 archive" in drawn) == (codes.UNCONFIRMED, True, True)
    assert archive.exists()
    assert len(ids(run)) == 2
    code, drawn = on_a_terminal(command, typed=b"y\n", env=WIDE)
    assert (code, b"removed" in drawn) == (0, True)
    assert not archive.exists()
    assert len(ids(run)) == (0 if command == "clear" else 2)


def test_a_damaged_store_can_be_cleared(run, workspace, base):
    add_snapshots(run, workspace, 1)
    run("snapshot", workspace, "--backend", "cow", "--label", "cow")
    (header,) = (base / "store" / "cow" / "snapshots").glob("*/*")
    header.write_bytes(b"damaged")
    told = run("status")
    assert (told.code, "passed over" in told.err) == (0, True)
    asked = run("clear", "--json")
    assert (asked.code, asked.json["snapshots"]) == (codes.UNCONFIRMED, 1)
    assert run("clear", "-f").code == 0
    assert run("status", "--json").json["workspaces"] == []


def test_clear_says_how_much_goes_and_leaves_an_empty_store_that_works(run, workspace, base, archive):
    add_snapshots(run, workspace, 2)
    (base / "store" / "config.toml").write_text("max_snapshots = 3\n")
    run("pin", "1")
    told = run("status", "--json").json["real"]
    done = run("clear", "-f", "--json")
    assert done.code == 0
    assert done.json == {
        "cleared": True,
        "store": str(base),
        "workspaces": 1,
        "snapshots": 2,
        "pinned": 1,
        "archives": 1,
        "size": told,
    }
    assert ids(run, "--all") == []
    after = run("status", "--json").json
    assert (after["real"], after["workspaces"], after["archives"]) == (0, [], [])
    assert after["limits"]["max_snapshots"] == 3  # the configuration stays
    assert run("snapshot").code == 0
    assert len(ids(run)) == 1


def test_clearing_an_empty_store_is_no_error(run, workspace):
    assert run("clear", "-f", "--json").json.items() >= {"cleared": True, "snapshots": 0, "size": 0}.items()
    assert run("clear-legacy", "-f").rows == [["cleared", "archives", "0"], ["cleared", "size", "0"]]


def test_clear_legacy_touches_nothing_but_archives(run, workspace, base, archive, tmp_path):
    add_snapshots(run, workspace, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("mine")
    (base / "legacy-link").symlink_to(elsewhere)
    (base / "legacy-file").write_text("no archive")
    assert run("clear-legacy", "-f", "--json").json.items() >= {"cleared": True, "archives": 1}.items()
    assert (elsewhere / "file").read_text() == "mine"
    assert sorted(os.listdir(base)) == ["legacy-file", "legacy-link", "store"]
    assert len(ids(run)) == 1


def test_an_interrupted_clear_is_finished_by_the_next_one(run, workspace, monkeypatch):
    add_snapshots(run, workspace, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Screen, "progress", _interrupt)
        stopped = run("clear", "-f")
    assert (stopped.code, "repeat the command" in stopped.err) == (codes.INTERRUPTED, True)
    assert run("clear", "-f").code == 0
    assert run("status", "--json").json["real"] == 0
    assert ids(run, "--all") == []


def _interrupt(screen, done):
    raise KeyboardInterrupt
