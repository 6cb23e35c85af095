"""Losing work, or getting less than was there, when directories that are gone come back as a whole."""

import errno
import os
import shutil
import stat

import pytest

from coming_back import during, killed_within, left, without_modes
from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.contract import Place
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.write import ahead
from hermes_checkpoints.kit.write.sweeping import building_name, remove_tree, sweep
from hermes_checkpoints.testing.processes import asked_at_steps
from hermes_checkpoints.testing.witness import difference, picture
from spoiling import spoil
from trees import BACKENDS, ground, put

FILES = 40
POINTS = 12
DEEP = 1200  # more than Python's stack has frames for
TOKEN = "0badcafe"


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def fill(workspace) -> None:
    for number in range(FILES):
        put(workspace, f"d/{number % 3}/f{number}", b"then %d\n" % number * 20)
    put(workspace, "d/private", b"secret").chmod(0o600)
    put(workspace, "d/tool", b"#!/bin/sh\n").chmod(0o755)
    put(workspace, "d/shut/in", b"read only").chmod(0o444)
    (workspace / "d/link").symlink_to("0")
    (workspace / "d/empty").mkdir(mode=0o750)
    put(workspace, "d/large", os.urandom(5 << 20))
    if hasattr(os, "setxattr"):
        os.setxattr(workspace / "d/tool", "user.one", b"1")
        put(workspace, "d/attributed", b"x").chmod(0o600)
        os.setxattr(workspace / "d/attributed", "user.two", b"2")
        (workspace / "d/attributed").chmod(0o400)
    (workspace / "d/shut").chmod(0o555)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_directory_that_is_gone_comes_back_with_all_its_attributes(here, umask):
    fill(here.workspace)
    before = picture(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "d")
    was = os.umask(umask)
    try:
        done = here.engine.restore(here.workspace, taken.snapshot.id)
    finally:
        os.umask(was)
    assert (done.failed, done.kept) == ([], [])
    assert difference(before, picture(here.workspace)) == []
    assert list(done.written) == sorted(done.written)


def test_times_come_back_on_request_in_a_directory_that_is_gone(here):
    fill(here.workspace)
    paths = [path for path in here.workspace.rglob("*") if not path.is_symlink()]
    for number, path in enumerate(reversed(paths)):
        os.utime(path, ns=(number * 10**9, number * 10**9))
    taken = here.take()
    before = {path: path.stat().st_mtime_ns for path in paths}
    shutil.rmtree(here.workspace / "d")
    here.engine.restore(here.workspace, taken.snapshot.id, times=True)
    assert {path: path.stat().st_mtime_ns for path in paths} == before


@pytest.mark.parametrize("theirs", ["directory", "file", "link"])
def test_what_somebody_puts_in_the_place_of_a_directory_that_comes_back_is_kept(here, monkeypatch, theirs):
    fill(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "d")
    outside = here.workspace.parent / "outside"
    outside.mkdir()

    def appear() -> None:
        if theirs == "directory":
            put(here.workspace, "d/0/f0", b"theirs")
            put(here.workspace, "d/new", b"theirs")
        elif theirs == "file":
            put(here.workspace, "d", b"theirs")
        else:
            (here.workspace / "d").symlink_to(outside)

    during(here, monkeypatch, appear)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert os.listdir(outside) == []
    assert left(here.workspace) == []
    if theirs == "directory":
        assert ([one.path for one in done.kept], done.failed) == (["d/0/f0"], [])
        assert (here.workspace / "d/0/f0").read_bytes() == (here.workspace / "d/new").read_bytes() == b"theirs"
        assert (here.workspace / "d/1/f1").read_bytes() == b"then 1\n" * 20
    else:
        assert not done.written
        assert len(done.kept) + len(done.failed) >= FILES
        assert stat.S_ISLNK(os.lstat(here.workspace / "d").st_mode) is (theirs == "link")


def test_one_file_that_cannot_be_made_costs_no_other_of_its_directory(here, monkeypatch):
    fill(here.workspace)
    before = picture(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "d")
    backend = plugins.load(here.engine.choose(here.workspace).name)
    really = backend.materialise

    def fail(self, entry, dir_fd, name):
        if entry.mode == 0o755:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), name)
        really(self, entry, dir_fd, name)

    def fail_too(self, files):
        for file in files:
            if file.entry.mode == 0o755:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM), file.name)
            yield from all_of_them(self, [file])

    all_of_them = backend.materialise_all
    monkeypatch.setattr(backend, "materialise", fail)
    monkeypatch.setattr(backend, "materialise_all", fail_too)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert [one.path for one in done.failed] == ["d/tool"]
    del before[b"d/tool"]
    assert difference(before, picture(here.workspace)) == []


def test_a_damaged_content_is_not_handed_out_in_a_directory_that_comes_back(here):
    fill(here.workspace)
    content = os.urandom(3000)
    put(here.workspace, "d/damaged", content)
    before = picture(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "d")
    spoil(here.store, content)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert [one.path for one in done.failed] == ["d/damaged"]
    del before[b"d/damaged"]
    assert difference(before, picture(here.workspace)) == []


def test_directories_that_cannot_be_synced_do_not_come_back_at_all(here, monkeypatch):
    """With their names, they would be full of empty files after a power cut."""
    fill(here.workspace)
    put(here.workspace, "other", b"")
    taken = here.take()
    shutil.rmtree(here.workspace / "d")

    def fail(root):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(root))

    monkeypatch.setattr(ahead, "sync_filesystem", fail)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert len(done.failed) > FILES
    assert done.written == []
    assert os.listdir(here.workspace) == ["other"]


def test_no_file_is_synced_by_itself_in_directories_that_come_back(here, monkeypatch):
    fill(here.workspace)
    taken = here.take()
    shutil.rmtree(here.workspace / "d")
    syncs = []
    really = ahead.sync_filesystem
    monkeypatch.setattr(ahead, "sync_filesystem", lambda root: (syncs.append("all"), really(root)))
    monkeypatch.setattr("hermes_checkpoints.kit.write.writing.sync", lambda fd: syncs.append("one"))
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert syncs == ["all"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_directory_that_comes_back_is_whole_or_not_there_wherever_the_restore_is_killed(backend, fresh_directory):
    workspace, store = fresh_directory / "workspace", fresh_directory / "store"

    def restore() -> None:
        with Engine(store=store, backend=backend) as engine:
            engine.restore(workspace, target)

    def gone() -> None:
        shutil.rmtree(workspace / "d", ignore_errors=True)
        with Engine(store=store, backend=backend) as engine:
            engine.snapshot(workspace)  # sweeps

    with ground(fresh_directory, backend, store=store) as made:
        fill(workspace)
        put(workspace, "other", b"")
        target = made.take().snapshot.id
    before, exactly = without_modes(workspace), picture(workspace)
    gone()
    place = Place(store / "store", workspace)
    note = place.store / "restoring" / f"{place.workspace_id}.json"
    inside = sum(asked_at_steps(restore, note.exists))
    built = 0
    for step in range(1, inside, inside // POINTS):
        gone()
        assert killed_within(step, note, restore)
        built += bool(left(workspace))
        assert without_modes(workspace) in (before, {path: before[path] for path in (b"", b"other")})
        with Engine(store=store, backend=backend) as engine:
            engine.finish_restore(workspace)
        assert left(workspace) == []
        assert difference(exactly, picture(workspace)) == []
    assert built > POINTS // 2, "it was not built beside its place"


def test_a_directory_that_was_being_built_at_a_kill_goes_with_all_that_is_in_it(on_filesystem):
    ours, others = building_name(TOKEN, 0), building_name("11111111", 0)
    outside = put(on_filesystem, "outside/file", b"theirs").parent
    root = on_filesystem / "w"
    for name in (ours, others):
        put(root, f"a/{name}/deep/er/file", b"half")
        (root / f"a/{name}/deep/link").symlink_to(outside)
        (root / f"a/{name}/deep").chmod(0o300)
    sweep(root, TOKEN, ["a"], {})
    assert os.listdir(root / "a") == [others]
    assert (outside / "file").read_bytes() == b"theirs"


def test_a_building_deeper_than_the_stack_goes(on_filesystem):
    with Descent(str(on_filesystem)) as descent:
        for number in range(DEEP):
            name = building_name(TOKEN, 0) if not number else "d"
            os.mkdir(name, dir_fd=descent.fd)
            descent.enter(name)
        descent.go(())
        remove_tree(descent, building_name(TOKEN, 0))
    assert os.listdir(on_filesystem) == []
