"""Losing work at restore: what no snapshot holds was deleted, deletes ran first, there was no safety snapshot."""

import os
import shutil
import subprocess

import pytest

from damages import delete_everything
from hermes_checkpoints.contract import LeftOut, Reason, RestoreRefused, Scope
from hermes_checkpoints.policy.plan import Action
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import BACKENDS, ground, put


def kept(done) -> dict[str, str]:
    return {failure.path: failure.reason for failure in done.kept}


# What no snapshot holds is never deleted or overwritten.


def test_untracked_ignored_and_special_files_outlive_a_restore(here):
    """copilot-cli 1675, gemini-cli 13331, cline 1213: ``clean -fd`` deleted them."""
    put(here.workspace, ".gitignore", b"data/\n*.tmp\n")
    put(here.workspace, "src/a", b"1")
    taken = here.take()
    for path in (
        "data/a",
        "src/data/b",
        "src/x.tmp",
        "node_modules/m/x",
        ".env",
        "src/.git/HEAD",
        "new/run.log",
    ):
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_skipped_for_their_size_are_not_deleted_as_new(on_filesystem, filesystem, backend):
    """hermes 95207, claudette pull 152."""
    with ground(on_filesystem, backend, scope=Scope(max_file_size=100)) as at:
        put(at.workspace, "shrinks", b"x" * 101)
        put(at.workspace, "grows", b"x" * 100)
        put(at.workspace, "dir/small", b"1")
        taken = at.take()
        put(at.workspace, "shrinks", b"now small")
        put(at.workspace, "grows", b"y" * 101)
        put(at.workspace, "dir/new-and-large", b"z" * 101)
        put(at.workspace, "dir/small", b"2")
        before = picture(at.workspace)
        plan = at.engine.plan(at.workspace, taken.snapshot.id)
        done = at.engine.restore(at.workspace, taken.snapshot.id)
        if backend != "cow" or filesystem.clones:  # a preview does not try whether a clone would work
            assert {step.path for step in plan.of(Action.KEEP)} == set(kept(done))
        assert done.failed == []
        sizes = {path.name: path.stat().st_size for path in at.workspace.rglob("*") if path.is_file()}
        if backend == "cow" and filesystem.clones:  # size is no reason there: all was held, and is brought back
            assert (sizes, done.kept) == ({"shrinks": 101, "grows": 100, "small": 1}, [])
            return
        assert set(kept(done)) == {"shrinks"}
        assert LeftOut("dir/new-and-large", Reason.TOO_LARGE) in done.left_out
        assert sizes == {"shrinks": 9, "grows": 100, "new-and-large": 101, "small": 1}
        at.engine.undo(at.workspace)  # what had grown was saved whatever its size
        assert difference(before, picture(at.workspace)) == []


def test_a_directory_that_would_become_a_file_stays_when_it_holds_something_of_theirs(here):
    put(here.workspace, "x", b"a file then")
    taken = here.take()
    (here.workspace / "x").unlink()
    put(here.workspace, "x/held", b"held")
    put(here.workspace, "x/theirs.log", b"ignored")
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert "x/theirs.log" in kept(done)["x"]
    assert (done.failed, os.listdir(here.workspace / "x")) == ([], ["theirs.log"])


@pytest.mark.parametrize("backend", BACKENDS)
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_disk_that_fills_up_deletes_nothing_cuts_nothing_and_tells_it_path_by_path(
    small_filesystem, fresh_directory, backend
):
    """hermes 95610: deletes ran before a checkout that failed."""
    with small_filesystem("ext4", 16) as small, ground(small.root, backend, store=fresh_directory / "store") as at:
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
    for backend in BACKENDS:
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
    store = fresh_directory / "store"
    with small_filesystem("ext4", 16) as small, ground(small.root, "shadow-git", store=store) as at:
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


@pytest.mark.parametrize("backend", BACKENDS)
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


@pytest.mark.parametrize("backend", BACKENDS)
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
