"""Starting git, hermetically."""

import os

import pytest

from git_building import git
from hermes_checkpoints.contract import BackendUnusable, StoreDamaged, StoreError


def test_git_variables_of_the_caller_do_not_reach_git(repo, tmp_path, monkeypatch):
    (tmp_path / ".gitconfig").write_text("[core]\n\tabbrev = 7\n[user]\n\tname = Somebody\n")
    hostile = {
        "GIT_DIR": "/nowhere",
        "GIT_OBJECT_DIRECTORY": "/nowhere",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Somebody",
        "GIT_TRACE": "1",
        "GIT_INDEX_FILE": "/nowhere",
        "HOME": os.fspath(tmp_path),
        "XDG_CONFIG_HOME": os.fspath(tmp_path),
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    config = git(repo, "config", "--list", "--show-origin")
    assert {line.split(b"\t")[0] for line in config.splitlines()} == {b"file:" + os.fsencode(repo.path) + b"/config"}
    assert git(repo, "rev-parse", "--git-dir").strip() == os.fsencode(repo.path)


def test_a_git_in_the_workspace_is_not_run_because_path_has_a_dot(repo, reader, tmp_path, monkeypatch):
    planted = tmp_path / "workspace"
    planted.mkdir()
    (planted / "git").write_text("#!/bin/sh\necho 0000 blob 0\n")
    (planted / "git").chmod(0o755)
    monkeypatch.chdir(planted)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    with pytest.raises(StoreDamaged, match="is missing"):
        reader.read(bytes(20))


def test_without_git_what_only_git_can_read_says_what_to_do(reader, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BackendUnusable, match="Install git") as told:
        reader.read(bytes(20))
    assert isinstance(told.value.__cause__, OSError)


def test_a_vanished_store_is_not_taken_for_a_missing_git(repo, reader, tmp_path):
    with pytest.raises(StoreDamaged):
        reader.read(bytes(20))
    reader.close()
    repo.path.rename(tmp_path / "away")
    with pytest.raises(StoreError):
        reader.read(bytes(20))
