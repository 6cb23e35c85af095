"""Pack indexes, held against git's own."""

import os
import random
import struct
import subprocess

import pytest

from git_building import git, only_with_proc, place_index, plain_environment, writer_for
from hermes_checkpoints_shadow_git.packindex import write_index
from hermes_checkpoints_shadow_git.packindexes import PackIndexes


def test_an_index_with_offsets_beyond_2_gib_reads_as_git_reads_it(tmp_path):
    noise = random.Random(3)
    offsets = [12, (1 << 31) - 1, 1 << 31, 1 << 33, 5]
    entries = [(noise.randbytes(20), noise.getrandbits(32), offset) for offset in offsets]
    index = write_index(entries, b"c" * 20)
    shown = subprocess.run(
        ["git", "show-index"], input=index, stdout=subprocess.PIPE, check=True, env=plain_environment()
    )
    lines = [line.split() for line in shown.stdout.decode().splitlines()]
    found = {(bytes.fromhex(oid), int(crc.strip("()"), 16), int(offset)) for offset, oid, crc in lines}
    assert found == set(entries)


def test_an_index_as_git_writes_it_is_ours_to_the_byte(repo):
    with writer_for(repo) as writer:
        for number in range(1000):
            writer.add_blob(b"%d" % number)
        writer.publish()
    (ours,) = repo.packs.glob("*.idx")
    (pack,) = repo.packs.glob("*.pack")
    git(repo, "index-pack", "-o", os.fspath(repo.tmp / "theirs.idx"), os.fspath(pack))
    assert (repo.tmp / "theirs.idx").read_bytes() == ours.read_bytes()


@pytest.mark.parametrize("count", [1, 512, 513, 200_000])
def test_every_id_is_found_and_no_other_in_packs_of_any_size(repo, count):
    noise = random.Random(count)
    oids = [noise.randbytes(20) for _ in range(count)]
    place_index(repo, "pack-some", oids)
    indexes = PackIndexes(repo)
    asked = oids if count < 1000 else [*noise.sample(oids, 1000), min(oids), max(oids)]
    assert all(oid in indexes for oid in asked)
    others = [noise.randbytes(20) for _ in range(1000)] + [bytes(20), b"\xff" * 20]
    others += [oid[:19] + bytes([oid[19] ^ 1]) for oid in asked]
    assert not any(oid in indexes for oid in others)


def test_the_end_of_one_id_and_the_beginning_of_the_next_are_not_an_object(repo):
    oids = sorted(b"\5" + bytes([byte]) * 19 for byte in range(200))
    oids += [b"\5\5" + b"\5" * 17 + bytes([byte]) for byte in range(6, 255)]
    oids = sorted(set(oids) - {b"\5" * 20})
    place_index(repo, "pack-some", oids + [b"\6" + bytes(17) + struct.pack(">H", n) for n in range(600)])
    indexes = PackIndexes(repo)
    assert all(oid in indexes for oid in oids)
    table = b"".join(oids)
    shifted = {table[at : at + 20] for at in range(len(table) - 20) if at % 20} - set(oids)
    assert not any(oid in indexes for oid in shifted)


@pytest.mark.parametrize("count", [3, 600])
def test_what_another_process_reclaimed_is_no_longer_taken_for_stored(repo, count):
    oids = [random.Random(9).randbytes(20) for _ in range(count)]
    place_index(repo, "pack-going", oids)
    place_index(repo, "pack-staying", [b"\1" * 20])
    indexes = PackIndexes(repo)
    assert oids[0] in indexes
    (repo.packs / "pack-going.idx").unlink()
    (repo.packs / "pack-going.pack").unlink()
    indexes.refresh()
    assert oids[0] not in indexes
    assert b"\1" * 20 in indexes


def test_a_pack_that_another_process_adds_is_seen_without_being_told(repo):
    indexes = PackIndexes(repo)
    assert b"\1" * 20 not in indexes
    os.utime(repo.packs, (1, 1))  # so that the change falls into another tick of the clock
    assert b"\1" * 20 not in indexes
    place_index(repo, "pack-new", [b"\1" * 20])
    assert b"\1" * 20 in indexes


@only_with_proc
def test_a_thousand_packs_do_not_use_up_the_file_descriptors(repo):
    for number in range(1000):
        place_index(repo, f"pack-{number}", [number.to_bytes(20, "big")])
    indexes = PackIndexes(repo)
    before = len(os.listdir("/proc/self/fd"))
    assert all(number.to_bytes(20, "big") in indexes for number in range(1000))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("damage", ["vanished", "empty", "cut", "no pack", "other format"])
def test_an_index_that_is_no_use_is_passed_over(repo, damage):
    place_index(repo, "pack-good", [b"\1" * 20])
    place_index(repo, "pack-bad", [b"\2" * 20])
    bad = repo.packs / "pack-bad.idx"
    content = bad.read_bytes()
    if damage == "vanished":  # between the listing and the opening: a name that cannot be opened
        bad.unlink()
        bad.symlink_to("nowhere")
    elif damage == "no pack":
        (repo.packs / "pack-bad.pack").unlink()
    else:
        bad.write_bytes({"empty": b"", "cut": content[:-1], "other format": b"\0" + content[1:]}[damage])
    indexes = PackIndexes(repo)
    assert b"\2" * 20 not in indexes
    assert b"\1" * 20 in indexes
