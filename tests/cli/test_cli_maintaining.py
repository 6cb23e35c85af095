"""``maintain``, at hand and in the background."""

import sys

from commandline import add_snapshots, ids, on_a_terminal
from hermes_checkpoints.cli import codes
from hermes_checkpoints.contract import StoreBusy
from hermes_checkpoints.results import Reclaimed
from hermes_checkpoints.upkeep.upkeep import Upkeep

WIDE = {"NO_COLOR": "1", "COLUMNS": "400"}


def test_maintain_gives_back_the_space_of_what_was_forgotten(run, workspace):
    add_snapshots(run, workspace, 4, size=500_000)
    run("forget", "1", "2", "3")
    before = run("status", "--json").json["real"]
    done = run("maintain", "--json")
    assert (done.code, done.json["complete"], done.json["troubles"]) == (0, True, [])
    assert before - run("status", "--json").json["real"] > 1_400_000
    assert done.json["before"] - done.json["after"] > 1_400_000
    assert run("maintain").rows[0][0] == "reclaimed"
    code, drawn = on_a_terminal("maintain")
    assert (code, b"after" in drawn) == (0, True)


def test_maintain_comes_down_to_the_budget_and_tells_what_nobody_expects(run, workspace, other, base):
    add_snapshots(run, workspace, 2)
    (base / "store" / "config.toml").write_text("max_total_size_mb = 0.3\n")
    done = run("maintain")
    assert done.code == 0
    assert f"{other} lost " in done.err
    assert len(ids(run)) == 1
    assert ids(run, other) == []


def test_what_maintain_forgets_for_room_is_counted(run, workspace, base):
    add_snapshots(run, workspace, 4, size=250_000)
    (base / "store" / "config.toml").write_text("max_total_size_mb = 1.2\n")
    assert run("maintain", "--json").json["forgotten"] == 0, "it is within its budget"
    (base / "store" / "config.toml").write_text("max_total_size_mb = 0.9\n")
    done = run("maintain", "--json").json
    assert done["forgotten"] == 4 - len(ids(run)) > 0
    lately = run("status", "--json").json["forgotten"]
    assert sum(len(one["snapshots"]) for one in lately) == done["forgotten"]
    assert run("maintain", "--json").json["forgotten"] == 0


def test_what_the_engine_warns_of_is_harmless_on_a_terminal(run, workspace, tmp_path, base):
    hostile = tmp_path / "esc\x1b[31m\nred"
    hostile.mkdir()
    add_snapshots(run, hostile, 1)
    add_snapshots(run, workspace, 1)
    (base / "store" / "config.toml").write_text("max_total_size_mb = 0.1\n")
    drawn = on_a_terminal("maintain", env=WIDE)[1]
    assert rb"esc\033[31m\nred lost " in drawn
    assert b"\x1b[31m" not in drawn


def test_a_busy_store_has_its_own_exit_code(run, workspace, base, monkeypatch):
    def busy(upkeep, seconds=None, *, background=False):
        raise StoreBusy("somebody is at work")

    monkeypatch.setattr(Upkeep, "maintain", busy)
    assert run("maintain", "--json").json["error"]["kind"] == "StoreBusy"
    assert run("maintain").code == codes.BUSY


def test_what_could_not_be_given_back_is_told_and_has_its_own_exit_code(run, workspace, monkeypatch):
    left = Reclaimed(3, 2, complete=False, troubles=("part\x1b[31m: it is damaged",))
    monkeypatch.setattr(Upkeep, "maintain", lambda upkeep: left)
    ran = run("maintain")
    assert (ran.code, ran.rows) == (
        codes.INCOMPLETE,
        [["trouble", r"part\033[31m: it is damaged"], ["reclaimed", "3", "2", "incomplete"]],
    )
    in_json = run("maintain", "--json")
    assert (in_json.code, in_json.json["complete"]) == (codes.INCOMPLETE, False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    drawn = run("maintain").out
    assert (b"goes on" in drawn, b"\x1b[31m: it" in drawn) == (True, False)
