"""Losing work at restore: every line of that part of ``harms.md`` but the crash (``.git_disabled`` left by one)."""

import os
import shutil
import subprocess

import pytest
from trees import add_files_and_directories_everywhere, delete_everything, ground, put, rich

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import InvalidPath, PathNotFound, RestoreRefused, Scope, SnapshotNotFound
from hermes_checkpoints.testing.witness import difference, picture, stamps


def kept(done) -> dict[str, str]:
    return {failure.path: failure.reason for failure in done.kept}


# What no snapshot holds is never deleted or overwritten.


def test_untracked_ignored_and_special_files_outlive_a_restore(here):
    """copilot-cli 1675, gemini-cli 13331, cline 1213: ``clean -fd`` deleted them."""
    put(here.workspace, ".gitignore", b"data/\n*.tmp\n")
    put(here.workspace, "src/a", b"1")
    taken = here.take()
    for path in ("data/a", "src/data/b", "src/x.tmp", "node_modules/m/index.js", ".env", "src/.git/HEAD", "new/run.log"):
        put(here.workspace, path, b"theirs")
    os.mkfifo(here.workspace / "src/fifo")
    put(here.workspace, "new/held", b"held")
    before = picture(here.workspace, skip={b"new/held"})

    done = here.engine.restore(here.workspace, taken.snapshot.id)

    assert (done.failed, list(done.deleted)) == ([], ["new/held"])
    assert difference(before, picture(here.workspace)) == []
    assert "new/run.log" in kept(done)["new"]


def test_a_gitignore_that_is_rolled_back_takes_nothing_with_it(here):
    """cline 14367: it was rolled back first, and what it had ignored was then deleted as new."""
    put(here.workspace, ".gitignore", b"a.tmp\n")
    put(here.workspace, "src/a", b"1")
    taken = here.take()
    put(here.workspace, ".gitignore", b"a.tmp\nprecious/\n*.big\nsrc\n")
    put(here.workspace, "precious/only-copy", b"precious")
    put(here.workspace, "one.big", b"precious")
    put(here.workspace, "src/a", b"2")
    put(here.workspace, "src/b", b"2")

    done = here.engine.restore(here.workspace, taken.snapshot.id)

    assert done.failed == []
    assert (here.workspace / ".gitignore").read_bytes() == b"a.tmp\n"
    for path in ("precious/only-copy", "one.big"):
        assert (here.workspace / path).read_bytes() == b"precious"
    assert (here.workspace / "src/a").read_bytes() == (here.workspace / "src/b").read_bytes() == b"2"
    assert "ignored" in kept(done)["src"]


def test_a_file_that_was_ignored_then_and_is_not_now_is_kept(here):
    """The same harm the other way round: absence from a snapshot is no evidence of absence."""
    put(here.workspace, ".gitignore", b"notes\nold/\n")
    put(here.workspace, "notes", b"there then")
    put(here.workspace, "old/a", b"there then")
    taken = here.take()
    put(here.workspace, ".gitignore", b"# nothing\n")
    put(here.workspace, "notes", b"edited")
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert set(kept(done)) == {"notes", "old"}
    assert (here.workspace / "notes").read_bytes() == b"edited"
    assert (here.workspace / "old/a").read_bytes() == b"there then"


@pytest.mark.parametrize("backend", ["shadow-git", "cow"])
def test_files_skipped_for_their_size_are_not_deleted_as_new(fresh_directory, backend):
    """hermes 95207, claudette pull 152."""
    with ground(fresh_directory, backend, scope=Scope(max_file_size=100)) as at:
        put(at.workspace, "shrinks", b"x" * 101)
        put(at.workspace, "grows", b"x" * 100)
        put(at.workspace, "dir/small", b"1")
        taken = at.take()
        clones = taken.stats.cloned
        put(at.workspace, "shrinks", b"now small")
        put(at.workspace, "grows", b"y" * 101)
        put(at.workspace, "dir/new-and-large", b"z" * 101)
        put(at.workspace, "dir/small", b"2")
        done = at.engine.restore(at.workspace, taken.snapshot.id)
        assert done.failed == []
        if clones:
            pytest.skip("temporary files lie on a filesystem with clones, where size is no reason")
        assert set(kept(done)) == {"shrinks", "grows"}
        assert "larger than the limit" in kept(done)["grows"]
        sizes = {path.name: path.stat().st_size for path in at.workspace.rglob("*") if path.is_file()}
        assert sizes == {"shrinks": 9, "grows": 101, "new-and-large": 101, "small": 1}


def test_a_directory_that_would_become_a_file_stays_when_it_holds_something_of_theirs(here):
    put(here.workspace, "x", b"a file then")
    taken = here.take()
    (here.workspace / "x").unlink()
    put(here.workspace, "x/held", b"held")
    put(here.workspace, "x/theirs.log", b"ignored")
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert "x/theirs.log" in kept(done)["x"]
    assert (done.failed, os.listdir(here.workspace / "x")) == ([], ["theirs.log"])


@pytest.mark.parametrize("backend", ["shadow-git", "cow"])
def test_an_unreadable_file_is_neither_overwritten_nor_deleted(on_filesystem, as_user, backend):
    as_user.owns(on_filesystem)
    assert as_user(_with_unreadable_files, on_filesystem, backend) == (True, {"a", "d/new"})


def _with_unreadable_files(directory, backend):
    with ground(directory, backend) as at:
        put(at.workspace, "a", b"then")
        put(at.workspace, "d/e/x", b"")
        taken = at.take()
        for path in ("a", "d/new"):
            put(at.workspace, path, b"now").chmod(0)
        done = at.engine.restore(at.workspace, taken.snapshot.id)
        for path in ("a", "d/new"):
            (at.workspace / path).chmod(0o600)
        theirs = {path for path in ("a", "d/new") if (at.workspace / path).read_bytes() == b"now"}
        return "unreadable" in kept(done)["a"] and done.failed == [], theirs


# Nothing goes before everything else is there.


def test_a_disk_that_fills_up_deletes_nothing_cuts_nothing_and_tells_it_path_by_path(small_filesystem, fresh_directory):
    """hermes 95610: deletes ran before a checkout that failed."""
    for backend in ("shadow-git", "cow"):
        with small_filesystem("ext4", 16) as small:
            with ground(small.root, backend, store=fresh_directory / backend) as at:
                old = {f"old{number}": os.urandom(700_000) for number in range(8)}
                for name, content in old.items():
                    put(at.workspace, name, content)
                taken = at.take()
                delete_everything(at.workspace)
                new = {f"new{number}": os.urandom(700_000) for number in range(14)}
                for name, content in new.items():
                    put(at.workspace, name, content)

                done = at.engine.restore(at.workspace, taken.snapshot.id)

                assert done.deleted == []
                failed = {failure.path: failure.reason for failure in done.failed}
                assert set(failed) == (set(old) - set(done.written)) | set(new)
                assert any("No space left" in reason for reason in failed.values())
                assert any("not tried" in reason for reason in failed.values())
                there = {path.name: path.read_bytes() for path in at.workspace.iterdir()}
                assert there == new | {name: old[name] for name in done.written}
                at.engine.undo(at.workspace)
                assert {path.name: path.read_bytes() for path in at.workspace.iterdir()} == new


def test_a_full_disk_that_holds_the_store_too_is_told_or_refused_and_loses_nothing(small_filesystem):
    for backend in ("shadow-git", "cow"):
        with small_filesystem("ext4", 16) as small, ground(small.root, backend) as at:
            put(at.workspace, "old", os.urandom(1_000_000))
            taken = at.take()
            put(at.workspace, "old", b"edited")
            put(at.workspace, "new", b"new")
            at.take()
            _fill(small.root / "filler", leave=150_000)
            before = picture(at.workspace)
            try:
                done = at.engine.restore(at.workspace, taken.snapshot.id)
            except RestoreRefused:
                pass
            else:
                assert {failure.path for failure in done.failed} == {"old", "new"}
            assert difference(before, picture(at.workspace)) == []


def _fill(path, leave: int) -> None:
    """Take all the room of a filesystem but so many bytes."""
    with path.open("wb") as file:
        try:
            while True:
                file.write(b"x" * 4096)
                file.flush()
        except OSError:
            pass
    size = path.stat().st_size
    os.truncate(path, size - leave)
    os.sync()


def test_a_read_only_filesystem_is_told_path_by_path(small_filesystem, fresh_directory):
    with small_filesystem("ext4", 16) as small:
        with ground(small.root, "shadow-git", store=fresh_directory / "checkpoints") as at:
            put(at.workspace, "a", b"then")
            put(at.workspace, "d/gone", b"then")
            taken = at.take()
            put(at.workspace, "a", b"now")
            shutil.rmtree(at.workspace / "d")
            put(at.workspace, "new", b"now")
            before = picture(at.workspace)
            subprocess.run(["mount", "-o", "remount,ro", small.root], check=True)
            done = at.engine.restore(at.workspace, taken.snapshot.id)
            assert {failure.path for failure in done.failed} == {"a", "d", "d/gone", "new"}
            assert (done.written, done.deleted) == ([], [])
            assert difference(before, picture(at.workspace)) == []


# The safety snapshot is taken, or nothing happens.


@pytest.mark.parametrize("backend", ["shadow-git", "cow"])
def test_when_the_present_state_cannot_be_saved_nothing_is_restored(small_filesystem, fresh_directory, backend):
    """A tool went on and said it had a safety snapshot."""
    with small_filesystem("ext4", 8) as small, ground(fresh_directory, backend, store=small.root / "store") as at:
        put(at.workspace, "a", b"then")
        taken = at.take()
        put(at.workspace, "a", b"now")
        put(at.workspace, "too-much-for-the-store", os.urandom(9_000_000))
        before = picture(at.workspace), stamps(at.workspace)
        with pytest.raises(RestoreRefused, match=r"could not be saved.*No space left"):
            at.engine.restore(at.workspace, taken.snapshot.id)
        assert (picture(at.workspace), stamps(at.workspace)) == before
        assert [found.id for found in at.engine.list(at.workspace)] == [taken.snapshot.id]
        with pytest.raises(RestoreRefused, match="nothing to undo"):
            at.engine.undo(at.workspace)


@pytest.mark.parametrize("backend", ["shadow-git", "cow"])
def test_a_store_that_cannot_be_written_refuses_and_changes_nothing(fresh_directory, as_user, backend):
    as_user.owns(fresh_directory)
    assert as_user(_restore_with_a_closed_store, fresh_directory, backend) == ("RestoreRefused", True)


def _restore_with_a_closed_store(directory, backend):
    with ground(directory, backend) as at:
        put(at.workspace, "a", b"then")
        taken = at.take()
        put(at.workspace, "a", b"now")
        before = picture(at.workspace), stamps(at.workspace)
        closed = [path for path in (at.store / "store" / backend).rglob("*") if path.is_dir()]
        for path in closed:
            path.chmod(0o500)
        try:
            at.engine.restore(at.workspace, taken.snapshot.id)
        except Exception as error:
            return type(error).__name__, (picture(at.workspace), stamps(at.workspace)) == before
        finally:
            for path in closed:
                path.chmod(0o700)
        return "restored", False


# Undo and redo.


def test_a_restore_can_be_undone_and_redone_and_undone_again(here):
    """zed 28676, claude-code 16023: it could not."""
    rich(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "src")
    put(here.workspace, "attributed/one-byte", b"edited")
    put(here.workspace, "added/file", b"added")
    (here.workspace / "added/empty").mkdir()
    (here.workspace / "modes/file-600").chmod(0o666)
    edited = picture(here.workspace)
    here.engine.restore(here.workspace, taken.snapshot.id)
    restored = picture(here.workspace)
    for _ in range(2):
        assert here.engine.undo(here.workspace).failed == []
        assert difference(edited, picture(here.workspace)) == []
        assert here.engine.redo(here.workspace).failed == []
        assert difference(restored, picture(here.workspace)) == []


def test_several_restores_are_undone_one_by_one(here):
    pictures = []
    for number in range(4):
        put(here.workspace, "file", f"{number}")
        put(here.workspace, f"only-in-{number}/x", f"{number}")
        here.take()
        pictures.append(picture(here.workspace))
        shutil.rmtree(here.workspace / f"only-in-{number}")
    ids = [found.id for found in reversed(here.engine.list(here.workspace))]
    now = picture(here.workspace)
    for number in (0, 2, 1):
        here.engine.restore(here.workspace, ids[number])
        assert difference(pictures[number], picture(here.workspace)) == []
    for number in (2, 0):
        here.engine.undo(here.workspace)
        assert difference(pictures[number], picture(here.workspace)) == []
    here.engine.undo(here.workspace)
    assert difference(now, picture(here.workspace)) == []
    with pytest.raises(RestoreRefused, match="nothing to undo"):
        here.engine.undo(here.workspace)
    assert difference(now, picture(here.workspace)) == []


def test_undoing_a_restore_that_changed_nothing_changes_nothing(here):
    """opencode 32529: it corrupted."""
    rich(here.workspace)
    taken = here.take()
    before = picture(here.workspace), stamps(here.workspace)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    undone = here.engine.undo(here.workspace)
    redone = here.engine.redo(here.workspace)
    for answer in (done, undone, redone):
        assert (answer.written, answer.deleted, answer.failed) == ([], [], [])
    assert (picture(here.workspace), stamps(here.workspace)) == before


def test_a_restore_that_was_refused_does_not_move_what_undo_takes_back(here):
    """arbos 419: a failed restore had already moved its pointer."""
    put(here.workspace, "a", b"then")
    taken = here.take()
    put(here.workspace, "a", b"edited")
    here.engine.restore(here.workspace, taken.snapshot.id)
    for paths, error in ((["missing"], PathNotFound), (["../a"], InvalidPath)):
        with pytest.raises(error):
            here.engine.restore(here.workspace, taken.snapshot.id, paths)
    here.engine.undo(here.workspace)
    assert (here.workspace / "a").read_bytes() == b"edited"


def test_undo_takes_back_a_file_that_lost_its_setuid_bit_at_the_restore(here):
    target = put(here.workspace, "tool", b"then")
    target.chmod(0o4755)
    taken = here.take()
    put(here.workspace, "tool", b"edited").chmod(0o755)
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert target.read_bytes() == b"then"
    assert here.engine.undo(here.workspace).kept == []
    assert target.read_bytes() == b"edited"


def test_undo_in_one_session_does_not_take_back_what_another_session_did_since(here):
    """opencode 33940, claude-code 28078."""
    for name in ("mine", "both", "gone"):
        put(here.workspace, name, b"then")
    taken = here.take()
    for name in ("mine", "both", "gone", "added"):
        put(here.workspace, name, b"edited")
    here.engine.restore(here.workspace, taken.snapshot.id)
    with Engine(store=here.store) as other:
        put(here.workspace, "both", b"theirs")
        put(here.workspace, "theirs/new", b"theirs")
        (here.workspace / "gone").unlink()
        other.snapshot(here.workspace, "another session's turn")
    plan = here.engine.plan_undo(here.workspace)
    done = here.engine.undo(here.workspace)
    assert {step.path for step in plan.steps if step.action.value == "keep"} == set(kept(done))
    assert set(kept(done)) == {"both", "gone", "theirs", "theirs/new"}
    assert "edited after" in kept(done)["both"]
    found = {path.name: path.read_bytes() for path in here.workspace.rglob("*") if path.is_file()}
    assert found == {"mine": b"edited", "both": b"theirs", "new": b"theirs", "added": b"edited"}


def test_undoing_the_restore_of_one_path_touches_that_path_only(here):
    put(here.workspace, "a", b"then")
    put(here.workspace, "b", b"then")
    taken = here.take()
    put(here.workspace, "a", b"edited")
    put(here.workspace, "b", b"edited")
    here.engine.restore(here.workspace, taken.snapshot.id, ["a"])
    put(here.workspace, "b", b"edited again")
    done = here.engine.undo(here.workspace)
    assert (list(done.written), done.kept) == (["a"], [])
    found = {path.name: path.read_bytes() for path in here.workspace.iterdir()}
    assert found == {"a": b"edited", "b": b"edited again"}


def test_undoing_the_restore_of_a_path_below_removed_directories_leaves_no_directory_behind(here):
    put(here.workspace, "a/b/wanted", b"then")
    put(here.workspace, "a/other", b"then")
    taken = here.take()
    shutil.rmtree(here.workspace / "a")
    before = picture(here.workspace)
    here.engine.restore(here.workspace, taken.snapshot.id, ["a/b/wanted"])
    here.engine.undo(here.workspace)
    assert difference(before, picture(here.workspace)) == []


# Nothing outside of what was asked for.


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


# What nobody asked to be touched.


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


# While a restore runs.


def test_an_edit_between_the_safety_snapshot_and_the_restore_is_kept(here, monkeypatch):
    for name in ("a", "b", "c", "d/x"):
        put(here.workspace, name, b"then")
    taken = here.take()
    for name in ("a", "b", "new", "new-too"):
        put(here.workspace, name, b"edited")
    (here.workspace / "c").unlink()

    def edit_once(done=[]) -> None:  # noqa: B006  # remembers that it was called
        if not done:
            done.append(True)
            put(here.workspace, "b", b"last!!")
            put(here.workspace, "new", b"last!!")
            put(here.workspace, "c", b"last!!")

    _before_each_file(here, monkeypatch, edit_once)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert set(kept(done)) == {"b", "c", "new"}
    found = {path.name: path.read_bytes() for path in here.workspace.iterdir() if path.is_file()}
    assert found == {"a": b"then", "b": b"last!!", "new": b"last!!", "c": b"last!!"}


def _before_each_file(here, monkeypatch, act) -> None:
    """Do something each time that content is about to be put back."""
    backend = here.engine._opener.open(here.engine.list(here.workspace)[0].backend, here.engine._opener.place(here.workspace))
    materialise = type(backend).materialise

    def interrupted(self, entry, dir_fd, name):
        act()
        return materialise(self, entry, dir_fd, name)

    monkeypatch.setattr(type(backend), "materialise", interrupted)


def test_a_symlink_planted_during_a_restore_is_not_followed_out_of_the_workspace(here, on_filesystem, monkeypatch):
    """hermes-webui 4405, opencode 46947."""
    outside = put(on_filesystem, "outside/theirs", b"theirs").parent
    for name in ("a/file", "b/file", "b/theirs", "c/d/file", "new/x"):
        put(here.workspace, name, b"then")
    taken = here.take()
    for name in ("a/file", "b/file", "b/theirs", "c/d/file"):
        put(here.workspace, name, b"edited")
    put(here.workspace, "c/d/new", b"edited")

    def plant(done=[]) -> None:  # noqa: B006  # remembers that it was called
        if not done:
            done.append(True)
            for directory in ("b", "c/d"):
                (here.workspace / directory).rename(here.workspace / f"moved-{directory.replace('/', '-')}")
                (here.workspace / directory).symlink_to(outside)

    _before_each_file(here, monkeypatch, plant)
    before = picture(outside), stamps(outside)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert (picture(outside), stamps(outside)) == before
    assert {failure.path for failure in done.failed} | set(kept(done)) >= {"b/file", "b/theirs", "c/d/file"}
    assert (here.workspace / "a/file").read_bytes() == b"then"


def test_a_symlink_in_the_place_of_a_file_is_replaced_and_not_written_through(here, on_filesystem):
    theirs = put(on_filesystem, "theirs", b"theirs")
    put(here.workspace, "file", b"then")
    taken = here.take()
    (here.workspace / "file").unlink()
    (here.workspace / "file").symlink_to(theirs)
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert (theirs.read_bytes(), (here.workspace / "file").read_bytes()) == (b"theirs", b"then")
    assert not (here.workspace / "file").is_symlink()


def test_the_plan_that_is_shown_is_what_a_restore_then_does(here):
    rich(here.workspace)
    put(here.workspace, "x", b"a file then")
    taken = here.take()
    add_files_and_directories_everywhere(here.workspace)
    shutil.rmtree(here.workspace / "src")
    put(here.workspace, "attributed/one-byte", b"y")
    put(here.workspace, "large.bin", b"y")
    (here.workspace / "attributed/empty").chmod(0o600)
    (here.workspace / "larger.bin").chmod(0o600)
    (here.workspace / "x").unlink()
    put(here.workspace, "x/held", b"")
    put(here.workspace, "added/some.log", b"")
    before = stamps(here.workspace), len(here.engine.list(here.workspace))
    plan = here.engine.plan(here.workspace, taken.snapshot.id)
    assert (stamps(here.workspace), len(here.engine.list(here.workspace))) == before

    done = here.engine.restore(here.workspace, taken.snapshot.id)

    assert done.failed == []
    told = {action: {step.path for step in plan.steps if step.action.value == action} for action in ("delete", "keep")}
    assert told == {"delete": set(done.deleted), "keep": set(kept(done))}
    writes = {step.path for step in plan.steps if step.action.value in ("write", "attributes")}
    assert writes == set(done.written)
    assert here.engine.plan(here.workspace, taken.snapshot.id).empty


def test_a_changed_mode_alone_is_planned_as_such(here):
    put(here.workspace, "a", b"same").chmod(0o600)
    taken = here.take()
    (here.workspace / "a").chmod(0o640)
    inode = (here.workspace / "a").stat().st_ino
    (step,) = here.engine.plan(here.workspace, taken.snapshot.id).steps
    assert step.action.value == "attributes"
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert (here.workspace / "a").stat().st_ino == inode
