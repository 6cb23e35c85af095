"""What Hermes calls, of both generations, is there, means the same, and answers what Hermes can read."""

import inspect
import json
import subprocess
import sys

import pytest

from hermes_checkpoints import hermes


def parameters(function):
    return {name: p.default for name, p in inspect.signature(function).parameters.items() if name != "self"}


EMPTY = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "CheckpointManager",
            {"enabled": False, "max_snapshots": 20, "max_total_size_mb": 500, "max_file_size_mb": 10},
        ),
        ("CheckpointManager.ensure_checkpoint", {"working_dir": EMPTY, "reason": "auto"}),
        ("CheckpointManager.new_turn", {}),
        ("CheckpointManager.list_checkpoints", {"working_dir": EMPTY}),
        ("CheckpointManager.diff", {"working_dir": EMPTY, "commit_hash": EMPTY}),
        ("CheckpointManager.restore", {"working_dir": EMPTY, "commit_hash": EMPTY, "file_path": None, "safe": True}),
        ("CheckpointManager.get_working_dir_for_path", {"file_path": EMPTY}),
        ("CheckpointManager.record_agent_write", {"path": EMPTY}),
        ("CheckpointManager.session_diff", {"working_dir": EMPTY}),
        ("CheckpointManager.list_all_checkpoints", {}),
        ("format_checkpoint_list", {"checkpoints": EMPTY, "directory": EMPTY}),
        ("clear_all", {"checkpoint_base": None}),
        ("clear_legacy", {"checkpoint_base": None}),
        ("store_status", {"checkpoint_base": None}),
    ],
)
def test_every_call_of_hermes_is_taken_as_it_is_made(name, expected):
    called = hermes
    for part in name.split("."):
        called = getattr(called, part)
    assert parameters(called) == expected


@pytest.mark.parametrize("name", ["prune_checkpoints", "maybe_auto_prune_checkpoints"])
def test_maintenance_takes_what_both_generations_give(name):
    taken = parameters(getattr(hermes, name))
    assert taken["retention_days"] == 7
    assert taken["delete_orphans"] is True
    assert taken["checkpoint_base"] is None
    assert taken["max_total_size_mb"] == 0
    assert not taken["orphan_allowlist"]
    assert taken.get("min_interval_hours", 24) == 24


def test_limits_are_clamped_and_can_be_read():
    made = hermes.CheckpointManager(enabled=True, max_snapshots=0, max_total_size_mb=-3, max_file_size_mb=-1)
    assert (made.enabled, made.max_snapshots, made.max_total_size_mb, made.max_file_size_mb) == (True, 1, 0, 0)


@pytest.mark.parametrize("value", [None, "lots", "", [], float("nan")])
def test_a_limit_that_is_no_number_does_not_keep_an_agent_from_starting(value):
    """Hermes passes on whatever its configuration says."""
    made = hermes.CheckpointManager(max_snapshots=value, max_total_size_mb=value, max_file_size_mb=value)
    assert (made.max_snapshots, made.max_total_size_mb, made.max_file_size_mb) == (20, 500, 10)
    assert hermes.CheckpointManager(max_snapshots="7").max_snapshots == 7
    assert hermes.CheckpointManager(max_file_size_mb=2.5).max_file_size_mb == 2


def test_a_list_has_what_the_command_the_gateway_and_the_tui_read(manager, project, turn):
    first = turn("before terminal: rm -rf\nsrc")
    (project / "src/main.py").write_text("second\nthird\n")
    (project / "added").write_text("1\n2\n3\n")
    second = turn("before patch")
    newest, oldest = manager.list_checkpoints(str(project))
    assert (newest["hash"], oldest["hash"]) == (second, first)
    assert newest["hash"].startswith(newest["short_hash"])
    assert (newest["files_changed"], newest["insertions"], newest["deletions"]) == (2, 5, 1)
    assert (oldest["files_changed"], oldest["insertions"], oldest["deletions"]) == (0, 0, 0)
    assert oldest["reason"] == oldest["message"] == "before terminal: rm -rf src"
    assert newest["timestamp"].count("T") == 1
    assert newest["timestamp"][-6] in "+-"
    shown = hermes.format_checkpoint_list([newest, oldest], str(project))
    assert f"1. {newest['short_hash']}" in shown
    assert "(2 files, +5/-1)" in shown
    assert "/rollback diff <N>" in shown
    assert len(shown.splitlines()) == 2 + 2 + 1 + 3


def test_a_label_is_never_blank(manager, project, turn):
    """hermes 101743: it was, in the TUI."""
    turn("")
    assert manager.list_checkpoints(project)[0]["message"]


def test_without_checkpoints_the_list_says_so(manager, project):
    assert manager.list_checkpoints(project) == []
    assert hermes.format_checkpoint_list([], "/there") == "No checkpoints found for /there"


def test_answers_are_json_and_may_be_changed(manager, project, turn):
    name = b"not utf-8 \xff".decode("utf-8", "surrogateescape")
    first = turn("before \x1b[31mred\udcff")
    (project / name).write_bytes(b"\xff\xfe\0")
    (project / "text").write_bytes(b"caf\xe9\n")
    answers = [
        manager.diff(project, first),
        manager.session_diff(project),
        manager.restore(project, first),
        manager.list_checkpoints(project),
        manager.list_all_checkpoints(),
        manager.last_outcome,
    ]
    for answer in answers:
        assert json.loads(json.dumps(answer, ensure_ascii=False).encode().decode()) == answer
    answers[2]["history_removed"] = 3
    assert "\x1b" not in json.dumps(answers, ensure_ascii=False)


def test_no_process_is_started_for_a_list(manager, project, turn, monkeypatch):
    """Hermes: two git processes for each entry."""
    for number in range(5):
        (project / "src/main.py").write_text(f"{number}\n")
        turn()

    def refuse(*_arguments, **_named):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    assert [one["files_changed"] for one in hermes.CheckpointManager(enabled=True).list_checkpoints(project)] == [
        1, 1, 1, 1, 0,
    ]  # fmt: skip


def test_figures_of_a_huge_change_are_not_waited_for(manager, project, turn):
    turn()
    for number in range(500):
        (project / f"{number}").write_text("x\n")
    turn()
    newest = manager.list_checkpoints(project)[0]
    assert (newest["files_changed"], newest["insertions"]) == (500, 0)
    assert "(500 files)" in hermes.format_checkpoint_list([newest], str(project))


def test_a_session_is_compared_with_what_it_began_with(manager, project, turn):
    assert "No checkpoints exist for this directory" in manager.session_diff(project)["error"]
    first = turn()
    assert manager.session_diff(project) == {
        "success": True, "stat": "", "diff": "", "baseline": first, "empty": True,
    }  # fmt: skip
    (project / "src/main.py").write_text("second\n")
    turn()
    (project / "src/main.py").write_text("third\n")
    found = manager.session_diff(project)
    assert (found["baseline"], found["empty"]) == (first, False)
    assert "-first\n+third" in found["diff"]
    assert found["stat"].splitlines()[-1] == " 1 file changed, 1 insertion(+), 1 deletion(-)"


def test_the_store_is_where_the_module_says_at_the_time(manager, project, tmp_path, monkeypatch):
    for place in (tmp_path / "one", str(tmp_path / "two")):  # callers set strings, too
        monkeypatch.setattr(hermes, "CHECKPOINT_BASE", place)
        manager.new_turn()
        assert manager.list_checkpoints(project) == []
        assert manager.ensure_checkpoint(project)
        assert len(manager.list_checkpoints(project)) == 1


def test_importing_the_drop_in_needs_no_hermes_and_opens_no_store(tmp_path):
    code = "import sys, hermes_checkpoints.hermes as h; print('hermes_cli' in sys.modules, h.CHECKPOINT_BASE)"
    told = subprocess.run(
        [sys.executable, "-c", code], env={"HERMES_HOME": str(tmp_path / "h")}, capture_output=True, check=True
    )
    assert told.stdout.decode().split() == ["False", str(tmp_path / "h" / "checkpoints")]
    assert not (tmp_path / "h").exists()
