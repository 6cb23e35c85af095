"""Reading objects through one long-lived git."""

import os
import random
import signal
import threading

import pytest

from git_building import children, fsck, only_with_proc, writer_for
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints_shadow_git.objects import (
    object_id,
)
from hermes_checkpoints_shadow_git.packfile import MemoryPack, pack_object


def test_a_missing_object_is_damage_that_names_it_and_the_reader_goes_on(repo, reader):
    with writer_for(repo) as writer:
        there = writer.add_object(b"blob", b"there")
        writer.publish()
    for ask in (reader.read, reader.stream):
        with pytest.raises(StoreDamaged, match="01" * 20 + " is missing"):
            ask(b"\1" * 20)
    assert reader.read(there) == ("blob", b"there")


def test_content_published_after_git_was_started_is_found(repo, reader):
    with pytest.raises(StoreDamaged):
        reader.read(object_id(b"blob", b"later"))
    with writer_for(repo) as writer:
        later = writer.add_object(b"blob", b"later")
        writer.publish()
    assert reader.read(later) == ("blob", b"later")


@only_with_proc
def test_a_git_killed_between_two_reads_is_started_again(repo, reader):
    with writer_for(repo) as writer:
        oid = writer.add_object(b"blob", b"content")
        writer.publish()
    before = set(children())
    reader.read(oid)
    (git,) = set(children()) - before
    os.kill(git, signal.SIGKILL)
    assert reader.read(oid) == ("blob", b"content")


@only_with_proc
def test_ctrl_c_does_not_reach_git_and_closing_leaves_no_process(repo):
    before = set(children())
    reader = Objects(repo.path, repo.tmp)
    assert set(children()) == before  # nothing is started before the first question
    with pytest.raises(StoreDamaged):
        reader.read(bytes(20))
    (git,) = set(children()) - before
    assert os.getpgid(git) != os.getpgrp()
    assert os.getsid(git) != os.getsid(0)
    assert not os.readlink(f"/proc/{git}/fd/0").startswith("/dev")
    reader.close()
    reader.close()
    assert set(children()) == before


def test_rot_in_a_pack_is_damage_and_never_other_bytes(repo, reader):
    data = random.Random(4).randbytes(100_000)
    with writer_for(repo) as writer:
        oid = writer.add_object(b"blob", data)
        writer.publish()
    (pack,) = repo.packs.glob("*.pack")
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(50_000)
        file.write(b"rotten")
    for ask in (reader.read, reader.stream):
        with pytest.raises(StoreDamaged, match=oid.hex()):
            ask(oid)
    assert fsck(repo)[0] != 0


def test_an_index_that_gives_another_object_is_damage(repo, reader):
    pack = MemoryPack()
    wrong = b"\7" * 20
    pack.add(wrong, *pack_object(b"blob", b"what is there"))
    pack.write(repo.tmp).publish(repo.packs)
    with pytest.raises(StoreDamaged, match="has other bytes"):
        reader.read(wrong)


def test_threads_that_share_a_reader_get_their_own_answers(repo, reader):
    contents = [str(number).encode() * 1000 for number in range(200)]
    with writer_for(repo) as writer:
        for content in contents:
            writer.add_blob(content)
        oids = writer.oids()
        writer.publish()
    wrong = []

    def ask(start):
        wrong.extend(i for i in range(start, 200, 4) if reader.read(oids[i]) != ("blob", contents[i]))

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
