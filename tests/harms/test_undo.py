"""Losing work at restore, the way back: none, one that corrupts, a moved pointer, another session's work."""

import shutil

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import InvalidPath, PathNotFound, RestoreRefused
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import put, rich


def kept(done) -> dict[str, str]:
    return {failure.path: failure.reason for failure in done.kept}


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
