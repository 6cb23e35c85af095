"""Losing work between two system calls of a restore: what is there at every moment, and who else may be at work."""

import errno
import os
import stat

import pytest

from hermes_checkpoints.contract import Stamp
from hermes_checkpoints.kit.write import ahead, replacing
from hermes_checkpoints.kit.write.portion import FILES
from hermes_checkpoints.kit.write.swapping import Renames, renames
from hermes_checkpoints.kit.write.writing import Moved, TreeWriter
from trees import BACKENDS, ground, put

TOKEN = "0badcafe"


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def stamp(path) -> Stamp:
    return Stamp.of(path.lstat())


def made_beside(writer, root, content=b"new"):
    """A finished file beside ``name``: its scratch name and how it was made."""
    scratch = writer.scratch()
    put(root, scratch, content)
    return scratch, stamp(root / scratch)


class Interrupted(Renames):
    """Somebody who does something right before, or right after, the first exchange."""

    def __init__(self, before=lambda: None, after=lambda: None) -> None:
        self._before, self._after = before, after

    def exchange(self, dir_fd, one, other):
        self._before()
        done = renames().exchange(dir_fd, one, other)
        self._after()
        self._before = self._after = lambda: None
        return done


def test_an_edit_between_the_last_look_and_the_rename_is_kept(on_filesystem, monkeypatch):
    target = put(on_filesystem, "name", b"then")
    with TreeWriter(on_filesystem) as writer:
        expected = stamp(target)
        scratch, made = made_beside(writer, on_filesystem)
        monkeypatch.setattr(replacing, "renames", lambda: Interrupted(before=lambda: target.write_bytes(b"last!!")))
        with pytest.raises(Moved):
            writer.put("name", scratch, made, expected)
        assert target.read_bytes() == b"last!!"
        writer.discard("name", scratch, made)
    assert os.listdir(on_filesystem) == ["name"]


def test_a_file_made_in_an_empty_directory_between_the_last_look_and_the_rename_is_kept(on_filesystem, monkeypatch):
    (on_filesystem / "name").mkdir()
    with TreeWriter(on_filesystem) as writer:
        scratch, made = made_beside(writer, on_filesystem)
        act = Interrupted(before=lambda: put(on_filesystem, "name/theirs", b"theirs"))
        monkeypatch.setattr(replacing, "renames", lambda: act)
        with pytest.raises(Moved):
            writer.put("name", scratch, made, None)
    assert (on_filesystem / "name/theirs").read_bytes() == b"theirs"


def test_a_file_that_appears_where_nothing_is_expected_is_not_replaced(on_filesystem):
    theirs = put(on_filesystem, "name", b"theirs")
    with TreeWriter(on_filesystem) as writer:
        scratch, made = made_beside(writer, on_filesystem)
        with pytest.raises(Moved):
            writer.put("name", scratch, made, None)
    assert theirs.read_bytes() == b"theirs"


@pytest.mark.parametrize("case", ["a directory over a file", "a file over a directory", "a file over a link"])
def test_a_name_that_changes_its_kind_is_there_at_every_moment(on_filesystem, monkeypatch, case):
    """Looked at right before and right after the one call that changes anything."""
    name, seen = on_filesystem / "name", []
    look = Interrupted(before=lambda: seen.append(name.lstat()), after=lambda: seen.append(name.lstat()))
    monkeypatch.setattr(replacing, "renames", lambda: look)
    with TreeWriter(on_filesystem) as writer:
        if case == "a directory over a file":
            put(on_filesystem, "name", b"then")
            writer.make_directory("name", stamp(name))
        else:
            name.mkdir() if case == "a file over a directory" else name.symlink_to("nowhere")
            expected = None if name.is_dir() else stamp(name)
            writer.put("name", *made_beside(writer, on_filesystem), expected)
    assert len(seen) == 2
    assert stat.S_IFMT(seen[0].st_mode) != stat.S_IFMT(seen[1].st_mode)
    assert os.listdir(on_filesystem) == ["name"]


@pytest.mark.parametrize("kind", ["file", "link", "directory"])
def test_where_names_cannot_be_exchanged_they_are_replaced_all_the_same(on_filesystem, monkeypatch, kind):
    class Old(Interrupted):
        def exchange(self, dir_fd, one, other):
            return False

    monkeypatch.setattr(replacing, "renames", Old)
    name = on_filesystem / "name"
    with TreeWriter(on_filesystem) as writer:
        put(on_filesystem, "name", b"then")
        if kind == "directory":
            writer.make_directory("name", stamp(name))
            assert name.is_dir()
            writer.put("name", *made_beside(writer, on_filesystem), None)
        writer.put("name", *made_beside(writer, on_filesystem), stamp(name))
    assert name.read_bytes() == b"new"
    assert os.listdir(on_filesystem) == ["name"]


def test_a_file_whose_name_was_taken_by_somebody_while_it_waited_is_not_put(on_filesystem):
    target = put(on_filesystem, "name", b"then")
    with TreeWriter(on_filesystem) as writer:
        scratch, made = made_beside(writer, on_filesystem)
        (on_filesystem / scratch).unlink()
        (on_filesystem / scratch).symlink_to("/etc/hostname")
        with pytest.raises(Moved):
            writer.put("name", scratch, made, stamp(target))
    assert target.read_bytes() == b"then"


def test_attributes_never_go_to_a_file_that_was_linked_in_the_place_of_the_new_content(on_filesystem):
    outside = put(on_filesystem, "outside", b"theirs")
    outside.chmod(0o600)
    (on_filesystem / "w").mkdir()
    with TreeWriter(on_filesystem / "w") as writer:
        scratch = writer.scratch()
        os.link(outside, on_filesystem / "w" / scratch)
        with pytest.raises(Moved):
            writer.finish("name", scratch, 0o777, (), None)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600


def test_a_file_of_which_two_things_differ_is_replaced_and_never_half_old_half_new(here):
    path = put(here.workspace, "file", b"same")
    if not hasattr(os, "setxattr"):
        pytest.skip("needs os.setxattr")
    path.chmod(0o640)
    os.setxattr(path, "user.one", b"1")
    taken = here.take()
    path.chmod(0o600)
    os.setxattr(path, "user.one", b"2")
    inode = path.stat().st_ino
    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []
    assert path.stat().st_ino != inode
    assert (stat.S_IMODE(path.stat().st_mode), os.getxattr(path, "user.one")) == (0o640, b"1")


def test_an_edit_while_a_portion_waits_for_its_sync_is_kept(here, monkeypatch):
    for number in range(40):
        put(here.workspace, f"f{number:02}", b"then")
    taken = here.take()
    for number in range(40):
        put(here.workspace, f"f{number:02}", b"changed")
    really = ahead.sync_filesystem

    def edit_and_sync(root):
        put(here.workspace, "f07", b"last!!")
        really(root)

    monkeypatch.setattr(ahead, "sync_filesystem", edit_and_sync)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert [failure.path for failure in done.kept] == ["f07"]
    found = {path.name: path.read_bytes() for path in here.workspace.iterdir()}
    assert found == {f"f{number:02}": b"last!!" if number == 7 else b"then" for number in range(40)}


def test_a_portion_that_cannot_be_synced_replaces_nothing(here, monkeypatch):
    """Renamed all the same, the files would be empty after a power cut."""
    for number in range(40):
        put(here.workspace, f"f{number:02}", b"then")
    taken = here.take()
    for number in range(40):
        put(here.workspace, f"f{number:02}", b"changed")
    put(here.workspace, "new", b"new")

    def fail(root):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(root))

    monkeypatch.setattr(ahead, "sync_filesystem", fail)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert len(done.failed) == 41
    assert done.written == done.deleted == []
    found = {path.name: path.read_bytes() for path in here.workspace.iterdir()}
    assert found == {f"f{number:02}": b"changed" for number in range(40)} | {"new": b"new"}


def test_more_files_than_a_portion_come_back(here):
    names = [f"d{number % 7}/f{number}" for number in range(FILES + 40)]
    for name in names:
        put(here.workspace, name, name)
    taken = here.take()
    for name in names:
        put(here.workspace, name, b"changed")
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert (done.failed, done.kept, list(done.written)) == ([], [], sorted(names))
    assert all((here.workspace / name).read_bytes() == name.encode() for name in names)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])  # a small Btrfs has no room for names long before
def test_a_disk_without_room_for_all_new_contents_at_once_takes_them_one_after_the_other(
    small_filesystem, fresh_directory, kind
):
    size, files = 1 << 20, 40
    with (
        small_filesystem(kind, {"ext4": 96, "xfs": 320}[kind]) as filesystem,
        ground(filesystem.root, "shadow-git", store=fresh_directory / "store") as here,
    ):
        for number in range(files):
            put(here.workspace, f"f{number:02}", bytes([number]) * size)
        taken = here.take()
        for number in range(files):
            put(here.workspace, f"f{number:02}", bytes([number + 100]) * size)
        spare = put(filesystem.root, "spare", os.urandom(12 * size))
        with (filesystem.root / "filler").open("wb", 0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(os.urandom(size))
        spare.unlink()
        os.sync()
        done = here.engine.restore(here.workspace, taken.snapshot.id)
        assert done.failed == []
        for number in range(files):
            assert (here.workspace / f"f{number:02}").read_bytes() == bytes([number]) * size
