"""A watch is only a hint: with it, every snapshot is what it is without it. Whatever it cannot know is looked at."""

import logging
import mmap
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from filesystems import remove_tree
from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import Place, Scope
from hermes_checkpoints.kit.walk import watching
from hermes_checkpoints.plugins import load
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import difference, picture
from random_edits import NAMES, PICK, Edits
from random_store import stored
from trees import BACKENDS, put

pytest.importorskip("inotify_simple", reason="the extra `watch` is not installed, or this is no Linux")

LIMITS = Limits(max_snapshots=1000, max_total_size=0)
RULES = st.sampled_from([b"a\n", b"b\n*.txt\n", b"/c/\n!a\n", b"*\n!a*\n", b""])


class SideBySide(Edits):
    """One workspace and two engines that stay open: one is told what changed, one looks at everything."""

    backend_name: str

    def __init__(self) -> None:
        super().__init__()
        self.engines = {
            watch: Engine(
                store=self.home / f"store-{watch}", backend=self.backend_name, limits=LIMITS, watch=watch, scope=Scope()
            )
            for watch in (False, True)
        }

    def teardown(self) -> None:
        try:
            self.take()
        finally:
            for engine in self.engines.values():
                engine.close()
            remove_tree(self.home)

    @rule()
    def take(self) -> None:
        found = []
        for engine in self.engines.values():
            answer = engine.snapshot(self.workspace)
            latest = engine.list(self.workspace)[0]
            with load(self.backend_name).open(Place(engine.settings.store, self.workspace)) as backend:
                held = stored(backend, latest.id)
            found.append((type(answer), held, set(answer.left_out), latest.files, latest.size))
        assert found[0] == found[1], "a change was not told of, and not looked for"

    @rule(where=PICK, text=RULES)
    def write_rules(self, where: int, text: bytes) -> None:
        directories = [b"", *self.paths("directory")]
        path = os.path.join(self.root, directories[where % len(directories)], b".gitignore")
        if not os.path.isdir(path) and not os.path.islink(path):
            with open(path, "wb") as file:
                file.write(text)

    @rule(which=PICK)
    def move_out_and_edit_and_move_back(self, which: int) -> None:
        if path := self.pick(which, "directory"):
            away = os.path.join(os.fsencode(self.home), b"away")
            os.rename(path, away)
            with open(os.path.join(away, b"edited outside"), "ab") as file:
                file.write(b"x")
            os.rename(away, path)

    @rule(which=PICK, name=NAMES)
    def put_another_directory_in_its_place(self, which: int, name: bytes) -> None:
        if path := self.pick(which, "directory"):
            shutil.rmtree(path)
            os.mkdir(path)
            with open(os.path.join(path, name), "ab") as file:
                file.write(b"another")

    @rule(which=PICK)
    def edit_and_take_all_at_once(self, which: int) -> None:
        self.take()
        self.append(which, (1, 7))
        self.take()


@pytest.mark.parametrize(("backend", "kind"), [("shadow-git", "ext4"), ("cow", "xfs"), ("cow", "btrfs")])
def test_a_watched_workspace_gives_the_snapshots_of_one_that_is_walked(backend, kind, small_filesystem):
    with small_filesystem(kind, 1024) as mounted:

        class Here(SideBySide):
            backend_name = backend
            filesystem = mounted.root

        limits = settings(stateful_step_count=30, max_examples=40, suppress_health_check=list(HealthCheck))
        run_state_machine_as_test(Here, settings=limits)


class Ground:
    """A workspace that is watched; ``held`` is what the newest snapshot has."""

    def __init__(self, directory, backend):
        self.workspace, self._name = directory / "workspace", backend
        for name in ("a/one", "a/two", "b/c/one", "b/two", "three"):
            put(self.workspace, name, name.encode())
        self.engine = Engine(store=directory / "store", backend=backend, watch=True)
        for _ in range(2):
            self.engine.snapshot(self.workspace)

    def held(self):
        latest = self.engine.list(self.workspace)[0]
        with load(self._name).open(Place(self.engine.settings.store, self.workspace)) as backend:
            return stored(backend, latest.id)

    def taken(self):
        assert isinstance(self.engine.snapshot(self.workspace), Taken)
        assert difference(picture(self.workspace), self.held()) == []


@pytest.fixture(params=BACKENDS)
def ground(request, fresh_directory):
    ground = Ground(fresh_directory, request.param)
    with ground.engine:
        yield ground


@pytest.fixture
def looked(monkeypatch):
    """The directories that walks went into."""
    found, enter = [], watching.Watch.enter

    def noted(self, path, fd):
        found.append(path)
        enter(self, path, fd)

    monkeypatch.setattr(watching.Watch, "enter", noted)
    return found


def test_only_where_something_changed_is_looked_at(ground, looked):
    put(ground.workspace, "b/c/one", b"edited")
    ground.taken()
    assert sorted(looked) == ["", "b", "b/c"]
    looked.clear()
    ground.engine.snapshot(ground.workspace)
    assert looked == [""]


def test_a_new_directory_and_what_was_put_into_it_at_once_is_found(ground, looked):
    put(ground.workspace, "a/new/deep/file", b"new")
    ground.taken()
    put(ground.workspace, "a/new/deep/file", b"edited later")
    looked.clear()
    ground.taken()
    assert "b" not in looked


def test_a_directory_that_was_renamed_and_another_in_its_place_are_two(ground):
    (ground.workspace / "b").rename(ground.workspace / "renamed")
    put(ground.workspace, "b/c/one", b"another directory")
    ground.taken()
    put(ground.workspace, "renamed/c/one", b"in the renamed one")
    ground.taken()


def test_rules_that_changed_hold_in_directories_in_which_nothing_did(ground):
    put(ground.workspace, ".gitignore", b"one\n")
    assert isinstance(ground.engine.snapshot(ground.workspace), Taken)
    assert ground.held().keys().isdisjoint({b"a/one", b"b/c/one"})


def test_an_edit_by_a_name_elsewhere_in_the_workspace_is_found(ground):
    os.link(ground.workspace / "a/one", ground.workspace / "b/c/other")
    ground.taken()
    (ground.workspace / "b/c/other").write_bytes(b"by another name")
    ground.taken()


def test_an_edit_by_a_name_that_is_gone_again_is_found(ground):
    os.link(ground.workspace / "a/one", ground.workspace / "b/c/other")
    (ground.workspace / "b/c/other").write_bytes(b"by another name")
    (ground.workspace / "b/c/other").unlink()
    ground.taken()


def test_files_that_are_saved_by_renaming_cost_no_full_walk(ground, looked):
    put(ground.workspace, "b/c/.one.tmp", b"saved as an editor does")
    (ground.workspace / "b/c/.one.tmp").rename(ground.workspace / "b/c/one")
    ground.taken()
    assert "a" not in looked


def test_an_edit_by_a_name_outside_is_found_when_it_was_there_from_the_beginning(fresh_directory):
    outside = put(fresh_directory, "outside", b"linked")
    (fresh_directory / "workspace" / "b").mkdir(parents=True)
    os.link(outside, fresh_directory / "workspace" / "b" / "linked")
    ground = Ground(fresh_directory, "cow")
    with ground.engine:
        outside.write_bytes(b"edited outside")
        ground.taken()


def test_an_overflow_of_the_queue_has_everything_looked_at(ground, looked):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 10):
        os.utime(ground.workspace / ("three" if number % 2 else "a/two"), ns=(number, number))
    put(ground.workspace, "b/c/one", b"after the overflow")
    ground.taken()
    assert "b/c" in looked and "a" in looked


def test_everything_is_looked_at_now_and_then(ground, looked):
    for _ in range(watching.FULL_EVERY + 1):
        ground.engine.snapshot(ground.workspace)
    assert "b/c" in looked


def test_a_change_that_is_told_to_nobody_is_found_by_the_full_walk_and_ends_the_watch(ground, caplog):
    with open(ground.workspace / "b/c/one", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        ground.engine.snapshot(ground.workspace)  # being opened for writing is told of
        with caplog.at_level(logging.WARNING):
            mapped[:1] = b"X"
            mapped.flush()
            for _ in range(watching.FULL_EVERY + 1):
                ground.engine.snapshot(ground.workspace)
        assert difference(picture(ground.workspace), ground.held()) == []
        assert "looked at whole from now on" in caplog.text
        mapped[:1] = b"Y"
        mapped.flush()
        ground.taken()


def test_a_restore_looks_at_everything_first(ground):
    with open(ground.workspace / "b/c/one", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        ground.engine.snapshot(ground.workspace)
        mapped[:1] = b"X"
        mapped.flush()
        edited = picture(ground.workspace)
        ground.engine.restore(ground.workspace, "1")
        ground.engine.undo(ground.workspace)
        assert difference(edited, picture(ground.workspace)) == []


def test_another_process_that_took_one_in_between_costs_nothing_but_a_walk(ground, looked):
    put(ground.workspace, "a/one", b"edited")
    with Engine(store=ground.engine.settings.base, backend=ground._name) as other:
        assert isinstance(other.snapshot(ground.workspace), Taken)
    put(ground.workspace, "b/c/one", b"and then")
    ground.taken()
    assert "a" in looked


def test_a_workspace_that_was_moved_away_and_made_anew_is_another(ground):
    ground.workspace.rename(ground.workspace.with_name("moved"))
    shutil.copytree(ground.workspace.with_name("moved"), ground.workspace)
    put(ground.workspace, "b/c/one", b"in another workspace")
    ground.taken()


def test_a_fork_does_not_take_what_was_told_to_its_parent(ground):
    put(ground.workspace, "b/c/one", b"before the fork")
    child = os.fork()
    if not child:
        try:
            ground.engine.snapshot(ground.workspace)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    put(ground.workspace, "a/one", b"after the fork")
    ground.taken()


def test_no_more_watches_than_the_user_may_have_is_no_failure(ground, monkeypatch, caplog):
    def refuse(self, path, mask):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("inotify_simple.INotify.add_watch", refuse)
    put(ground.workspace, "b/new/file", b"new")
    ground.taken()
    assert "looked at whole from now on" in caplog.text
    put(ground.workspace, "b/c/one", b"edited")
    ground.taken()
