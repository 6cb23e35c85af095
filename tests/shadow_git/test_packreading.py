"""Reading objects without a process."""

import os
import random
import threading
import tracemalloc

import pytest

from git_building import a_large_file, children, git, only_with_proc, writer_for
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.trees import contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.packfile import MemoryPack, pack_object


def stored(repo, contents):
    with writer_for(repo) as writer:
        for content in contents:
            writer.add_blob(content)
        oids = writer.oids()
        writer.publish()
    return oids


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def spoil(path, at, data=b"rotten"):
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@only_with_proc
def test_listing_comparing_and_restoring_start_no_process(place, backend, tmp_path, monkeypatch):
    populate(place.workspace)
    (place.workspace / "large").write_bytes(noise(17 << 20))
    first, there = take(backend), picture(place.workspace)
    (place.workspace / "README.md").write_bytes(b"other")
    second = take(backend)
    monkeypatch.setenv("PATH", "/nowhere")
    before = children()
    with ShadowGit.open(place) as reopened:
        assert [snapshot.id for snapshot in reopened.snapshots()] == [second.id, first.id]
        assert "README.md" in [change.path for change in reopened.changes(first.id, second.id)]
        assert difference(there, pictured(reopened, first.id, tmp_path)) == []
        assert list(reopened.verify(second.id)) == []
        reopened.forget([first.id])
        assert reopened.reclaim()
        assert children() == before


@pytest.mark.parametrize("size", [0, 1, 15, 16, 8191, 8192, 8193, (1 << 20) - 1, 1 << 20, (3 << 20) + 1])
@pytest.mark.parametrize("fill", [noise, bytes])
def test_content_of_every_size_comes_back(repo, packs, size, fill):
    (oid,) = stored(repo, [fill(size)])
    assert packs.read(oid) == ("blob", fill(size))
    with packs.stream(oid) as stream:
        assert stream.read() == fill(size)


@pytest.mark.parametrize("at", [12, 14, 50_000, 99_990])
def test_rot_in_a_pack_is_damage_and_never_other_bytes(repo, packs, at):
    (oid,) = stored(repo, [noise(100_000)])
    (pack,) = repo.packs.glob("*.pack")
    spoil(pack, at)
    for ask in (packs.read, packs.stream):
        with pytest.raises(StoreDamaged, match=oid.hex()):
            ask(oid)


def test_a_pack_that_was_cut_is_damage(repo, packs):
    (oid,) = stored(repo, [noise(100_000)])
    (pack,) = repo.packs.glob("*.pack")
    for size in (50_000, 12, 0):
        os.truncate(pack, size)
        for ask in (packs.read, packs.stream):
            with pytest.raises(StoreDamaged, match=oid.hex()):
                ask(oid)


def test_an_index_that_gives_another_object_is_damage(repo, packs):
    pack = MemoryPack()
    wrong = b"\7" * 20
    pack.add(wrong, *pack_object(b"blob", b"what is there"))
    pack.write(repo.tmp).publish(repo.packs)
    with pytest.raises(StoreDamaged, match="has other bytes"):
        packs.read(wrong)


@only_with_proc
def test_a_missing_object_is_damage_that_names_it_and_asks_nobody(packs):
    before = children()
    for ask in (packs.read, packs.stream):
        with pytest.raises(StoreDamaged, match="01" * 20 + " is missing"):
            ask(b"\1" * 20)
    assert children() == before


def test_a_large_content_is_never_in_memory_as_a_whole(repo, packs, tmp_path):
    size = (40 << 20) + 17
    big = a_large_file(tmp_path / "big", size)
    with writer_for(repo) as writer, big.open("rb") as file:
        writer.add_stream(file.fileno(), size)
        (oid,) = writer.oids()
        writer.publish()
    tracemalloc.start()
    try:
        with packs.stream(oid) as found, big.open("rb") as file:
            while block := file.read(1 << 20):
                assert found.read(len(block)) == block
            assert found.read() == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20


@pytest.mark.parametrize("form", ["differences", "loose"])
def test_what_a_git_run_by_hand_wrote_in_its_own_ways_is_read_too(place, backend, tmp_path, form):
    populate(place.workspace)
    text = noise(20_000).hex()
    for number in range(20):
        (place.workspace / f"text {number}").write_text(text + str(number))
    only, there = take(backend), picture(place.workspace)
    repo = backend._repository
    if form == "differences":
        (repo.path / "info" / "attributes").unlink()  # it forbids differences
        git(repo, "repack", "-a", "-d", "-f", "-q", "--window=10", "--depth=10")
        (pack,) = repo.packs.glob("*.pack")
        assert b"chain length" in git(repo, "verify-pack", "-v", os.fspath(pack))
    else:
        for pack in repo.packs.glob("*.pack"):
            aside = pack.rename(tmp_path / pack.name)
            pack.with_suffix(".idx").unlink()
            with aside.open("rb") as file:
                git(repo, "unpack-objects", "-q", stdin=file)
        assert not list(repo.packs.glob("*.pack"))
    with ShadowGit.open(place) as reopened:
        assert difference(there, pictured(reopened, only.id, tmp_path)) == []
        assert reopened.reclaim(thorough=True)
        assert difference(there, pictured(reopened, only.id, tmp_path)) == []


def test_a_pack_that_another_process_rewrote_is_found_again(place, backend):
    populate(place.workspace)
    (place.workspace / "garbage").write_bytes(noise(50_000))
    first = take(backend)
    (place.workspace / "garbage").unlink()
    second = take(backend)
    wanted = contents(backend, second.id)
    backend._packs.close()  # its indexes are as they were before the reclaim
    with ShadowGit.open(place) as other:
        other.forget([first.id])
        before = set(backend._repository.packs.iterdir())
        assert other.reclaim()
        assert set(backend._repository.packs.iterdir()) != before
    assert contents(backend, second.id) == wanted


@only_with_proc
def test_few_packs_are_kept_open(repo, packs):
    oids = [stored(repo, [b"%d" % number])[0] for number in range(100)]
    before = len(os.listdir("/proc/self/fd"))
    for number, oid in enumerate(oids):
        assert packs.read(oid)[1] == b"%d" % number
    assert len(os.listdir("/proc/self/fd")) <= before + 16


def test_threads_and_forked_children_get_their_own_answers(repo, packs):
    every = [b"%d" % number * 1000 for number in range(200)]
    oids = [oid for start in range(0, 200, 5) for oid in stored(repo, every[start : start + 5])]
    wrong = []

    def ask(start):
        wrong.extend(number for number in range(start, 200, 4) if packs.read(oids[number])[1] != every[number])
        return wrong

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [finish(child)[1] for child in [start(lambda: ask(0)) for _ in range(3)]] == [[]] * 3
    assert ask(1) == []


@only_with_proc
def test_a_pack_that_another_process_removed_does_not_keep_its_space_beyond_the_next_take(place):
    with ShadowGit.open(place) as backend, ShadowGit.open(place) as other:
        (place.workspace / "large").write_bytes(os.urandom(300_000))
        first = take(backend)
        list(backend.verify(first.id))
        (place.workspace / "large").write_bytes(b"small now")
        take(backend)
        other.forget([first.id])
        assert other.reclaim(thorough=True)
        assert _removed_and_open()
        (place.workspace / "large").write_bytes(b"another turn")
        take(backend)
        assert not _removed_and_open()


def _removed_and_open():
    names = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    ]
    return [name for name in names if "pack-" in name and name.endswith("(deleted)")]
