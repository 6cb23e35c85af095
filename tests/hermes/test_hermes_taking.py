"""Saving a state for an agent: what is silently unprotected, what is tried again, what is told."""

import logging
import os
import shutil

import pytest

from hermes_checkpoints import hermes
from hermes_checkpoints.hermes.requests import begin_request, end_request


def why(manager):
    return manager.last_outcome["why"]


def test_a_directory_is_saved_once_a_turn_and_only_when_it_changed(manager, project):
    assert manager.ensure_checkpoint(project)
    (project / "a").write_text("1")
    assert not manager.ensure_checkpoint(project)
    assert why(manager) == "already this turn"
    manager.new_turn()
    assert manager.ensure_checkpoint(project)
    manager.new_turn()
    assert not manager.ensure_checkpoint(project)
    assert why(manager) == "unchanged"
    assert len(manager.list_checkpoints(project)) == 2


def test_switched_off_it_takes_nothing_makes_nothing_and_still_lists(project, base, manager, turn):
    turn()
    off = hermes.CheckpointManager()
    off.new_turn()
    off.record_agent_write(project / "a")
    assert not off.ensure_checkpoint(project)
    assert why(off) == "disabled"
    assert len(off.list_checkpoints(project)) == 1
    shutil.rmtree(base)
    assert off.list_checkpoints(project) == off.list_all_checkpoints() == []
    assert not off.diff(project, "abcd")["success"]
    assert not base.exists()


@pytest.mark.parametrize("directory", ["/", "~", "/usr/../", "no/such/directory"])
def test_what_is_never_protected_is_refused_with_the_reason_and_told_once(manager, directory, caplog):
    for _ in range(3):
        manager.new_turn()
        assert not manager.ensure_checkpoint(directory)
    assert why(manager) == "declined"
    assert manager.last_outcome["message"]
    told = [one for one in caplog.records if "NOT protected" in one.getMessage()]
    assert [(one.levelno, one.name) for one in told] == [(logging.WARNING, "tools.checkpoint_manager")]


def test_a_failure_is_told_and_tried_again_in_the_same_turn(manager, project, base, caplog):
    base.parent.mkdir(parents=True, exist_ok=True)
    base.write_text("a file where the store should be")
    for _ in range(2):
        assert not manager.ensure_checkpoint(project)
        assert why(manager) == "failed"
    assert len([one for one in caplog.records if "NOT protected" in one.getMessage()]) == 1
    base.unlink()
    assert manager.ensure_checkpoint(project)


@pytest.mark.parametrize("directory", [None, 7, "nul\0byte", "\udcff" * 5000, b"bytes"])
def test_nonsense_is_refused_and_nothing_is_raised(manager, directory):
    assert not manager.ensure_checkpoint(directory)
    assert manager.list_checkpoints(directory) == []
    assert not manager.diff(directory, "abcd")["success"]
    assert not manager.restore(directory, "abcd")["success"]
    assert not manager.session_diff(directory)["success"]
    manager.record_agent_write(directory)
    assert isinstance(manager.get_working_dir_for_path(directory), str)


def test_one_odd_or_very_large_file_costs_no_checkpoint_and_is_named(manager, project, backend):
    """hermes 78888, 103995."""
    os.mkfifo(project / "pipe")
    (project / "big").write_bytes(b"x" * ((10 << 20) + 1))
    assert manager.ensure_checkpoint(project)
    left_out = manager.last_outcome["left_out"]
    assert left_out.pop("pipe")
    assert set(left_out) == {"big"} or (backend == "cow" and not left_out)  # it takes what can be cloned


def test_the_owner_of_a_store_may_exclude_more_than_hermes_asks_for(manager, project, base):
    (base / "store").mkdir(parents=True, mode=0o700)
    (base / "store" / "config.toml").write_text('exclude = ["*.secret"]\n')
    (project / "a.secret").write_text("x")
    assert manager.ensure_checkpoint(project)
    (project / "a.secret").unlink()
    assert manager.restore(project, manager.last_outcome["hash"])["success"]
    assert not (project / "a.secret").exists()


def test_as_many_are_kept_as_hermes_says(project, backend):
    few = hermes.CheckpointManager(enabled=True, max_snapshots=3)
    for number in range(6):
        few.new_turn()
        (project / "a").write_text(f"{number}")
        assert few.ensure_checkpoint(project, f"{number}")
    assert [one["reason"] for one in few.list_checkpoints(project)] == ["5", "4", "3"]


def test_the_first_checkpoint_of_a_request_outlives_the_many_that_follow_it(project, backend):
    """An agent takes twenty within one request, and people go back to the request before."""
    few = hermes.CheckpointManager(enabled=True, max_snapshots=4)
    for request in range(3):
        begin_request("session", f"request {request}")
        for number in range(5):
            few.new_turn()
            (project / "a").write_text(f"{request}.{number}")
            assert few.ensure_checkpoint(project, f"{request}.{number}")
        end_request()
    assert [one["reason"] for one in few.list_checkpoints(project)] == ["2.4", "2.3", "2.0", "1.0"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("project/src/main.py", "project"),
        ("project/src", "project"),
        ("project/src/new/deep/file", "project"),
        ("plain/file", "plain"),
        ("plain/new/file", "plain"),
    ],
)
def test_a_file_is_protected_with_the_project_that_it_is_in(manager, project, tmp_path, path, expected):
    (tmp_path / "plain").mkdir()
    assert manager.get_working_dir_for_path(str(tmp_path / path)) == str(tmp_path / expected)


def test_a_known_workspace_wins_over_a_project_inside_it(manager, project):
    assert manager.ensure_checkpoint(project.parent)
    assert manager.get_working_dir_for_path(project / "src/main.py") == str(project.parent)


def test_looking_for_a_project_stops_below_the_home_directory(manager, clean_environment):
    """Else one stray Makefile makes everything of a user one workspace, which is then declined."""
    (clean_environment / "Makefile").write_text("")
    (clean_environment / "notes").mkdir()
    found = manager.get_working_dir_for_path(clean_environment / "notes" / "a")
    assert found == str(clean_environment / "notes")
    assert manager.get_working_dir_for_path(clean_environment / "b") == str(clean_environment)
