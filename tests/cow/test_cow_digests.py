"""What a content was when it was stored stays known, and what nobody ever knew is not said to be good."""

import logging
import math
import os
import time

import pytest

from cow_ground import EVERYTHING, MB, raw_bytes
from hermes_checkpoints.contract import Mending, StoreDamaged
from hermes_checkpoints_cow.cloning import place_content
from hermes_checkpoints_cow.digests import digest_of, record, recorded
from hermes_checkpoints_cow.keys import Own, parse
from test_cow_damage import LARGE, flip, found, own_files

WAITING = 30 * 1024 * 1024
"""More bytes than may wait for their digests at once."""


def where(ground, snapshot, path):
    return parse(ground.backend.entry(snapshot.id, path).key)


def batch_of(ground, snapshot, path="large"):
    return ground.home / "batches" / where(ground, snapshot, path).batch.hex()


@pytest.fixture
def large(filesystem, ground):
    """A snapshot with two large clones, of which no digest is known."""
    if not filesystem.clones:
        pytest.skip(f"{filesystem.name} cannot clone: a copy has its digest at once")
    ground.write("large", LARGE)
    ground.write("larger", LARGE + 1)
    return ground.take()


def test_each_content_of_a_first_snapshot_has_its_digest_in_its_key(ground):
    """Many, so that they are made by threads in portions, and of all sizes."""
    contents = {f"{number}": ground.write(f"{number}", size) for number, size in enumerate([0, 1, 3000, MB] * 30)}
    assert sum(map(len, contents.values())) > WAITING
    snapshot = ground.take()
    for name, content in contents.items():
        assert where(ground, snapshot, name).digest == digest_of(content)


@pytest.mark.parametrize("size", [3000, 100_000])
def test_a_content_that_takes_a_dropped_ones_place_has_its_own_digest(ground, size):
    ground.write("one", size)
    other = ground.write("two", size)
    batch = ground.backend._begin(EVERYTHING)
    files = [os.open(ground.workspace / name, os.O_RDONLY) for name in ("one", "two")]
    try:
        batch.add(files[0], size, None)
        batch.drop()
        batch.add(files[1], size, None)
        (key,) = batch.keys()
        assert parse(key).digest == digest_of(other)
    finally:
        batch.abandon()
        for fd in files:
            os.close(fd)


def test_a_file_that_is_still_being_written_has_the_digest_of_what_was_stored(ground, monkeypatch):
    """Its times are too young to show a write between the clone and the digest: good bytes would count as damaged."""
    batch = ground.backend._begin(EVERYTHING)
    batch._open()
    ground.write("young", 3000)
    files = [os.open(ground.workspace / "young", os.O_RDWR)]

    def and_then_written(*where, **how):
        placed = place_content(*where, **how)
        os.pwrite(files[0], os.urandom(3000), 0)
        return placed

    monkeypatch.setattr("hermes_checkpoints_cow.storing.place_content", and_then_written)
    try:
        batch.add(files[0], 3000, None)
        (key,) = batch.keys()
        (stored,) = ground.home.glob("tmp/*/*/0")
        assert parse(key).digest == digest_of(stored.read_bytes())
    finally:
        batch.abandon()
        os.close(files[0])


def test_a_large_copy_has_its_digest_at_once(filesystem, ground):
    content = ground.write("large", LARGE)
    digest = where(ground, ground.take(), "large").digest
    assert digest == (b"" if filesystem.clones else digest_of(content))


def test_a_large_clone_is_taken_as_it_is_once_and_held_against_that_from_then_on(ground, large, caplog):
    with caplog.at_level(logging.WARNING):
        assert found(ground) == []
        assert "2 large contents were read for the first time" in caplog.text
        caplog.clear()
        assert found(ground) == []
        assert caplog.text == ""
    assert len(recorded(batch_of(ground, large))) == 2
    for path in own_files(ground.home):
        flip(path, 4 * MB + 77)
    assert {damage.path for damage in found(ground)} == {"large", "larger"}
    with pytest.raises(StoreDamaged):
        ground.read(large, "large")


def test_a_quick_examination_and_a_check_by_itself_record_nothing(ground, large):
    assert found(ground, full=False) == []
    ground.backend._check(ground.backend.entry(large.id, "large"), full=True)
    assert not (batch_of(ground, large) / "digests").exists()


@pytest.mark.parametrize("limit", [600, math.inf])
def test_a_reclaim_with_time_left_reads_large_clones_and_one_that_is_waited_for_does_not(ground, large, limit):
    until = time.monotonic() + limit
    assert ground.backend.reclaim(until)
    assert bool(recorded(batch_of(ground, large))) == (limit != math.inf)


def test_every_flipped_or_cut_byte_of_the_digests_is_found_costs_nothing_and_is_put_right(ground, large):
    assert found(ground) == []
    batch = batch_of(ground, large)
    whole = (batch / "digests").read_bytes()
    numbers = recorded(batch)
    damaged = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in range(len(whole))]
    for text in [*damaged, *(whole[:size] for size in range(1, len(whole)))]:
        (batch / "digests").write_bytes(text)
        with pytest.raises(StoreDamaged):
            recorded(batch)
    for text in damaged[:: len(damaged) // 8]:
        (batch / "digests").write_bytes(text)
        (damage,) = found(ground)
        assert (damage.snapshot, damage.path) == ("", "")
        assert len(ground.read(large, "large")) == LARGE
        assert [one.what for one in ground.backend.rebuild(dry_run=True)] == [Mending.REBUILT]
        assert (batch / "digests").read_bytes() == text
        assert [one.what for one in ground.backend.rebuild()] == [Mending.REBUILT]
        assert list(ground.backend.rebuild()) == []
        assert recorded(batch).items() <= numbers.items()
        assert found(ground) == []


def test_the_digests_of_another_batch_vouch_for_nothing(ground, large):
    """Copied over the right ones, they would make good contents damaged; exchanged with those, wrong ones good."""
    ground.write("large", LARGE)
    ground.write("larger", LARGE + 1)
    later = ground.take()
    assert found(ground) == []
    batch, other = batch_of(ground, large), batch_of(ground, later)
    known = recorded(batch)
    (batch / "digests").write_bytes((other / "digests").read_bytes())
    assert [damage.snapshot for damage in found(ground)] == [""]
    assert [one.what for one in ground.backend.rebuild()] == [Mending.REBUILT]
    assert found(ground) == []
    assert recorded(batch) == known


def test_a_digest_that_cannot_be_proved_is_not_kept(ground, large):
    """The line or the content is damaged, and nobody can say which."""
    assert found(ground) == []
    batch = batch_of(ground, large)
    first, second = recorded(batch)
    flip(batch / "digests", (batch / "digests").stat().st_size - 3)
    flip(batch / str(second), 9)
    (mended,) = ground.backend.rebuild()
    assert "1 of its digests" in mended.how
    assert recorded(batch).keys() == {first}


def test_digests_that_are_lost_are_told_as_never_known(ground, large, caplog):
    assert found(ground) == []
    (batch_of(ground, large) / "digests").unlink()
    with caplog.at_level(logging.WARNING):
        assert found(ground) == []
    assert "2 large contents were read for the first time" in caplog.text


def test_a_digest_goes_with_its_content_and_the_file_with_the_last_one(ground, large):
    """It would still tell whether somebody has what was purged."""
    assert found(ground) == []
    batch, gone = batch_of(ground, large), where(ground, large, "larger")
    digest = recorded(batch)[gone.number].hex().encode()
    (ground.workspace / "larger").unlink()
    kept = ground.take()
    ground.backend.forget([large.id])
    assert ground.backend.reclaim()
    assert recorded(batch).keys() == {where(ground, kept, "large").number}
    assert digest not in raw_bytes(ground.home)
    assert found(ground) == []
    (ground.workspace / "large").unlink()
    ground.take()
    ground.backend.forget([kept.id])
    assert ground.backend.reclaim()
    assert not batch.exists()


def test_digests_are_counted_by_usage(ground, large):
    before = ground.backend.usage().apparent
    batch = batch_of(ground, large)
    record(batch, {0: bytes(16), 1: bytes(16)}, ground.home / "trash")
    assert ground.backend.usage().apparent == before + (batch / "digests").stat().st_size


def test_a_key_with_and_without_a_digest_comes_back_as_it_was():
    for own in (Own(b"12345678", 7, cloned=True), Own(b"12345678", 7, cloned=False, digest=b"d" * 16)):
        assert parse(own.key()) == own
