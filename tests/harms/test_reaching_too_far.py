"""Losing work at restore, more than was asked for: siblings, other worktrees, commits, times, patterns."""

import shutil
import subprocess

import pytest

from damages import add_files_and_directories_everywhere, delete_everything
from hermes_checkpoints.contract import InvalidPath, PathNotFound, SnapshotNotFound
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import put, rich


def test_restoring_a_subdirectory_leaves_its_siblings_alone(here):
    """opencode 39513: they were overwritten."""
    rich(here.workspace)
    taken = here.take()
    add_files_and_directories_everywhere(here.workspace)
    put(here.workspace, "attributed/one-byte", b"edited")
    shutil.rmtree(here.workspace / "src")
    outside = {b"attributed", b"modes", b"links"}
    before = picture(here.workspace, skip=outside), stamps(here.workspace, skip={b"attributed"})
    done = here.engine.restore(here.workspace, taken.snapshot.id, ["attributed"])
    assert set(done.written) | set(done.deleted) > {"attributed/one-byte"}
    after = picture(here.workspace, skip=outside), stamps(here.workspace, skip={b"attributed"})
    assert before[0] == after[0]
    assert difference(before[1], after[1]) == []


@pytest.mark.parametrize("path", ["*", "?", "[a-z]", "*.py", "sub/*", ":(glob)**", ":!a", "-rf", "--", "a b", "a\nb"])
def test_a_selected_path_is_literal_whatever_it_looks_like(here, path):
    names = {path, "a", "b.py", "sub/x", "z"}
    for name in names:
        put(here.workspace, name, b"then")
    taken = here.take()
    for name in names:
        put(here.workspace, name, b"edited")
    done = here.engine.restore(here.workspace, taken.snapshot.id, [path])
    assert list(done.written) == [path]
    found = {name for name in names if (here.workspace / name).read_bytes() == b"then"}
    assert found == {path}


@pytest.mark.parametrize("path", ["*", "*.py", ":(glob)**", "-rf", "missing", "a/below-a-file", "sub/missing/x"])
def test_a_path_that_is_not_there_is_an_error_and_no_pattern(anywhere, path):
    put(anywhere.workspace, "a", b"then")
    put(anywhere.workspace, "sub/b.py", b"then")
    taken = anywhere.take()
    put(anywhere.workspace, "a", b"edited")
    before = picture(anywhere.workspace)
    for attempt in (anywhere.engine.plan, anywhere.engine.restore):
        with pytest.raises(PathNotFound):
            attempt(anywhere.workspace, taken.snapshot.id, [path])
    assert difference(before, picture(anywhere.workspace)) == []
    assert len(anywhere.engine.list(anywhere.workspace)) == 1


@pytest.mark.parametrize("path", ["../x", "/abs", "", ".", "a/../b", "a//b", "a/", "./a", "a\0b"])
def test_a_path_out_of_the_workspace_is_refused(anywhere, path):
    put(anywhere.workspace, "a", b"then")
    taken = anywhere.take()
    put(anywhere.workspace, "a", b"edited")
    for attempt in (anywhere.engine.plan, anywhere.engine.restore):
        with pytest.raises(InvalidPath):
            attempt(anywhere.workspace, taken.snapshot.id, [path])
    with pytest.raises(InvalidPath):
        anywhere.engine.read(anywhere.workspace, taken.snapshot.id, path)
    assert (anywhere.workspace / "a").read_bytes() == b"edited"


def test_several_paths_come_back_at_once_also_below_removed_directories(here):
    for name in ("a/b/c", "a/b/d", "a/e", "f", "g"):
        put(here.workspace, name, b"then")
    taken = here.take()
    delete_everything(here.workspace)
    put(here.workspace, "new", b"new")
    done = here.engine.restore(here.workspace, taken.snapshot.id, ["a/b/c", "g", "new"])
    assert (done.failed, list(done.deleted)) == ([], ["new"])
    assert {str(path.relative_to(here.workspace)) for path in here.workspace.rglob("*")} == {"a", "a/b", "a/b/c", "g"}


def test_a_snapshot_of_another_worktree_is_not_restored(here, on_filesystem):
    """opencode 35255, hermes 20768."""
    put(here.workspace, "a", b"here")
    here.take()
    other = put(on_filesystem, "other/a", b"there").parent
    theirs = here.engine.snapshot(other).snapshot
    for ref in (theirs.id, theirs.short_id):
        with pytest.raises(SnapshotNotFound):
            here.engine.restore(here.workspace, ref)
    assert (here.workspace / "a").read_bytes() == b"here"


def test_a_restore_does_not_make_everything_be_built_again(here):
    """zed 59099: every file's mtime was rewritten."""
    rich(here.workspace)
    taken = here.take()
    put(here.workspace, "attributed/one-byte", b"edited")
    before = stamps(here.workspace)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert list(done.written) == ["attributed/one-byte"]
    changed = {path for path, stamp in stamps(here.workspace).items() if before.get(path) != stamp}
    assert changed <= {b"attributed/one-byte", b"attributed"}


def test_the_users_own_commits_are_still_there(here):
    """cline 13550: ``reset --hard`` dropped them."""

    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        return subprocess.run(command, cwd=here.workspace, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    put(here.workspace, "a", b"1")
    taken = here.take()
    git("add", "a")
    git("commit", "-qm", "theirs")
    put(here.workspace, "a", b"2")
    git("commit", "-qam", "theirs too")
    head = git("rev-parse", "HEAD")
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert (git("rev-parse", "HEAD"), git("rev-list", "--count", "HEAD")) == (head, "2\n")
    assert git("status", "--porcelain") == " M a\n"
