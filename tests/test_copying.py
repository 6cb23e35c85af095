"""A copy is the content to its end, with its holes, or nothing is left of it."""

import errno
import fcntl
import os
import sys

import pytest

from hermes_checkpoints_cow.copying import BLOCK, copy_file
from test_cloning import opened

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what can be said of it here is Linux's")


def copied(source, directory):
    with opened(source) as source_fd, opened(directory) as dir_fd:
        copy_file(source_fd, dir_fd, "held", mode=0o600)
    return directory / "held"


def test_a_file_whose_size_is_not_what_stat_says_is_copied_to_its_end(tmp_path):
    assert os.stat("/proc/filesystems").st_size == 0
    with open("/proc/filesystems", "rb") as said:
        assert copied("/proc/filesystems", tmp_path).read_bytes() == said.read() != b""


def test_reads_and_writes_that_are_cut_short_lose_no_byte(tmp_path, monkeypatch):
    content = os.urandom(3000)
    (tmp_path / "source").write_bytes(content)
    pread, pwrite = os.pread, os.pwrite
    monkeypatch.setattr(os, "pread", lambda fd, size, offset: pread(fd, min(size, 1000), offset))
    monkeypatch.setattr(os, "pwrite", lambda fd, block, offset: pwrite(fd, block[:7], offset))
    assert copied(tmp_path / "source", tmp_path).read_bytes() == content


@pytest.mark.parametrize("tail", [b"", b"end"], ids=["ends in a hole", "ends in data"])
def test_a_hole_stays_a_hole_and_the_size_stays_right(on_filesystem, tail):
    source = on_filesystem / "source"
    with source.open("wb") as sparse:
        sparse.write(b"begin")
        sparse.seek(64 << 20)
        sparse.write(tail)
        sparse.truncate()
    held = copied(source, on_filesystem)
    assert held.stat().st_size == source.stat().st_size
    assert held.stat().st_blocks * 512 <= 2 * BLOCK
    assert held.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "broken")], ids=["Ctrl-C", "EIO"])
def test_a_copy_that_is_broken_off_leaves_nothing(tmp_path, monkeypatch, error):
    (tmp_path / "source").write_bytes(os.urandom(2 * BLOCK))
    really = os.pwrite

    def first_only(fd, block, offset):
        if offset:
            raise error
        return really(fd, block, offset)

    monkeypatch.setattr(os, "pwrite", first_only)
    with pytest.raises(type(error)):
        copied(tmp_path / "source", tmp_path)
    assert os.listdir(tmp_path) == ["source"]


def test_a_full_server_that_says_so_only_at_the_close_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"content")
    really = os.close

    def close(fd):
        writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        really(fd)
        if writable:
            raise OSError(errno.EDQUOT, "quota")

    monkeypatch.setattr(os, "close", close)
    with pytest.raises(OSError, match="quota"):
        copied(tmp_path / "source", tmp_path)
    assert os.listdir(tmp_path) == ["source"]
