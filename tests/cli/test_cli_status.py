"""``status``: what the store takes, and what gives how much of it back."""

import os
import re
import shutil

import pytest

from commandline import add_snapshots, ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.status import CELLS


@pytest.fixture
def other(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("x")
    return other


def test_an_empty_store_has_a_status(run, workspace, base):
    told = run("status", "--json")
    assert (told.code, told.json["real"], told.json["workspaces"]) == (0, 0, [])
    assert run("status").rows == [["store", str(base)], ["beside", "0"], ["budget", "0", str(500 << 20)]]
    code, drawn = on_a_terminal("status")
    assert code == 0
    assert b"0%" in drawn


def test_status_knows_the_workspaces_and_what_the_store_takes_up(run, workspace, base):
    newest = add_snapshots(run, workspace, 2)[-1]
    told = run("status", "--json").json
    assert told["store"] == str(base)
    backend = run("list", "--json").json["snapshots"][0]["backend"]
    assert told["usage"][backend].keys() == {"apparent", "real"}
    assert told["real"] == sum(used["real"] for used in told["usage"].values()) + told["beside"] > 400_000
    assert told["budget"] == {"used": told["real"], "limit": 500 << 20, "share": told["real"] / (500 << 20)}
    assert told["limits"].items() >= {"max_snapshots": 20, "max_total_size": 500 << 20, "retention_days": 7}.items()
    [known] = told["workspaces"]
    assert (known["workspace"], known["exists"], known["standing"]) == (str(workspace), True, "live")
    assert (known["snapshots"], [one["number"] for one in known["held"]]) == (2, [1, 2])
    assert known["held"][0].items() >= {"id": newest, "label": None, "reason": "turn 1"}.items()
    # The newest alone holds its own file; forgetting both gives back both.
    assert known["held"][0]["gives_back"] >= 200_000
    assert known["gives_back"] >= 400_000
    assert sum(one["gives_back"] for one in known["held"]) <= known["gives_back"]


def test_what_forgetting_gives_back_is_what_comes_back(run, workspace):
    add_snapshots(run, workspace, 3, size=500_000)
    run("maintain")
    before = run("status", "--json").json
    run("forget", "1")
    run("maintain")
    came_back = before["real"] - run("status", "--json").json["real"]
    assert came_back == pytest.approx(before["workspaces"][0]["held"][0]["gives_back"], rel=0.05)


def test_a_directory_asks_for_the_snapshots_of_one_workspace(run, workspace, other):
    add_snapshots(run, workspace, 2)
    run("snapshot", other)
    run("pin", "2", "--label", "before the merge")
    assert [row[0] for row in run("status").rows].count("workspace") == 2
    assert not [row for row in run("status").rows if row[0] == "snapshot"]
    one = run("status", workspace)
    [of_it] = [row for row in one.rows if row[0] == "workspace"]
    assert (of_it[1], of_it[2], of_it[3]) == (str(workspace), "live", "2")
    listed = [row for row in one.rows if row[0] == "snapshot"]
    assert [row[2] for row in listed] == ids(run)
    assert [row[-1] for row in listed] == ["", "before the merge"]
    assert [known["workspace"] for known in run("status", other, "--json").json["workspaces"]] == [str(other)]
    code, drawn = on_a_terminal("status", workspace, env={"NO_COLOR": "1", "COLUMNS": "400"})
    assert code == 0
    assert b"before the merge" in drawn
    assert str(other).encode() not in drawn


def test_the_status_of_an_unknown_directory_has_its_own_exit_code(run, workspace, other):
    run("snapshot")
    told = run("status", other, "--json")
    assert (told.code, told.json["error"]["kind"]) == (codes.NOT_FOUND, "SnapshotNotFound")


def test_a_workspace_that_is_gone_is_called_gone_and_can_still_be_asked_about(run, workspace, other):
    run("snapshot", other)
    shutil.rmtree(other)
    [known] = run("status", other, "--json").json["workspaces"]
    assert (known["exists"], known["standing"], known["snapshots"]) == (False, "gone", 1)
    assert [row[2] for row in run("status").rows if row[0] == "workspace"] == ["gone"]


def test_a_workspace_out_of_sight_is_not_called_gone(run, workspace, tmp_path):
    inner = tmp_path / "volume" / "project"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    run("snapshot", inner)
    (tmp_path / "volume").rename(tmp_path / "elsewhere")
    assert [row[2] for row in run("status").rows if row[0] == "workspace"] == ["away"]


@pytest.mark.parametrize(("megabytes", "filled"), [(1, CELLS), (0.5, CELLS), (1000, 0), (0, None)])
def test_the_bar_is_for_a_terminal_only_and_never_longer_than_the_budget(run, workspace, base, megabytes, filled):
    add_snapshots(run, workspace, 1, size=2_000_000)
    (base / "store" / "config.toml").write_text(f"max_total_size_mb = {megabytes}\n")
    code, drawn = on_a_terminal("status", env={"NO_COLOR": "1"})
    assert code == 0
    bar = re.search(rb"\[(#*)\.*\] +\d+%", drawn)
    if filled is None:
        assert bar is None
        assert b"no limit" in drawn
    else:
        assert len(bar[1]) == filled
    assert b"#" not in run("status").out
    assert run("status", "--json").json["budget"]["limit"] == int(megabytes * (1 << 20))


def test_archives_of_old_checkpoints_are_shown_and_count(run, workspace, base):
    run("snapshot")
    archive = base / "legacy-20250131-093000"
    archive.mkdir()
    (archive / "pack").write_bytes(os.urandom(300_000))
    told = run("status", "--json").json
    [listed] = told["archives"]
    assert listed["path"] == str(archive)
    assert listed["size"] >= 300_000
    assert told["real"] == sum(used["real"] for used in told["usage"].values()) + told["beside"] + listed["size"]
    assert [row[1] for row in run("status").rows if row[0] == "archive"] == [str(archive)]
    assert archive.name.encode() in on_a_terminal("status")[1]


def test_what_was_forgotten_for_room_is_told_and_loud_ones_stand_first(run, workspace, other):
    add_snapshots(run, other, 1)
    [oldest, _] = add_snapshots(run, workspace, 2)
    assert run("prune", "--yes", "--max-size-mb", "0.01").code == 0
    forgotten = run("status", "--json").json["forgotten"]
    assert {tuple(one["snapshots"]): one["loud"] for one in forgotten}[(oldest,)] is False
    [loud] = [one for one in forgotten if one["loud"]]
    assert (loud["subject"], "last one of its workspace" in loud["reason"]) == (str(other), True)
    assert ["loud" in row for row in run("status").rows if row[0] == "forgotten"].count(True) == 1
    code, drawn = on_a_terminal("status", env={"NO_COLOR": "1", "COLUMNS": "400"})
    assert code == 0
    assert drawn.index(b"last one of its workspace") < drawn.index(b"the oldest of the workspace")


def test_a_name_cannot_act_on_the_terminal_nor_break_a_line(run, workspace, tmp_path, monkeypatch):
    hostile = tmp_path / "esc\x1b[31m\nred"
    hostile.mkdir()
    (hostile / "file").write_text("x")
    store = tmp_path / "st\x1b[32more"
    run("snapshot", hostile, "--store", store, "-m", "why\x1b[33m\n", "--label", "label\x1b[34m\n")
    piped = run("status", hostile, "--store", store)
    code, drawn = on_a_terminal("status", hostile, "--store", store, env={"NO_COLOR": "1", "COLUMNS": "400"})
    assert code == 0
    for out in (piped.out, drawn):
        for colour in (31, 32, 33, 34):
            assert b"\x1b[%dm" % colour not in out
            assert rb"\033[%dm" % colour in out
    assert [row[0] for row in piped.rows][-2:] == ["workspace", "snapshot"]
    [known] = run("status", "--store", store, "--json").json["workspaces"]
    assert (known["workspace"], known["held"][0]["label"]) == (str(hostile), "label\x1b[34m\n")
