"""File names, sizes and times, in JSON and on a screen."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from commandline import in_a_process, on_a_terminal
from hermes_checkpoints.wording import ago, iso, shown, size

# What each is shown as. APFS refuses names that are not UTF-8.
SHOWN = {
    b"caf\xe9": rb'"caf\351"',
    b"\xff\xfe": rb'"\377\376"',
    "漢字".encode(): "漢字".encode(),
    b"new\nline": rb'"new\nline"',
    b"esc\x1b[31m": rb'"esc\033[31m"',
    b"[bold]x": b"[bold]x",
    b'"quoted"': rb'"\"quoted\""',
    b"back\\slash": rb'"back\\slash"',
}
ODD = [name for name in SHOWN if sys.platform != "darwin" or name not in (b"caf\xe9", b"\xff\xfe")]


def make_odd(workspace):
    for name in ODD:
        Path(os.fsdecode(os.path.join(os.fsencode(workspace), name))).write_text("x")


def test_names_that_are_not_utf8_survive_json_and_back(run, workspace):
    run("snapshot")
    make_odd(workspace)
    plan = run("restore", "1", "--dry-run", "--json").json["plan"]
    assert {os.fsencode(path) for path in plan["delete"]} == set(ODD)
    assert run("restore", "1", "--yes", "--json", *(f"--path={path}" for path in plan["delete"][:3])).code == 0
    assert len(set(os.listdir(os.fsencode(workspace))) & set(ODD)) == len(ODD) - 3


def test_json_is_the_same_in_a_locale_that_knows_ascii_only(run, workspace):
    run("snapshot")
    make_odd(workspace)
    here = run("restore", "1", "--dry-run", "--json").out
    ascii_only = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    there = in_a_process("restore", "1", "--dry-run", "--json", env=ascii_only)
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(here)


def test_a_name_cannot_act_on_the_terminal_nor_break_a_line(run, workspace):
    run("snapshot")
    make_odd(workspace)
    piped = run("restore", "1", "--dry-run")
    assert len(piped.rows) == len(ODD)
    code, drawn = on_a_terminal("restore", "1", "--dry-run", env={"NO_COLOR": "1"})
    assert code == 0
    for out in (piped.out, drawn):
        assert b"\x1b[31m" not in out
        assert [SHOWN[name] for name in ODD if SHOWN[name] not in out] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain name", "plain name"),
        ("", "."),
        ('say "x"', 'say "x"'),
        ('"x"', '"\\"x\\""'),
        ("a\\b", '"a\\\\b"'),
        ("\u202egpj.exe", '"\\342\\200\\256gpj.exe"'),
        ("\udcff", '"\\377"'),
        ("a\tb", '"a\\tb"'),
    ],
)
def test_names_are_shown_so_that_two_never_look_alike(name, expected):
    assert shown(name) == expected


def test_sizes_and_ages_are_told_in_the_unit_that_fits():
    assert [size(count) for count in (0, 999, 1000, 999_949, 999_950, 10**9, 10**18)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.0 GB", "1000.0 PB"
    ]  # fmt: skip
    assert [ago(seconds) for seconds in (-5, 0, 59.9, 60, 3599, 3600, 86400 * 3)] == [
        "in the future", "0 s ago", "59 s ago", "1 min ago", "59 min ago", "1 h ago", "3 d ago"
    ]  # fmt: skip


def test_times_carry_their_offset(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert iso(1_700_000_000_123_456_789) == "2023-11-15T03:58:20.123+05:45"
    finally:
        monkeypatch.undo()
        time.tzset()
