"""``snapshot``, ``list``, ``show`` and the rest that only looks."""

import os
import re
import shutil
import subprocess
from base64 import b64decode

from commandline import damage
from hermes_checkpoints.cli import codes
from hermes_checkpoints.testing.witness import difference, picture


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
    assert listed[0].keys() == expected | {"label"}
    assert [(row[0], row[1], row[-2]) for row in run("list").rows] == [("1", second, "second"), ("2", first, "first")]


def test_that_a_last_snapshot_went_for_room_is_told_once(run, workspace, other, base):
    run("snapshot", workspace)
    (base / "store" / "config.toml").write_text("max_total_size_mb = 0.4\n")
    (workspace / "file").write_bytes(os.urandom(250_000))
    ran = run("snapshot", workspace)
    assert ran.code == 0
    (told,) = ran.err.splitlines()
    assert told.startswith(f"hermes-checkpoints: {other} lost ")
    assert "the last one of its workspace" in told


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
    assert difference(picture(workspace), picture(tmp_path / "copy")) == ["'src': gone"]  # git keeps no empty directory
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
