"""The command line as a person and a script meet it."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from pathlib import Path
from typing import NamedTuple

import pytest

from hermes_checkpoints.cli import codes, demo, main
from hermes_checkpoints.cli.arguments import COMMANDS, EVERYWHERE, OPTIONS
from hermes_checkpoints.cli.screen import Screen, ago, iso, shown, size
from hermes_checkpoints.contract import AmbiguousId, StoreBusy
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Failure, Restored
from hermes_checkpoints.testing.witness import difference, picture

COMMAND = [sys.executable, "-m", "hermes_checkpoints"]


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def json(self):
        assert self.out.isascii()
        assert self.out.endswith(b"}\n")
        return json.loads(self.out)

    @property
    def rows(self):
        return [line.split("\t") for line in self.out.decode().splitlines()]


@pytest.fixture
def run(capfdbinary):
    """Runs the command in this process, as in a pipe."""

    def run(*words):
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capfdbinary.readouterr()
        return Ran(code, out, err.decode())

    return run


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A tree that the current directory is in."""
    workspace = tmp_path / "work"
    (workspace / "src").mkdir(parents=True)
    (workspace / "src" / "main.py").write_text("print('one')\n")
    (workspace / "notes.txt").write_text("first\n")
    (workspace / "link").symlink_to("notes.txt")
    monkeypatch.chdir(workspace)
    return workspace


def damage(workspace):
    (workspace / "notes.txt").write_text("second\n")
    (workspace / "src" / "main.py").unlink()
    (workspace / "new").write_text("new\n")


def in_a_process(*words, **options):
    return subprocess.run([*COMMAND, *map(os.fspath, words)], capture_output=True, timeout=60, **options)


def on_a_terminal(*words, typed=b"", interrupt=None, env=None):
    """Run the command on a pseudo-terminal; the exit code and all that the terminal got.

    ``typed`` is sent when a question stands there; ``interrupt`` is the signal sent instead.
    """
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"} | (env or {})
    process = subprocess.Popen(
        [*COMMAND, *words], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    got, answered = b"", False
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        got += piece
        if b"[y/N]" in got and not answered:
            answered = True
            if interrupt:
                time.sleep(0.2)
                process.send_signal(interrupt)
            else:
                os.write(master, typed)
    os.close(master)
    return process.wait(timeout=60), got


# Taking and listing


def test_an_unchanged_tree_is_not_an_error(run, workspace):
    taken, unchanged = run("snapshot", "-m", "first", "--json"), run("snapshot", "--json")
    assert (taken.code, unchanged.code) == (0, 0)
    assert taken.json["outcome"] == "taken"
    assert taken.json["workspace"] == str(workspace)
    assert (taken.json["files"], taken.json["left_out"]) == (3, [])
    assert unchanged.json["outcome"] == "unchanged"
    assert (unchanged.json["id"], unchanged.json["changed"]) == (taken.json["id"], 0)
    assert unchanged.json.keys() == {"outcome", "id", "workspace", "backend", "files", "changed", "left_out"}


def test_the_root_is_declined_with_its_own_exit_code_and_a_reason(run, workspace):
    declined = run("snapshot", "/", "--json")
    assert declined.code == codes.DECLINED
    assert (declined.json["outcome"], declined.json["id"], declined.json["backend"]) == ("declined", None, None)
    assert declined.json["reason"]
    in_words = run("snapshot", "/")
    assert (in_words.code, in_words.out) == (codes.DECLINED, b"")
    assert "declined /" in in_words.err


def test_what_was_left_out_is_told_by_snapshot_and_by_show(run, workspace):
    os.mkfifo("pipe")
    expected = [{"path": "pipe", "reason": "not a file, directory or symlink"}]
    assert run("snapshot", "--json").json["left_out"] == expected
    assert run("show", "1", "--json").json["left_out"] == expected
    assert ["left out", "pipe", "not a file, directory or symlink"] in run("show", "1").rows


def test_show_gives_the_figures_of_one_snapshot(run, workspace):
    taken = run("snapshot", "-m", "why", "--json").json
    told = run("show", "1", "--json").json
    assert told.items() >= {key: taken[key] for key in ("id", "workspace", "backend")}.items()
    assert (told["files"], told["links"], told["reason"]) == (2, 1, "why")
    assert told["directories"] >= 1
    assert told["size"] == len("print('one')\n") + len("first\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", told["created"])


def test_the_list_is_numbered_from_the_newest(run, workspace):
    first = run("snapshot", "-m", "first", "--json").json["id"]
    damage(workspace)
    second = run("snapshot", "-m", "second", "--json").json["id"]
    listed = run("list", "--json").json["snapshots"]
    assert [(one["number"], one["id"], one["reason"]) for one in listed] == [(1, second, "second"), (2, first, "first")]
    expected = {"id", "short_id", "created", "reason", "backend", "number", "files", "changed", "size", "workspace"}
    assert listed[0].keys() == expected
    assert [(row[0], row[1], row[-1]) for row in run("list").rows] == [("1", second, "second"), ("2", first, "first")]


def test_the_list_of_all_workspaces_numbers_each_by_itself(run, workspace, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("x")
    run("snapshot")
    run("snapshot", other)
    listed = run("list", "--all", "--json").json["snapshots"]
    assert {(one["workspace"], one["number"]) for one in listed} == {(str(workspace), 1), (str(other), 1)}


def test_a_workspace_without_snapshots_has_an_empty_list(run, workspace):
    listed = run("list", "--json")
    assert (listed.code, listed.json) == (0, {"snapshots": []})
    assert run("list").out == b""


def test_a_directory_inside_a_known_workspace_means_that_workspace(run, workspace, monkeypatch):
    taken = run("snapshot", "--json").json
    monkeypatch.chdir(workspace / "src")
    again = run("snapshot", "--json").json
    assert (again["outcome"], again["id"], again["workspace"]) == ("unchanged", taken["id"], str(workspace))


def test_a_current_directory_that_is_gone_is_told_and_is_not_a_traceback(run, workspace, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    ran = run("list")
    assert ran.code == codes.USAGE
    assert "current directory is gone" in ran.err


# Ids, paths and options


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
        ["status", "."],
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


# Restore, undo and redo


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
    assert done.json.keys() == {"restored_to", "safety", "written", "deleted", "kept", "failed"}
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


# Looking


def test_a_diff_is_bytes_in_any_encoding_and_git_applies_it(run, workspace, tmp_path):
    latin = "café\n".encode("latin-1")
    (workspace / "latin").write_bytes(latin)
    run("snapshot")
    shutil.copytree(workspace, tmp_path / "copy", symlinks=True)
    (workspace / "latin").write_bytes(latin * 2)
    damage(workspace)
    diff = run("diff")
    assert b"\n+caf\xe9\n" in diff.out
    subprocess.run(["git", "apply"], cwd=tmp_path / "copy", input=diff.out, check=True)
    assert difference(picture(workspace), picture(tmp_path / "copy")) == ["src: gone"]  # git keeps no empty directory
    assert run("diff", "--stat").rows == [
        ["1", "0", "latin"],
        ["1", "0", "new"],
        ["1", "1", "notes.txt"],
        ["0", "1", "src/main.py"],
    ]
    assert run("diff", "--stat", "--path", "notes.txt").rows == [["1", "1", "notes.txt"]]
    listed = run("diff", "--json").json["files"]
    assert listed[0].items() >= {"path": "latin", "added": 1, "removed": 0, "binary": False}.items()
    assert listed[0]["text"].encode("utf-8", "surrogateescape") in diff.out


def test_the_one_argument_of_diff_is_an_id_if_it_can_be_one_and_else_a_directory(run, workspace):
    run("snapshot")
    damage(workspace)
    (workspace / "cafe").mkdir()
    assert run("diff", "1").out == run("diff", workspace).out == run("diff", "1", workspace).out != b""
    assert run("diff", "cafe").code == codes.NOT_FOUND
    assert run("diff", "./cafe").code == codes.NOT_FOUND  # a directory, and without snapshots
    assert run("diff", "./cafe").err != run("diff", "cafe").err


def test_cat_gives_back_every_byte(run, workspace):
    content = bytes(range(256)) * 5000
    (workspace / "bytes").write_bytes(content)
    run("snapshot")
    (workspace / "bytes").unlink()
    assert run("cat", "1", "bytes").out == content
    told = run("cat", "1", "bytes", "--json").json
    assert (b64decode(told["content_base64"]), told["size"]) == (content, len(content))
    missing = run("cat", "1", "nothing", "--json")
    assert (missing.code, missing.json["error"]["kind"]) == (codes.NOT_FOUND, "PathNotFound")


def test_an_export_is_the_tree_and_never_overwrites(run, workspace, tmp_path):
    original = picture(workspace)
    run("snapshot")
    damage(workspace)
    target = tmp_path / "target"
    done = run("export", "1", target, "--json")
    assert (done.code, done.json["failed"], done.json["target"]) == (0, [], str(target))
    assert difference(original, picture(target)) == []
    assert run("export", "1", target).code == codes.FAILED


def test_backends_says_which_one_is_chosen_and_why(run, workspace):
    told = run("backends", "--json").json
    assert told["chosen"] in {one["name"] for one in told["backends"] if one["usable"]}
    assert told["why"]
    assert all(one.keys() == {"name", "distribution", "usable", "why", "error"} for one in told["backends"])
    assert [row[1] for row in run("backends").rows if row[0] == "*"] == [told["chosen"]]


def test_an_unknown_backend_is_an_error_that_lists_what_is_installed(run, workspace):
    installed = [one["name"] for one in run("backends", "--json").json["backends"]]
    ran = run("snapshot", "--backend", "floppy", "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (codes.FAILED, "UnknownBackend")
    assert all(name in ran.err for name in installed)


def test_status_knows_the_workspaces_and_what_the_store_takes_up(run, workspace, clean_environment):
    taken = run("snapshot", "--json").json
    told = run("status", "--json").json
    assert told["store"] == str(clean_environment / ".hermes" / "checkpoints")
    assert told["usage"][taken["backend"]].keys() == {"apparent", "real"}
    [known] = told["workspaces"]
    assert (known["workspace"], known["exists"], known["snapshots"]) == (str(workspace), True, 1)
    assert ["store", told["store"]] in run("status").rows


# Names


ODD = [
    b"caf\xe9",
    b"\xff\xfe",
    "漢字".encode(),
    b"new\nline",
    b"esc\x1b[31m",
    b"[bold]x",
    b'"quoted"',
    b"back\\slash",
]


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
        assert b"[bold]x" in out
        assert b'"esc\\033[31m"' in out
        assert b'"new\\nline"' in out
        assert b'"\\377\\376"' in out
        assert "漢字".encode() in out


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


# A terminal, and its absence


def test_on_a_terminal_no_is_the_answer_unless_somebody_says_yes(run, workspace):
    run("snapshot", "-m", "the good state")
    original = picture(workspace)
    damage(workspace)
    damaged = picture(workspace)
    for typed in (b"n\n", b"\n", b"\x04"):
        code, drawn = on_a_terminal("restore", "1", typed=typed)
        assert code == codes.UNCONFIRMED
        assert b"Restore? [y/N]" in drawn
        assert b"the good state" in drawn
        assert b"Nothing was changed" in drawn
        assert difference(damaged, picture(workspace)) == []
    code, drawn = on_a_terminal("restore", "1", typed=b"y\n")
    assert code == 0
    assert b"hermes-checkpoints undo" in drawn
    assert difference(original, picture(workspace)) == []


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


def test_a_long_plan_is_cut_on_a_terminal_and_whole_in_a_pipe(run, workspace):
    run("snapshot")
    for number in range(100):
        (workspace / f"file-{number}").write_text("x")
    assert len(run("restore", "1", "--dry-run").rows) == 100
    code, drawn = on_a_terminal("restore", "1", "--dry-run")
    assert code == 0
    assert drawn.count(b"file-") == 40
    assert b"and 60 more" in drawn


def test_every_command_draws_on_a_terminal(run, workspace):
    run("snapshot", "-m", "[red]reason")
    damage(workspace)
    for words, expected in (
        (["list"], b"[red]reason"),
        (["list", "--all"], str(workspace).encode()),
        (["show", "1"], b"[red]reason"),
        (["diff", "--stat"], b"notes.txt"),
        (["backends"], b"chosen"),
        (["status"], str(workspace).encode()),
        (["snapshot"], b"taken"),
    ):
        code, drawn = on_a_terminal(*words, env={"NO_COLOR": "1", "COLUMNS": "400"})
        assert code == 0, drawn
        assert expected in drawn


def test_control_c_at_the_question_changes_nothing_and_is_no_traceback(run, workspace):
    run("snapshot")
    damage(workspace)
    before = picture(workspace)
    code, drawn = on_a_terminal("restore", "1", interrupt=signal.SIGINT)
    assert code == codes.INTERRUPTED
    assert b"Traceback" not in drawn
    assert b"interrupted; no file is half written" in drawn
    assert difference(before, picture(workspace)) == []


def test_a_reader_that_goes_away_is_no_traceback(workspace, run):
    (workspace / "big").write_bytes(b"x" * 5_000_000)
    run("snapshot")
    process = subprocess.Popen([*COMMAND, "cat", "1", "big"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), complaint) == (codes.BROKEN_PIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_could_not_be_written_is_not_called_success(run, workspace):
    run("snapshot")
    with open("/dev/full", "wb") as full:
        process = subprocess.run([*COMMAND, "cat", "1", "notes.txt"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert process.returncode == codes.FAILED
    assert b"Traceback" not in process.stderr
    assert b"No space left" in process.stderr


def test_a_hook_pays_for_nothing_it_does_not_use(run, workspace):
    run("snapshot")
    program = (
        "import sys; from hermes_checkpoints.cli import main; assert main(['snapshot']) == 0;"
        "print([name for name in ('rich', 'json', 'difflib', 'datetime') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[-1] == b"[]"


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
        assert all(word in told for word in (*command.required, *command.optional, *command.options, *EVERYWHERE))


def test_the_page_about_the_command_line_leaves_nothing_out():
    page = (Path(__file__).parent.parent / "docs" / "command-line.md").read_text()
    for word in (*COMMANDS, *OPTIONS, *EVERYWHERE):
        assert f"`{word}" in page or f" {word}" in page, word
    for code in codes.MEANINGS:
        assert f"| {code} |" in page


# Figures


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


# The demonstration


def test_the_demonstration_proves_that_everything_is_back(workspace, capfdbinary):
    for number in range(12):
        (workspace / "src" / f"{number}.txt").write_text(f"{number}\n")
    before = picture(workspace.parent)
    assert demo.main([str(workspace)]) == 0
    told = capfdbinary.readouterr().out
    assert b"Proved" in told
    assert b"is chosen" in told
    assert difference(before, picture(workspace.parent)) == []  # nothing of it stays behind


def test_the_demonstration_fails_when_the_tree_is_not_back(workspace, monkeypatch, capfdbinary):
    def only_claims(engine, workspace, ref, *_, **__):
        snapshot = engine.find(workspace, ref)
        return Restored(snapshot, snapshot)

    monkeypatch.setattr(Engine, "restore", only_claims)
    assert demo.main([str(workspace)]) == 1
    assert b"NOT back" in capfdbinary.readouterr().out
