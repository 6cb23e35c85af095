"""Content is cloned where the filesystem can and copied where it cannot, and a failure leaves nothing behind."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from contextlib import contextmanager
from itertools import count

import pytest

from hermes_checkpoints_cow import cloning
from hermes_checkpoints_cow.cloning import NOT_HERE, Placed, TooLargeToCopy, place_content
from hermes_checkpoints_cow.copying import BLOCK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="FICLONE and loop images are Linux's")

ODD_NAME = os.fsdecode(b"-\xff\n")
# What a clone may fail with that a copy must not follow: no room, broken, or an answer.
NOT_TO_BE_COPIED = ("ENOSPC", "EDQUOT", "EFBIG", "ENOMEM", "EIO", "ESTALE", "EROFS", "EISDIR", "EBADF", "EMFILE")


@contextmanager
def opened(path, flags=os.O_RDONLY):
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def place(source, directory, name="held", *, mode=0o400, may_copy=True):
    with opened(source) as source_fd, opened(directory) as dir_fd:
        return place_content(source_fd, dir_fd, name, mode=mode, may_copy=may_copy)


def never(size):
    raise AssertionError("a copy was considered")


def ioctl_failing(monkeypatch, *errors):
    """The next FICLONEs fail with these; what comes after them is real."""
    left = list(errors)
    really = fcntl.ioctl

    def ioctl(fd, number, argument):
        if left:
            failed = left.pop(0)
            raise OSError(failed, os.strerror(failed))
        return really(fd, number, argument)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)


@pytest.mark.parametrize("size", [0, 1, 10_000, 3 * BLOCK, 3 * BLOCK + 1])
def test_content_comes_out_whole_whatever_the_umask_and_the_offset_are(filesystem, on_filesystem, size):
    source = on_filesystem / "source"
    source.write_bytes(os.urandom(size))
    umask = os.umask(0o777)
    try:
        with opened(source) as source_fd, opened(on_filesystem) as dir_fd:
            os.lseek(source_fd, size // 2, os.SEEK_SET)
            placed = place_content(source_fd, dir_fd, ODD_NAME, mode=0o400)
            assert os.lseek(source_fd, 0, os.SEEK_CUR) == size // 2
    finally:
        os.umask(umask)
    held = on_filesystem / ODD_NAME
    assert placed is (Placed.CLONED if filesystem.clones else Placed.COPIED)
    assert held.read_bytes() == source.read_bytes()
    assert held.stat().st_nlink == 1  # never a hard link to the workspace's file
    assert stat.S_IMODE(held.stat().st_mode) == 0o400


def test_nobody_else_can_open_new_content_before_it_is_whole(monkeypatch, on_filesystem):
    (on_filesystem / "source").write_bytes(b"content")
    seen = []
    really = fcntl.ioctl

    def ioctl(fd, number, argument):
        seen.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return really(fd, number, argument)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    umask = os.umask(0)
    try:
        place(on_filesystem / "source", on_filesystem, mode=0o755)
    finally:
        os.umask(umask)
    assert seen == [0o600]
    assert stat.S_IMODE((on_filesystem / "held").stat().st_mode) == 0o755


def test_a_clone_takes_no_space_and_later_edits_of_the_source_do_not_reach_it(filesystem, on_filesystem):
    if not filesystem.clones:
        pytest.skip(f"{filesystem.name} cannot clone")
    source = on_filesystem / "source"
    content = os.urandom(32 << 20)
    source.write_bytes(content)
    os.sync()
    before = os.statvfs(on_filesystem)
    assert place(source, on_filesystem, may_copy=never) is Placed.CLONED
    os.sync()
    after = os.statvfs(on_filesystem)
    assert (before.f_bfree - after.f_bfree) * after.f_frsize < 2 << 20
    with source.open("r+b") as edited:
        edited.write(b"edited")
    assert (on_filesystem / "held").read_bytes() == content


@pytest.mark.parametrize("where", ["dangling", "file", "directory"])
def test_a_taken_name_stays_as_it_is_and_a_symlink_planted_there_is_not_followed(on_filesystem, where):
    (on_filesystem / "source").write_bytes(b"content")
    (on_filesystem / "file").write_bytes(b"victim")
    (on_filesystem / "directory").mkdir()
    (on_filesystem / "held").symlink_to(where)
    for taken in ("held", "file", "directory"):
        with pytest.raises(FileExistsError):
            place(on_filesystem / "source", on_filesystem, taken)
    assert os.readlink(on_filesystem / "held") == where
    assert sorted(os.listdir(on_filesystem)) == ["directory", "file", "held", "source"]
    assert (on_filesystem / "file").read_bytes() == b"victim"
    assert os.listdir(on_filesystem / "directory") == []


def test_content_from_another_filesystem_is_copied(on_filesystem, fresh_directory):
    (fresh_directory / "source").write_bytes(b"content")
    assert place(fresh_directory / "source", on_filesystem) is Placed.COPIED
    assert (on_filesystem / "held").read_bytes() == b"content"


def test_too_large_to_copy_leaves_nothing_and_a_clone_is_never_too_large(filesystem, on_filesystem):
    source = on_filesystem / "source"
    source.write_bytes(b"12345")
    asked = []
    if filesystem.clones:
        assert place(source, on_filesystem, may_copy=False) is Placed.CLONED
        return
    with pytest.raises(TooLargeToCopy):
        place(source, on_filesystem, may_copy=False)
    with pytest.raises(TooLargeToCopy):
        place(source, on_filesystem, may_copy=lambda size: asked.append(size))
    assert asked == [5]
    assert os.listdir(on_filesystem) == ["source"]


def test_btrfs_clones_from_one_subvolume_to_another(small_filesystem):
    with small_filesystem("btrfs", 128) as btrfs:
        for name in ("workspace", "store"):
            subprocess.run(["btrfs", "subvolume", "create", btrfs.root / name], check=True, capture_output=True)
        (btrfs.root / "workspace" / "source").write_bytes(os.urandom(100_000))
        devices = {(btrfs.root / name).stat().st_dev for name in ("workspace", "store")}
        assert len(devices) == 2  # so st_dev is no way to tell where a clone is possible
        assert place(btrfs.root / "workspace" / "source", btrfs.root / "store") is Placed.CLONED
        assert (btrfs.root / "store/held").read_bytes() == (btrfs.root / "workspace/source").read_bytes()


def test_one_file_that_cannot_be_cloned_costs_the_next_nothing(small_filesystem):
    with small_filesystem("btrfs", 128) as btrfs:
        nocow, ordinary = btrfs.root / "nocow", btrfs.root / "ordinary"
        nocow.touch()
        subprocess.run(["chattr", "+C", nocow], check=True)
        for path in (nocow, ordinary):
            path.write_bytes(os.urandom(100_000))
        assert place(nocow, btrfs.root, "a") is Placed.COPIED
        assert place(ordinary, btrfs.root, "b") is Placed.CLONED
        assert (btrfs.root / "a").read_bytes() == nocow.read_bytes()


def test_a_disk_that_fills_up_during_a_copy_keeps_no_part_of_it(small_filesystem):
    with small_filesystem("ext4", 16) as ext4:
        source = ext4.root / "source"
        source.write_bytes(os.urandom(9 << 20))
        before = sorted(os.listdir(ext4.root))
        with pytest.raises(OSError) as full:
            place(source, ext4.root)
        assert full.value.errno == errno.ENOSPC
        assert sorted(os.listdir(ext4.root)) == before


def test_a_disk_that_fills_up_with_clones_is_not_given_a_copy(small_filesystem):
    with small_filesystem("xfs", 300) as xfs:
        source = xfs.root / "source"
        with source.open("wb", buffering=0) as fragmented:  # many extents: a clone takes some metadata
            for block in range(2000):
                os.pwrite(fragmented.fileno(), b"x" * 4096, block * 8192)
        with (xfs.root / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="space"):
            while True:
                filler.write(bytes(1 << 20))
        os.truncate(xfs.root / "filler", (xfs.root / "filler").stat().st_size - (1 << 20))
        os.sync()
        for number in count():
            try:
                assert place(source, xfs.root, f"held {number}", may_copy=never) is Placed.CLONED
            except OSError as error:
                assert error.errno == errno.ENOSPC
                break
        assert number > 0
        assert not (xfs.root / f"held {number}").exists()
        assert all((xfs.root / f"held {n}").stat().st_size == source.stat().st_size for n in range(number))


@pytest.mark.parametrize("name", NOT_TO_BE_COPIED)
def test_no_room_and_broken_are_not_taken_for_not_here(tmp_path, monkeypatch, name):
    (tmp_path / "source").write_bytes(b"content")
    ioctl_failing(monkeypatch, getattr(errno, name))
    with pytest.raises(OSError) as failed:
        place(tmp_path / "source", tmp_path, may_copy=never)
    assert failed.value.errno == getattr(errno, name)
    assert os.listdir(tmp_path) == ["source"]


@pytest.mark.parametrize("number", sorted(NOT_HERE), ids=errno.errorcode.get)
def test_not_here_is_followed_by_a_copy(tmp_path, monkeypatch, number):
    (tmp_path / "source").write_bytes(b"content")
    ioctl_failing(monkeypatch, number)
    assert place(tmp_path / "source", tmp_path) is Placed.COPIED
    assert (tmp_path / "held").read_bytes() == b"content"


def test_an_interrupted_clone_is_tried_again(filesystem, on_filesystem, monkeypatch):
    if not filesystem.clones:
        pytest.skip(f"{filesystem.name} cannot clone")
    (on_filesystem / "source").write_bytes(b"content")
    ioctl_failing(monkeypatch, errno.EINTR, errno.EINTR)
    assert place(on_filesystem / "source", on_filesystem) is Placed.CLONED
    assert (on_filesystem / "held").read_bytes() == b"content"


def test_a_system_without_clones_copies(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"content")
    monkeypatch.setattr("sys.platform", "freebsd14")
    cloning.platform_clone.cache_clear()
    try:
        assert place(tmp_path / "source", tmp_path) is Placed.COPIED
    finally:
        cloning.platform_clone.cache_clear()


def test_a_device_is_not_copied_for_ever(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        place("/dev/zero", tmp_path, may_copy=never)
    assert os.listdir(tmp_path) == []


def test_a_directory_that_may_not_be_written_is_an_error_with_nothing_left(as_user, fresh_directory):
    (fresh_directory / "source").write_bytes(b"content")
    fresh_directory.chmod(0o555)
    with pytest.raises(PermissionError):
        as_user(place, fresh_directory / "source", fresh_directory)
    assert os.listdir(fresh_directory) == ["source"]
