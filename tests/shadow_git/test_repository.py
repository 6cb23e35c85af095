"""Laying out our own bare repository."""

import os
import stat
import subprocess
import sys

import pytest

from git_building import REF, commit, fsck, git, names_below, plain_environment, writer_for
from hermes_checkpoints.contract import StoreError
from hermes_checkpoints_shadow_git.repository import Repository


def test_a_new_repository_is_one_that_git_accepts_without_a_complaint(repo):
    assert git(repo, "rev-parse", "--is-bare-repository") == b"true\n"
    assert fsck(repo) == (0, [])


@pytest.mark.parametrize("harm", ["no refs", "no HEAD", "empty HEAD", "no config", "no objects", "no info", "no tmp"])
def test_an_emptied_ref_directory_or_a_lost_file_does_not_make_the_store_not_a_git_repository(repo, harm):
    what, name = harm.split()
    target = repo.path / name
    if what == "empty":
        target.chmod(0o600)
        target.write_bytes(b"")
    elif target.is_dir():
        subprocess.run(["rm", "-r", target], check=True)
    else:
        target.unlink()
    Repository.open(repo.path)
    assert git(repo, "rev-parse", "--is-bare-repository") == b"true\n"
    assert (repo.path / "info" / "attributes").exists()
    with writer_for(repo) as writer:
        commit(repo, writer, [])
    assert fsck(repo) == (0, [])


def test_a_setting_written_into_the_store_by_hand_does_not_outlive_the_next_opening(repo):
    wanted = (repo.path / "config").read_bytes()
    subprocess.run(["git", "-C", repo.path, "config", "gc.auto", "1"], check=True, env=plain_environment())
    assert (repo.path / "config").read_bytes() != wanted
    Repository.open(repo.path)
    assert (repo.path / "config").read_bytes() == wanted


def test_opening_again_writes_nothing_and_keeps_snapshots(repo):
    with writer_for(repo) as writer:
        made = commit(repo, writer, [])
    before = {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")}
    Repository.open(repo.path)
    assert {path: path.stat().st_mtime_ns for path in repo.path.rglob("*")} == before
    assert git(repo, "rev-parse", REF).strip().decode() == made.hex()


def test_processes_that_open_a_new_store_at_once_do_not_trip_over_each_other(tmp_path):
    code = (
        "import sys, pathlib\n"
        "from hermes_checkpoints_shadow_git.repository import Repository\n"
        "sys.stdin.read()\n"
        "Repository.open(pathlib.Path(sys.argv[1]))\n"
    )
    store = tmp_path / "store"
    started = [
        subprocess.Popen([sys.executable, "-c", code, store], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        process.stdin.close()
        process.stdin = None
    assert [process.communicate()[1] for process in started] == [b""] * 4
    assert [process.returncode for process in started] == [0] * 4
    assert names_below(store) == ["HEAD", "attributes", "config", "reclaiming"]
    assert git(Repository(store), "rev-parse", "--is-bare-repository") == b"true\n"


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_no_umask_opens_the_store_to_others_or_closes_it_to_us(tmp_path, umask):
    before = os.umask(umask)
    try:
        repo = Repository.open(tmp_path / "store")
        with writer_for(repo) as writer:
            writer.add_blob(b"private")
            writer.publish()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [repo.path, *repo.path.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in repo.packs.iterdir()} == {0o400}


def test_a_store_that_cannot_be_made_is_told_as_our_error(tmp_path):
    (tmp_path / "store").write_bytes(b"a file")
    with pytest.raises(StoreError, match="store could not be opened") as told:
        Repository.open(tmp_path / "store")
    assert isinstance(told.value.__cause__, OSError)
