"""How the words of a command line are understood."""

import re
import shlex
import subprocess
import sys
from argparse import SUPPRESS
from pathlib import Path

import pytest

from commandline import damage
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.arguments import COMMANDS, EVERYWHERE, OPTIONS, parse
from hermes_checkpoints.testing.witness import difference, picture


def test_a_snapshot_is_found_by_number_by_id_and_by_its_beginning(run, workspace):
    whole = run("snapshot", "--json").json["id"]
    for ref in ("1", whole, whole[:10]):
        assert run("show", ref, "--json").json["id"] == whole


@pytest.mark.parametrize("command", [["show"], ["restore", "--yes"], ["diff"], ["export"], ["cat"]])
def test_an_unknown_id_has_its_own_exit_code(run, workspace, command, tmp_path):
    run("snapshot")
    more = {"export": [tmp_path / "target"], "cat": ["notes.txt"]}.get(command[0], [])
    ran = run(*command, "--json", "0123456789abcdef", *more)
    assert (ran.code, ran.json["error"]["kind"]) == (codes.NOT_FOUND, "SnapshotNotFound")
    assert ran.err.startswith("hermes-checkpoints: ")


@pytest.mark.parametrize("words", [["-x"], ["--", "-x"], ["--", "--yes"], ["-1"], [""]])
@pytest.mark.parametrize("command", ["show", "restore", "export"])
def test_an_id_that_begins_with_a_dash_is_a_usage_error_and_never_an_option(run, workspace, command, words):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    more = ["target"] if command == "export" else []
    ran = run(command, *words, *more)
    assert (ran.code, ran.out) == (codes.USAGE, b"")
    assert "usage: hermes-checkpoints" in ran.err
    assert difference(before, picture(workspace)) == []


def test_a_path_that_begins_with_a_dash_is_a_path_after_two_dashes(run, workspace):
    for name in ("-rf", "--json", "--"):
        (workspace / name).write_text(name)
    run("snapshot")
    for name in ("-rf", "--json", "--"):
        assert run("cat", "1", "--", name).out == name.encode()
    (workspace / "-rf").unlink()
    assert run("restore", "1", "--yes", "--path=-rf").code == 0
    assert (workspace / "-rf").read_text() == "-rf"


def test_options_may_stand_anywhere(run, workspace, tmp_path):
    store = tmp_path / "elsewhere"
    assert run("--store", store, "--json", "snapshot", workspace).json["outcome"] == "taken"
    for words in (
        ["list", workspace, f"--store={store}", "--json"],
        ["list", "--json", "--store", store, workspace],
        ["--json", "list", "--store", store, workspace],
        [f"--store={store}", "list", workspace, "--json"],
    ):
        assert len(run(*words).json["snapshots"]) == 1
    damage(workspace)
    assert run("restore", "1", "--yes", workspace, "--store", store, "--path", "notes.txt").code == 0
    assert (workspace / "notes.txt").read_text() == "first\n"
    assert not (workspace / "src" / "main.py").exists()


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["restore"],
        ["cat", "1"],
        ["list", "a", "b"],
        ["status", ".", "."],
        ["forget"],
        ["forget", "1", ""],
        ["forget", "1", "--dir", ""],
        ["forget", "1", "--", "-x"],
        ["pin", "1", "--label"],
        ["purge", "../x", "--yes"],
        ["purge", "", "--yes"],
        ["prune", "--max-size-mb", "-1"],
        ["prune", "--max-size-mb", "nan"],
        ["prune", "--retention-days", "1e99"],
        ["prune", "."],
        ["clear", "--yes"],
        ["restore", "1", "--ye"],
        ["restore", "1", ""],
        ["list", ""],
        ["--store", "", "list"],
        ["list", "--backend="],
        ["list", "--yes"],
        ["restore", "1", "--path", "../x"],
        ["restore", "1", "--path", "a//b"],
        ["restore", "1", "--path", ""],
        ["restore", "1", "--path", "/somewhere/else"],
    ],
)
def test_what_is_not_understood_is_a_usage_error_and_changes_nothing(run, workspace, words):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    told = run(*words, *(["--yes"] if "restore" in words else []))
    assert (told.code, told.out) == (codes.USAGE, b"")
    assert told.err.startswith("hermes-checkpoints: ")
    assert run("--json", *words).json["error"]["message"]
    assert difference(before, picture(workspace)) == []


def test_a_path_is_literal_and_no_pattern(run, workspace):
    names = ["a*", "ab", "[a]", "a", ":(glob)a"]
    for name in names:
        (workspace / name).write_text("old")
    run("snapshot")
    for name in names:
        (workspace / name).write_text("new")
    done = run("restore", "1", "--yes", "--json", "--path", "a*", "--path", "[a]", "--path", ":(glob)a").json
    assert sorted(done["written"]) == [":(glob)a", "[a]", "a*"]
    assert [(workspace / name).read_text() for name in names] == ["old", "new", "old", "new", "old"]


def test_an_absolute_path_inside_the_workspace_is_that_path(run, workspace, tmp_path):
    (tmp_path / "alias").symlink_to(workspace)
    run("snapshot")
    damage(workspace)
    for absolute in (workspace / "notes.txt", tmp_path / "alias" / "notes.txt"):
        plan = run("restore", "1", "--dry-run", "--json", "--path", absolute).json["plan"]
        assert (plan["write"], plan["delete"]) == (["notes.txt"], [])
    assert run("cat", "1", workspace / "link").code == codes.NOT_FOUND  # the link itself, not what it leads to
    assert run("restore", "1", "--yes", "--path", workspace).code == codes.USAGE


def test_a_directory_named_with_a_slash_at_the_end_is_the_directory(run, workspace):
    run("snapshot")
    damage(workspace)
    assert run("restore", "1", "--yes", "--json", "--path", "src/").json["written"] == ["src/main.py"]


def test_the_module_is_the_command(workspace):
    for module in ("hermes_checkpoints", "hermes_checkpoints.cli"):
        ran = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, timeout=60, check=True)
        assert re.fullmatch(rb"hermes-checkpoints \d+\.\d+\.\d+\S*\n", ran.stdout)


def test_help_names_every_command_option_and_exit_code(run):
    overview = run("--help").out.decode()
    assert all(name in overview for name in COMMANDS)
    assert all(meaning in overview for meaning in codes.MEANINGS.values())
    for name, command in COMMANDS.items():
        told = run(name, "--help").out.decode()
        offered = [option for option in command.options if OPTIONS[option]["help"] is not SUPPRESS]
        assert all(word in told for word in (*command.taken, *offered, *EVERYWHERE))


def test_the_page_about_the_command_line_leaves_nothing_out():
    page = (Path(__file__).parent.parent.parent / "docs" / "command-line.md").read_text()
    for word in (*COMMANDS, *OPTIONS, *EVERYWHERE):
        assert f"`{word}" in page or f" {word}" in page, word
    for code in codes.MEANINGS:
        assert f"| {code} |" in page


def test_every_command_that_the_pages_show_is_understood():
    root = Path(__file__).parent.parent.parent
    shown = "\n".join((root / page).read_text() for page in ("README.md", "docs/command-line.md"))
    lines = re.findall(r"^\$ hermes-checkpoints (.*?)(?:\s{2,}#.*)?$", shown, re.MULTILINE)
    assert {line.split()[0] for line in lines} >= {"status", "pin", "prune", "forget", "purge"}
    for line in lines:
        assert parse(shlex.split(line)).command == line.split()[0]
