"""Losing work at restore, while it runs: a planted symlink, an edit in between, a plan that is not what happens."""

import shutil

from damages import add_files_and_directories_everywhere
from hermes_checkpoints import plugins
from hermes_checkpoints.testing.witness import picture, stamps
from trees import put, rich


def kept(done) -> dict[str, str]:
    return {failure.path: failure.reason for failure in done.kept}


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
    backend = plugins.load(here.engine.choose(here.workspace).name)
    materialise = backend.materialise

    def interrupted(self, entry, dir_fd, name):
        act()
        return materialise(self, entry, dir_fd, name)

    monkeypatch.setattr(backend, "materialise", interrupted)


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
