"""Writing packs when something is the matter."""

import errno
import os
import random
import struct
from itertools import accumulate
from pathlib import Path

import pytest

from git_building import (
    a_large_file,
    names_below,
    writer_for,
)
from hermes_checkpoints.contract import StoreError
from hermes_checkpoints_shadow_git import repository
from hermes_checkpoints_shadow_git.packindex import write_index


def test_leaving_without_publishing_leaves_no_file(repo, tmp_path):
    big = a_large_file(tmp_path / "big", 1 << 20)
    with writer_for(repo) as writer, big.open("rb") as file:
        for number in range(40):
            writer.add_blob(random.Random(number).randbytes(1 << 20))
        writer.oids()
        writer.add_stream(file.fileno(), 1 << 20)
        assert len(names_below(repo.tmp)) >= 8  # 40 MiB, four packs a little above 8, the last being written
    assert names_below(repo.tmp) == []
    assert list(repo.packs.iterdir()) == []
    with pytest.raises(StoreError, match="given up"):
        writer.publish()


class FullDisk:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file, room):
        self._file = file
        self._room = room

    def write(self, data):
        self._room -= len(data)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)

    def close(self):
        self._file.close()


@pytest.mark.parametrize("blobs", [1, 40])
@pytest.mark.parametrize("room", [0, 11, 500_000])
def test_a_full_disk_is_told_leaves_no_temporary_file_and_publishes_nothing(repo, monkeypatch, room, blobs):
    """Of many, the packs are written by threads, whose failures show later."""
    real = os.fdopen
    monkeypatch.setattr(repository.os, "fdopen", lambda fd, *args, **named: FullDisk(real(fd, *args, **named), room))
    writer = writer_for(repo)

    def store():
        for number in range(blobs):
            writer.add_blob(random.Random(number).randbytes(1 << 20))
        writer.publish()

    with pytest.raises(StoreError, match=r"workspace/pack-.*No space left") as told:
        store()
    assert told.value.__cause__.errno == errno.ENOSPC
    monkeypatch.undo()
    assert names_below(repo.tmp) == []
    assert list(repo.packs.iterdir()) == []
    with pytest.raises(StoreError, match="given up"):
        writer.publish()


@pytest.mark.parametrize("blobs", [1, 40])
@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_disk_error_while_publishing_is_told_and_leaves_no_temporary_file(repo, monkeypatch, failing, blobs):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    writer = writer_for(repo)

    def store():
        for number in range(blobs):
            writer.add_blob(random.Random(number).randbytes(1 << 20))
        writer.publish()

    if failing == "fsync":
        monkeypatch.setattr(repository, "sync_path", fail)
    else:
        monkeypatch.setattr(repository.os, "rename", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        store()
    assert names_below(repo.tmp) == []
    assert list(repo.packs.glob("*.idx")) == []


def test_what_is_published_was_synced_before_it_got_its_name(repo, monkeypatch):
    done = []
    real_sync, real_rename = repository.sync_path, os.rename

    def sync_path(path):
        done.append(("sync", path.stat().st_ino))
        real_sync(path)

    def rename(source, target):
        done.append(("rename", os.stat(source).st_ino, Path(target).suffix))
        real_rename(source, target)

    monkeypatch.setattr(repository, "sync_path", sync_path)
    monkeypatch.setattr(repository.os, "rename", rename)
    with writer_for(repo) as writer:
        writer.add_blob(b"content")
        writer.publish()
    (pack,), (index,) = repo.packs.glob("*.pack"), repo.packs.glob("*.idx")
    pack, index, directory = (path.stat().st_ino for path in (pack, index, repo.packs))
    assert done == [
        ("sync", pack),
        ("sync", index),
        ("rename", pack, ".pack"),
        ("rename", index, ".idx"),
        ("sync", directory),
    ]


@pytest.mark.parametrize("size", [5000, 100_000])
def test_content_that_could_not_be_packed_gives_the_whole_batch_up(size, repo, monkeypatch):
    """A large one is packed in a thread, whose failure shows later."""

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("hermes_checkpoints_shadow_git.packs.pack_object", fail)
    with writer_for(repo) as writer:
        with pytest.raises(MemoryError):
            for number in range(63):
                writer.add_blob(b"%d" % number * size)
            writer.oids()
        with pytest.raises(StoreError, match="given up"):
            writer.publish()
    assert list(repo.packs.iterdir()) == []


def test_the_fan_out_counts_what_begins_with_each_byte():
    oids = [bytes([byte]) + bytes(19) for byte in (0, 0, 7, 255)]
    fan_out = struct.unpack_from(">256I", write_index([(oid, 0, 12) for oid in oids], bytes(20)), 8)
    starting = [2, *[0] * 6, 1, *[0] * 247, 1]
    assert fan_out == tuple(accumulate(starting))
