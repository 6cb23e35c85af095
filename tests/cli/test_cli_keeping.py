"""``pin``, ``unpin``, ``forget`` and labels."""

import json
import os

import pytest

from commandline import add_snapshots, ids, in_a_process, on_a_terminal
from hermes_checkpoints.cli import codes


def labels(run, *words):
    return [one["label"] for one in run("list", *words, "--json").json["snapshots"]]


def test_a_label_pins_what_is_taken_and_what_is_unchanged(run, workspace):
    taken = run("snapshot", "--label", "good", "--json").json
    assert (taken["outcome"], taken["label"]) == ("taken", "good")
    again = run("snapshot", "--label", "better", "--json").json
    assert (again["outcome"], again["id"], again["label"]) == ("unchanged", taken["id"], "better")
    assert labels(run) == ["better"]
    assert "label" not in run("snapshot", "--json").json


def test_a_declined_directory_is_not_labelled(run, workspace):
    assert run("snapshot", "/", "--label", "x").code == codes.DECLINED


def test_the_list_shows_labels_and_tells_an_empty_one_from_none(run, workspace):
    add_snapshots(run, workspace, 3)
    assert run("pin", "1").code == 0
    assert run("pin", "3", "--label", "first").code == 0
    assert labels(run) == ["", None, "first"]
    assert [row[-1] for row in run("list").rows] == ["pinned", "", "first"]
    drawn = on_a_terminal("list", env={"NO_COLOR": "1", "COLUMNS": "400"})[1]
    assert b"pinned" in drawn
    assert b"first" in drawn


def test_pinning_again_keeps_the_label_unless_another_is_given(run, workspace):
    [one] = add_snapshots(run, workspace, 1)
    assert run("pin", one, "--label", "a").rows == [["pinned", one, "a"]]
    assert run("pin", "1", "--json").json.items() >= {"outcome": "pinned", "id": one, "label": "a"}.items()
    assert run("pin", "1", "--label", "b", "--json").json["label"] == "b"
    assert run("pin", "1", "--label", "", "--json").json["label"] == ""


def test_a_pinned_snapshot_outlives_the_limits_and_goes_with_the_others_once_unpinned(
    run, workspace, clean_environment
):
    (pinned,) = add_snapshots(run, workspace, 1)
    run("pin", pinned)
    config = clean_environment / ".hermes" / "checkpoints" / "store" / "config.toml"
    config.write_text("max_snapshots = 2\n")
    add_snapshots(run, workspace, 4)
    assert pinned in ids(run)
    assert run("unpin", pinned).rows == [["unpinned", pinned]]
    assert run("unpin", pinned, "--json").json["outcome"] == "not_pinned"
    add_snapshots(run, workspace, 1)
    assert pinned not in ids(run)


@pytest.mark.parametrize("command", [["pin"], ["unpin"], ["forget"]])
def test_an_unknown_id_has_its_own_exit_code_and_changes_nothing(run, workspace, command):
    add_snapshots(run, workspace, 2)
    before = run("list").out
    more = ["1"] if command == ["forget"] else []  # a good one before it does not go either
    ran = run(*command, *more, "0123456789abcdef", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (codes.NOT_FOUND, "SnapshotNotFound")
    assert run("list").out == before


def test_numbers_are_found_before_anything_is_forgotten_and_one_given_twice_counts_once(run, workspace):
    first, second, third, fourth = add_snapshots(run, workspace, 4)
    gone = run("forget", "1", "3", "1", fourth[:12], "--json").json
    assert gone["workspace"] == str(workspace)
    assert [one["id"] for one in gone["forgotten"]] == [fourth, second]
    assert ids(run) == [third, first]
    assert [row[:2] for row in run("forget", "2").rows] == [["forgotten", first]]
    assert ids(run) == [third]


def test_a_pinned_snapshot_is_not_forgotten_nor_is_what_was_named_with_it(run, workspace):
    add_snapshots(run, workspace, 3)
    run("pin", "2", "--label", "keep")
    before = ids(run)
    ran = run("forget", "1", "2")
    assert ran.code == codes.FAILED
    assert "pinned" in ran.err
    assert ids(run) == before


def test_the_workspace_of_forget_is_named_by_an_option(run, workspace, tmp_path, monkeypatch):
    newest = add_snapshots(run, workspace, 2)[-1]
    monkeypatch.chdir(tmp_path)
    assert run("forget", "1").code == codes.NOT_FOUND
    assert run("forget", "1", "--dir", workspace).rows[0][1] == newest
    code, drawn = on_a_terminal("forget", "1", "--dir", workspace)
    assert code == 0
    assert b"gone for good" in drawn
    assert b"turn 0" in drawn
    assert ids(run, workspace) == []


def test_labels_and_reasons_cannot_act_on_a_terminal_nor_break_a_line(run, workspace):
    hostile = "x\x1b[31m\ty\n"
    run("snapshot", "-m", hostile, "--label", hostile)
    assert len(run("list").rows) == 1
    assert len(run("list").rows[0]) == 10
    outputs = [run("list").out, on_a_terminal("list")[1], on_a_terminal("pin", "1")[1], run("pin", "1").out]
    run("unpin", "1")
    outputs.append(on_a_terminal("forget", "1")[1])
    for out in outputs:
        assert b"x\x1b[31m" not in out
        assert rb"x\033[31m" in out


def test_a_label_is_the_same_in_a_locale_that_knows_ascii_only(run, workspace):
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    there = in_a_process("snapshot", "--label", "geprüft", "-m", "für", "--json", env=ascii_only)
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout)["label"] == "geprüft"
    assert labels(run) == ["geprüft"]
    run("pin", "1", "--label", "漢字")
    listed = in_a_process("list", "--json", env=ascii_only)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["snapshots"][0].items() >= {"label": "漢字", "reason": "für"}.items()
    assert in_a_process("list", env=ascii_only).returncode == 0
