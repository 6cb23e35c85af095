"""What the engine offers to callers who know more: keeping paths at a restore, and comparing snapshots."""

import shutil

import pytest

from hermes_checkpoints.contract import Kind
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, ground, put


@pytest.fixture(params=BACKENDS)
def here(request, tmp_path):
    with ground(tmp_path, request.param) as made:
        yield made


def test_a_caller_may_keep_what_a_restore_would_change_and_is_told_of_it(here):
    for name in ("mine", "theirs", "gone"):
        put(here.workspace, name, b"then")
    taken = here.take()
    put(here.workspace, "mine", b"now")
    put(here.workspace, "theirs", b"now")
    put(here.workspace, "dir/new", b"now")
    (here.workspace / "gone").unlink()
    asked = {}

    def keep(change):
        asked[change.path] = (change.before, change.after)
        return "it is mine" if change.path in ("mine", "dir/new", "gone") else None

    done = here.engine.restore(here.workspace, taken.snapshot.id, keep=keep)
    assert {one.path: one.reason for one in done.kept if one.reason == "it is mine"}.keys() == {
        "mine",
        "dir/new",
        "gone",
    }
    assert (done.written, done.deleted) == (["theirs"], [])
    assert asked["mine"][0].kind is asked["mine"][1].kind is Kind.FILE
    assert asked["dir/new"][1] is asked["gone"][0] is None
    assert (here.workspace / "mine").read_bytes() == (here.workspace / "dir/new").read_bytes() == b"now"
    assert not (here.workspace / "gone").exists()
    here.engine.undo(here.workspace)
    assert (here.workspace / "theirs").read_bytes() == b"now"


def test_snapshots_are_compared_with_each_other_and_with_the_workspace(here):
    put(here.workspace, "a", b"1\n")
    first = here.take().snapshot
    put(here.workspace, "a", b"1\n2\n")
    put(here.workspace, "dir/b", b"b")
    second = here.take().snapshot
    (here.workspace / "a").unlink()
    assert [one.path for one in here.engine.changes(first, second)] == ["a", "dir", "dir/b"]
    (diff, _) = here.engine.diff_between(first, second)
    assert (diff.path, diff.added, diff.removed) == ("a", 1, 0)
    assert diff.text.endswith(b"@@ -1 +1,2 @@\n 1\n+2\n")
    ((gone, before, after),) = ((one.path, one.before, one.after) for one in here.engine.changes(second))
    assert (gone, before.size, after) == ("a", 4, None)


def test_in_a_workspace_that_was_removed_there_is_nothing(here):
    put(here.workspace, "dir/a", b"1")
    taken, before = here.take().snapshot, picture(here.workspace)
    shutil.rmtree(here.workspace)
    assert [(one.path, one.after) for one in here.engine.changes(taken)] == [("dir", None), ("dir/a", None)]
    here.engine.restore(here.workspace, taken.id)
    assert difference(before, picture(here.workspace)) == []
