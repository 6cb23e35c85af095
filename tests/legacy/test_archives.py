"""Repositories from before Hermes's shared store are put aside once, and removed only as what they are."""

import multiprocessing
import os
import signal
import time

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.legacy import archives, move_pre_v2, remove_archives

ID = "0123456789abcdef"


def make_repository(base, name=ID):
    """What Hermes kept for one workspace in that format, as far as anybody looks at it."""
    repository = base / name
    (repository / "objects").mkdir(parents=True)
    (repository / "HEAD").write_text("ref: refs/heads/master\n")
    (repository / "HERMES_WORKDIR").write_text("/somewhere\n")
    (repository / "objects" / "pack").write_bytes(bytes(10_000))
    return repository


@pytest.fixture
def base(tmp_path):
    directory = tmp_path / "checkpoints"
    make_repository(directory)
    return directory


def test_making_our_store_puts_old_repositories_aside_and_nothing_else(base, tmp_path):
    others = ["notes", "fedcba9876543210", "0123456789abcdeX"]
    for name in others:
        (base / name).mkdir()
        (base / name / "HEAD").touch()
    elsewhere = make_repository(tmp_path / "elsewhere", "aaaaaaaaaaaaaaaa")
    (base / elsewhere.name).symlink_to(elsewhere)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "file").write_text("content")
    with Engine(store=base, backend="shadow-git") as engine:
        engine.snapshot(workspace)
    (archive,) = archives(base)
    assert [path.name for path in archive.path.iterdir()] == [ID]
    assert (archive.path / ID / "HERMES_WORKDIR").read_text() == "/somewhere\n"
    assert 10_000 <= archive.size <= 50_000
    assert abs(archive.mtime - time.time()) < 60
    assert {path.name for path in base.iterdir()} == {*others, elsewhere.name, archive.path.name, "store"}
    assert (elsewhere / "HEAD").exists()


def test_a_store_that_is_there_already_moves_nothing(base, tmp_path):
    (base / "store" / "locks").mkdir(parents=True)
    with Engine(store=base, backend="shadow-git") as engine:
        engine.snapshot(tmp_path / "checkpoints" / ID / "objects")
    assert archives(base) == []
    assert (base / ID / "HEAD").exists()


def test_nothing_is_made_where_there_is_nothing_to_move(tmp_path):
    move_pre_v2(tmp_path / "missing")
    move_pre_v2(tmp_path)
    assert [*tmp_path.iterdir()] == []


def _move(base, go):
    while not go.exists():
        time.sleep(0.001)
    move_pre_v2(base)


def test_processes_that_move_at_once_and_one_that_is_killed_lose_nothing(tmp_path):
    base, go = tmp_path / "checkpoints", tmp_path / "go"
    names = [f"{number:016x}" for number in range(200)]
    for name in names:
        make_repository(base, name)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_move, args=(base, go)) for _ in range(3)]
    for process in processes:
        process.start()
    go.touch()
    while not [*base.glob("legacy-*/*")]:
        pass
    os.kill(processes[0].pid, signal.SIGKILL)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes[1:]] == [0, 0]
    move_pre_v2(base)
    moved = [repository.name for archive in archives(base) for repository in archive.path.iterdir()]
    assert sorted(moved) == names
    assert all(
        (archive.path / name / "HEAD").exists() for archive in archives(base) for name in os.listdir(archive.path)
    )


def test_archives_are_removed_and_what_is_none_is_refused(base, tmp_path):
    move_pre_v2(base)
    (archive,) = archives(base)
    precious = tmp_path / "legacy-precious"
    precious.mkdir()
    link = base / "legacy-link"
    link.symlink_to(precious)
    (base / "keep").mkdir()
    for wrong in (link, precious, base / "keep", base, base / "legacy-x" / "..", archive.path / ID):
        with pytest.raises(CheckpointError, match="no archive"):
            remove_archives(base, [archive.path, wrong])
    assert archive.path.is_dir()
    assert [found.path for found in archives(base)] == [archive.path]
    remove_archives(base, [archive.path, base / "legacy-gone"])
    assert archives(base) == []
    assert precious.is_dir()
