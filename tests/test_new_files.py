"""Losing work, or getting less than was there, when many files come back to a directory that is there."""

import errno
import os
import resource
import stat
import threading

import pytest

from coming_back import during, killed_within, left, without_modes
from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.contract import Entry, Kind, Place
from hermes_checkpoints.kit.write import ahead
from hermes_checkpoints.kit.write.beside import made_beside
from hermes_checkpoints.kit.write.replacing import Moved
from hermes_checkpoints.kit.write.writing import TreeWriter
from hermes_checkpoints.testing.processes import asked_at_steps
from hermes_checkpoints.testing.witness import difference, picture
from spoiling import spoil
from trees import BACKENDS, ground, put

FILES = 40
POINTS = 12


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def fill(workspace) -> None:
    for number in range(FILES):
        put(workspace, f"d/f{number:02}", b"then %d\n" % number * 20)
    put(workspace, "d/private", b"secret").chmod(0o600)
    put(workspace, "d/tool", b"#!/bin/sh\n").chmod(0o755)
    put(workspace, "d/shut", b"read only").chmod(0o444)
    put(workspace, "d/empty", b"")
    put(workspace, "d/large", os.urandom(1 << 20))
    put(workspace, "d/b/in between", b"stays")
    put(workspace, "stays", b"")
    if hasattr(os, "setxattr"):
        put(workspace, "d/attributed", b"x").chmod(0o600)
        os.setxattr(workspace / "d/attributed", "user.two", b"2")
        (workspace / "d/attributed").chmod(0o400)


def remove(workspace) -> None:
    for path in (workspace / "d").iterdir():
        if path.is_file():
            path.unlink()


def taken_and_removed(here) -> str:
    fill(here.workspace)
    target = here.take().snapshot.id
    remove(here.workspace)
    return target


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_files_that_are_gone_come_back_with_all_their_attributes(here, umask):
    fill(here.workspace)
    before = picture(here.workspace)
    taken = here.take()
    remove(here.workspace)
    was = os.umask(umask)
    try:
        done = here.engine.restore(here.workspace, taken.snapshot.id)
    finally:
        os.umask(was)
    assert (done.failed, done.kept) == ([], [])
    assert difference(before, picture(here.workspace)) == []
    assert list(done.written) == sorted(done.written)


def test_times_of_files_that_are_gone_come_back_on_request(here):
    fill(here.workspace)
    paths = [path for path in (here.workspace / "d").iterdir() if path.is_file()]
    for number, path in enumerate(paths):
        os.utime(path, ns=(number * 10**9, number * 10**9))
    taken = here.take()
    before = {path: path.stat().st_mtime_ns for path in paths}
    remove(here.workspace)
    here.engine.restore(here.workspace, taken.snapshot.id, times=True)
    assert {path: path.stat().st_mtime_ns for path in paths} == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_that_root_puts_back_belong_to_the_owner_of_their_directory(here):
    target = taken_and_removed(here)
    os.chown(here.workspace / "d", 4711, 4712)
    here.engine.restore(here.workspace, target)
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (here.workspace / "d").iterdir() if path.is_file()}
    assert owners == {(4711, 4712)}


def test_what_somebody_puts_in_the_place_of_files_that_come_back_is_kept(here, monkeypatch):
    target = taken_and_removed(here)

    def appear() -> None:
        for name in ("f00", "f30", "new"):  # one whose content waits, one that is still to be made
            put(here.workspace, f"d/{name}", b"theirs")

    during(here, monkeypatch, appear, after=10)
    done = here.engine.restore(here.workspace, target)
    assert ([one.path for one in done.kept], done.failed) == (["d/f00", "d/f30"], [])
    assert {(here.workspace / f"d/{name}").read_bytes() for name in ("f00", "f30", "new")} == {b"theirs"}
    assert (here.workspace / "d/f31").read_bytes() == b"then 31\n" * 20
    assert left(here.workspace) == []


def test_a_directory_that_somebody_replaces_by_a_link_meanwhile_is_not_followed(here, monkeypatch):
    target = taken_and_removed(here)
    outside = here.workspace.parent / "outside"
    outside.mkdir()

    def swap() -> None:
        (here.workspace / "d").rename(here.workspace / "moved")
        (here.workspace / "d").symlink_to(outside)

    during(here, monkeypatch, swap, after=10)
    here.engine.restore(here.workspace, target)
    assert os.listdir(outside) == []
    assert left(here.workspace) == []


def test_one_file_that_cannot_be_made_costs_no_other_of_its_directory(here, monkeypatch):
    fill(here.workspace)
    before = picture(here.workspace)
    target = here.take().snapshot.id
    remove(here.workspace)
    backend = plugins.load(here.engine.choose(here.workspace).name)
    one, many = backend.materialise, backend.materialise_all

    def fail(self, entry, dir_fd, name):
        if entry.mode == 0o755:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), name)
        one(self, entry, dir_fd, name)

    def fail_too(self, files):
        for file in files:
            if file.entry.mode == 0o755:
                os.close(os.open(file.name, os.O_CREAT | os.O_EXCL, 0o600, dir_fd=file.dir_fd))  # half made
                raise OSError(errno.EPERM, os.strerror(errno.EPERM), file.name)
            yield from many(self, [file])

    monkeypatch.setattr(backend, "materialise", fail)
    monkeypatch.setattr(backend, "materialise_all", fail_too)
    done = here.engine.restore(here.workspace, target)
    assert [one.path for one in done.failed] == ["d/tool"]
    assert left(here.workspace) == []
    del before[b"d/tool"]
    assert difference(before, picture(here.workspace)) == []


def test_a_damaged_content_is_not_handed_out_among_files_that_come_back(here):
    content = os.urandom(3000)
    put(here.workspace, "d/f10 damaged", content)
    fill(here.workspace)
    before = picture(here.workspace)
    target = here.take().snapshot.id
    remove(here.workspace)
    spoil(here.store, content)
    done = here.engine.restore(here.workspace, target)
    assert [one.path for one in done.failed] == ["d/f10 damaged"]
    del before[b"d/f10 damaged"]
    assert difference(before, picture(here.workspace)) == []


def test_another_file_in_the_place_of_new_content_does_not_get_its_attributes(tmp_path):
    theirs = put(tmp_path, "theirs", b"theirs")
    theirs.chmod(0o600)

    def fill_with_theirs(files):
        for file in files:
            os.link(theirs, file.name, dst_dir_fd=file.dir_fd)
            yield os.open(file.name, os.O_RDONLY, dir_fd=file.dir_fd)

    with TreeWriter(tmp_path) as writer, pytest.raises(Moved):
        list(made_beside(writer, [("new", Entry(Kind.FILE, 0o777))], fill_with_theirs, times=True))
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o600


def test_files_that_cannot_be_synced_do_not_come_back_at_all(here, monkeypatch):
    """With their names, they would be empty after a power cut."""
    target = taken_and_removed(here)

    def fail(root):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(root))

    monkeypatch.setattr(ahead, "sync_filesystem", fail)
    done = here.engine.restore(here.workspace, target)
    assert len(done.failed) > FILES
    assert done.written == []
    assert os.listdir(here.workspace / "d") == ["b"]


@pytest.mark.parametrize("gone", ["files", "directory"])
def test_what_the_medium_lost_while_the_rest_was_written_does_not_come_back(here, monkeypatch, gone):
    """The kernel tells of a lost write once, and it was the thread that it told."""
    target = taken_and_removed(here)
    if gone == "directory":
        (here.workspace / "d/b/in between").unlink()
        (here.workspace / "d/b").rmdir()
        (here.workspace / "d").rmdir()
    really, told = ahead.sync_filesystem_of, []

    def lose(fd, root):
        if threading.current_thread() is not threading.main_thread() and not told:
            told.append(root)
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(root))
        really(fd, root)

    monkeypatch.setattr(ahead, "STEP", 1)
    monkeypatch.setattr(ahead, "sync_filesystem_of", lose)
    done = here.engine.restore(here.workspace, target)
    assert told
    assert len(done.failed) > FILES
    assert done.written == []
    assert left(here.workspace) == []


def test_a_process_with_hardly_a_descriptor_left_restores_all_the_same(here):
    """What only makes it faster makes do with what is free."""
    target = taken_and_removed(here)
    shut = [os.open(os.devnull, os.O_RDONLY) for _ in range(30)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for descriptor in shut:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(shut) + 1, limits[1]))
    try:
        done = here.engine.restore(here.workspace, target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert done.failed == []
    assert len(done.written) > FILES


def test_no_file_is_synced_by_itself_among_many_that_come_back(here, monkeypatch):
    target = taken_and_removed(here)
    syncs = []
    really = ahead.sync_filesystem
    monkeypatch.setattr(ahead, "sync_filesystem", lambda root: (syncs.append("all"), really(root)))
    monkeypatch.setattr("hermes_checkpoints.kit.write.writing.sync", lambda fd: syncs.append("one"))
    here.engine.restore(here.workspace, target)
    assert syncs == ["all"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_file_that_comes_back_is_whole_or_not_there_wherever_the_restore_is_killed(backend, fresh_directory):
    workspace, store = fresh_directory / "workspace", fresh_directory / "store"

    def restore() -> None:
        with Engine(store=store, backend=backend) as engine:
            engine.restore(workspace, target)

    def gone() -> None:
        remove(workspace)
        with Engine(store=store, backend=backend) as engine:
            engine.snapshot(workspace)  # sweeps

    with ground(fresh_directory, backend, store=store) as made:
        fill(workspace)
        target = made.take().snapshot.id
    before, exactly = without_modes(workspace), picture(workspace)
    gone()
    place = Place(store / "store", workspace)
    note = place.store / "restoring" / f"{place.workspace_id}.json"
    inside = sum(asked_at_steps(restore, note.exists))
    waiting = 0
    for step in range(1, inside, inside // POINTS):
        gone()
        assert killed_within(step, note, restore)
        waiting += bool(left(workspace))
        now = without_modes(workspace)
        assert now.items() <= before.items(), "a file that is there is whole"
        with Engine(store=store, backend=backend) as engine:
            engine.finish_restore(workspace)
        assert left(workspace) == []
        assert difference(exactly, picture(workspace)) == []
    assert waiting > POINTS // 3, "they were not made beside their places"
