"""Writing packs."""

import os
import random
import signal
import subprocess
import sys
import tracemalloc

import pytest

from git_building import a_large_file, commit, fsck, git, names_below, writer_for
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints_shadow_git.objects import (
    FILE,
    object_id,
)
from hermes_checkpoints_shadow_git.packs import Moved


def test_every_object_comes_back_as_it_was_given(repo, reader):
    noise = random.Random(7)
    blobs = [b"", b"x", *[noise.randbytes(noise.randrange(5000)) for _ in range(300)], b"a" * (5 << 20)]
    blobs += [b"text %d\n" % number * 500 for number in range(300)]
    with writer_for(repo) as writer:
        assert [writer.add_blob(data) for data in blobs] == list(range(len(blobs)))
        oids = writer.oids()
        commit(repo, writer, [(FILE, b"%d" % number, oid) for number, oid in enumerate(oids)])
    assert oids == [object_id(b"blob", data) for data in blobs]
    assert [reader.read(oid) for oid in oids] == [("blob", data) for data in blobs]
    assert fsck(repo) == (0, [])
    assert [path.suffix for path in sorted(repo.packs.iterdir())] == [".idx", ".pack"]


def test_running_numbers_stay_right_across_drops_streams_and_questions(repo, reader, tmp_path):
    big = a_large_file(tmp_path / "big", 3 << 20)
    noise = random.Random(11)
    model = []
    with writer_for(repo) as writer, big.open("rb") as file:
        for step in range(600):
            what = noise.randrange(20)
            if what == 0:
                data = big.read_bytes()
                number = writer.add_stream(file.fileno(), len(data))
            else:
                data = noise.randbytes(noise.randrange(3000))
                number = writer.add_blob(data)
            assert number == len(model)
            if noise.randrange(4) == 0:
                writer.drop_last()
            else:
                model.append(data)
            if step % 150 == 149:
                assert writer.oids() == [object_id(b"blob", data) for data in model]
        writer.add_blob(b"last")
        writer.drop_last()
        oids = writer.oids()
        writer.publish()
    assert [reader.read(oid)[1] for oid in oids] == model
    with pytest.raises(StoreDamaged):
        reader.read(object_id(b"blob", b"last"))


def test_content_of_a_file_that_moved_while_it_was_read_is_not_kept(repo, reader, tmp_path):
    big = a_large_file(tmp_path / "big", 2 << 20)
    with writer_for(repo) as writer, big.open("rb") as file:
        kept = writer.add_object(b"blob", b"kept")
        for wrong in (-1, 1, -(1 << 20), 1 << 20):
            with pytest.raises(Moved):
                writer.add_stream(file.fileno(), (2 << 20) + wrong)
        assert names_below(repo.tmp) == []
        assert writer.add_stream(file.fileno(), 2 << 20) == 0
        writer.drop_last()
        assert names_below(repo.tmp) == []
        assert writer.oids() == []
        writer.publish()
    assert reader.read(kept) == ("blob", b"kept")
    assert len(list(repo.packs.glob("*.pack"))) == 1


def test_a_file_that_cannot_be_read_costs_only_itself(repo, reader, tmp_path):
    with writer_for(repo) as writer:
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(IsADirectoryError):
                writer.add_stream(fd, 10)
        finally:
            os.close(fd)
        kept = writer.add_object(b"blob", b"kept")
        writer.publish()
    assert reader.read(kept) == ("blob", b"kept")


def test_a_large_file_is_never_in_memory_as_a_whole(repo, reader, tmp_path):
    size = (40 << 20) + 17
    big = a_large_file(tmp_path / "big", size)
    tracemalloc.start()
    try:
        with writer_for(repo) as writer, big.open("rb") as file:
            writer.add_stream(file.fileno(), size)
            (oid,) = writer.oids()
            writer.publish()
        with reader.stream(oid) as stored, big.open("rb") as file:
            while block := file.read(1 << 20):
                assert stored.read(len(block)) == block
            assert stored.read() == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20
    assert git(repo, "hash-object", os.fspath(big)).strip().decode() == oid.hex()
    assert fsck(repo)[0] == 0


def test_many_blobs_that_do_not_compress_stay_within_the_memory_promised(repo):
    noise = random.Random(5).randbytes(1 << 20)
    tracemalloc.start()
    try:
        with writer_for(repo) as writer:
            for number in range(200):
                writer.add_blob(b"%d" % number + noise)
            writer.publish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20
    assert len(list(repo.packs.glob("*.pack"))) == 25  # 200 MiB, a pack a little above 8


def test_identical_content_is_stored_once_within_and_across_writers(repo):
    contents = [b"%d" % (number % 50) * 100 for number in range(500)]
    for workspace in ("one", "two"):
        with writer_for(repo, workspace) as writer:
            for content in contents:
                writer.add_blob(content)
            assert writer.add_object(b"blob", contents[0]) == object_id(b"blob", contents[0])
            assert writer.oids() == [object_id(b"blob", content) for content in contents]
            writer.publish()
    counts = dict(line.split(b": ") for line in git(repo, "count-objects", "-v").splitlines())
    assert (counts[b"in-pack"], counts[b"packs"], counts[b"garbage"]) == (b"50", b"1", b"0")


def test_a_large_file_that_is_stored_already_is_not_stored_again(repo, tmp_path):
    big = a_large_file(tmp_path / "big", 2 << 20)
    for workspace in ("one", "two"):
        with writer_for(repo, workspace) as writer, big.open("rb") as file:
            assert [writer.add_stream(file.fileno(), 2 << 20) for _ in range(2)] == [0, 1]
            assert len(set(writer.oids())) == 1
            writer.publish()
    assert len(list(repo.packs.glob("*.pack"))) == 1
    assert names_below(repo.tmp) == []


def test_two_writers_with_the_same_content_at_once_both_succeed(repo, reader):
    writers = [writer_for(repo, name) for name in ("one", "two")]
    for writer in writers:
        for number in range(100):
            writer.add_blob(b"%d" % number)
        writer.oids()
    for writer in writers:
        writer.publish()
        writer.abandon()
    assert reader.read(object_id(b"blob", b"99")) == ("blob", b"99")
    assert fsck(repo)[0] == 0
    assert len(list(repo.packs.iterdir())) == 2  # the same bytes have the same name


def test_a_writer_can_publish_again_what_came_later(repo, reader):
    with writer_for(repo) as writer:
        first = writer.add_object(b"blob", b"first")
        writer.publish()
        assert reader.read(first)[1] == b"first"
        writer.add_blob(b"second")
        assert reader.read(first)[1] == b"first"
        writer.publish()
        writer.publish()
    assert reader.read(object_id(b"blob", b"second"))[1] == b"second"
    assert len(list(repo.packs.glob("*.pack"))) == 2


def test_publishing_nothing_writes_nothing(repo):
    with writer_for(repo) as writer:
        writer.publish()
    assert list(repo.packs.iterdir()) == []
    assert names_below(repo.tmp) == []


def test_a_writer_killed_before_it_published_leaves_nothing_that_git_sees(repo):
    code = (
        "import os, pathlib, signal, sys\n"
        "from hermes_checkpoints_shadow_git.packindexes import PackIndexes\n"
        "from hermes_checkpoints_shadow_git.packs import PackWriter\n"
        "from hermes_checkpoints_shadow_git.repository import Repository\n"
        "repo = Repository.open(pathlib.Path(sys.argv[1]))\n"
        "writer = PackWriter(repo, PackIndexes(repo), repo.tmp / 'workspace')\n"
        "for _ in range(40): writer.add_blob(os.urandom(1 << 20))\n"
        "writer.oids()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, repo.path])
    assert killed.returncode == -signal.SIGKILL
    assert list(repo.packs.iterdir()) == []
    left = names_below(repo.tmp)
    assert {name.split("-")[0] for name in left} == {"index", "pack"}
    assert names_below(repo.tmp / "workspace") == left
    assert fsck(repo) == (0, [])
