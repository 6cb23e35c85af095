"""Giving space back while something is the matter: damage, savers, interruptions, no time."""

import math
import os
import time

import pytest

from hermes_checkpoints.contract import StoreBusy, StoreDamaged, StoreError
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints_shadow_git import reclaiming
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import fill, half_dead, leftovers, pack_names, packed, turn, whole


def test_equal_objects_in_two_packs_are_kept_once(place, backend, pictures, tmp_path):
    """As a reclaim leaves them that was killed before it removed what it had copied."""
    half_dead(backend, pictures)
    old = {path: path.read_bytes() for path in backend._repository.packs.iterdir()}
    assert backend.reclaim()
    wanted = packed(backend)
    for path, content in old.items():
        if not path.exists():
            path.write_bytes(content)
            os.utime(path, (1, 1))
    assert backend.reclaim()
    assert packed(backend) == wanted
    whole(backend, pictures, tmp_path)


def test_the_damaged_one_of_two_equal_objects_is_not_the_one_that_stays(backend, pictures, tmp_path):
    half_dead(backend, pictures)
    old = {path: path.read_bytes() for path in backend._repository.packs.iterdir()}
    assert backend.reclaim()
    for new in set(backend._repository.packs.glob("*.pack")) - set(old):
        new.chmod(0o600)
        with new.open("r+b") as file:
            file.seek(5000)
            file.write(b"rotten")
    for path, content in old.items():
        if not path.exists():
            path.write_bytes(content)
            os.utime(path, (1, 1))
    assert backend.reclaim(thorough=True)
    with ShadowGit.open(backend.place) as reopened:
        whole(reopened, pictures, tmp_path)


@pytest.mark.parametrize("what", ["a node", "an index", "a ref"])
def test_damage_makes_nothing_go(backend, pictures, what):
    half_dead(backend, pictures)
    repo = backend._repository
    if what == "a node":
        newest = max(repo.packs.glob("*.pack"), key=lambda path: path.stat().st_mtime_ns)
        newest.chmod(0o600)
        newest.write_bytes(newest.read_bytes()[:30] + bytes(newest.stat().st_size - 30))
    elif what == "an index":
        for index in repo.packs.glob("*.idx"):
            index.chmod(0o600)
            data = bytearray(index.read_bytes())
            data[1032 + 25] ^= 1  # in the second id
            index.write_bytes(data)
    else:
        (repo.path / "refs" / "hermes-checkpoints" / "torn").write_bytes(b"")
    before = {path: path.read_bytes() for path in repo.packs.iterdir()}
    with ShadowGit.open(backend.place) as reopened:
        try:
            done = reopened.reclaim(thorough=True)
        except StoreDamaged:
            done = False
        assert not done
    assert {path: path.read_bytes() for path in repo.packs.iterdir()} == before
    assert leftovers(backend) == []


def test_a_pack_with_a_rotten_object_keeps_its_place_and_the_others_are_reclaimed(backend, pictures):
    half_dead(backend, pictures)
    rotten = max(backend._repository.packs.glob("*.pack"), key=lambda path: path.stat().st_size)
    alive = backend.entry(next(iter(pictures)), "file 1").key
    index = backend._indexes.find(alive)
    assert index.pack == str(rotten)
    rotten.chmod(0o600)
    with rotten.open("r+b") as file:
        file.seek(index.offset(alive) + 70_000)
        file.write(b"rotten")
    before = rotten.read_bytes()
    assert not backend.reclaim(thorough=True)
    assert rotten.read_bytes() == before


def test_what_is_saved_between_marking_and_deleting_is_kept(place, backend, pictures, tmp_path):
    half_dead(backend, pictures)
    marked = []

    def save_meanwhile(_):
        if not marked and list(backend._repository.tmp.glob("reclaiming/pack-*")) == []:
            marked.append(True)
            with ShadowGit.open(place) as other:
                for number in range(0, 40, 4):
                    fill(place.workspace, f"file {number}", 100_000, number)  # garbage a moment ago
                turn(other, pictures)

    assert backend.reclaim(progress=save_meanwhile)
    assert marked
    whole(backend, pictures, tmp_path)


def test_what_is_saved_at_every_step_of_a_reclaim_is_kept(place, backend, pictures, tmp_path):
    half_dead(backend, pictures)
    step = 0

    def save_meanwhile(_):
        nonlocal step
        step += 1
        if step < 12:
            with ShadowGit.open(place) as other:
                fill(place.workspace, f"file {2 * step}", 100_000, 2 * step)
                turn(other, pictures)

    assert backend.reclaim(progress=save_meanwhile)
    assert step > 3
    whole(backend, pictures, tmp_path)


def test_an_interrupted_reclaim_leaves_no_file_and_loses_nothing(backend, pictures, tmp_path):
    half_dead(backend, pictures)
    at = 0

    def interrupt(_):
        nonlocal calls
        calls += 1
        if calls > at:
            raise KeyboardInterrupt

    while True:
        calls = 0
        try:
            assert backend.reclaim(progress=interrupt)
            break
        except KeyboardInterrupt:
            assert leftovers(backend) == []
            whole(backend, pictures, tmp_path)
            at += 1
    assert at > 3
    whole(backend, pictures, tmp_path)


def test_a_reclaim_out_of_time_says_that_something_is_left(backend, pictures, tmp_path):
    half_dead(backend, pictures)
    before = packed(backend)
    assert not backend.reclaim(until=time.monotonic() - 1)
    assert packed(backend) == before
    assert leftovers(backend) == []
    whole(backend, pictures, tmp_path)
    assert backend.reclaim(until=math.inf)
    assert packed(backend) < before


def test_while_somebody_saves_a_reclaim_waits_no_longer_than_it_was_given(backend, pictures, monkeypatch):
    half_dead(backend, pictures)
    before = packed(backend)
    with locked(backend.home / "lock", shared=True):
        assert not backend.reclaim(until=time.monotonic() + 0.1)
        monkeypatch.setattr(reclaiming, "DEFAULT_WAIT", 0.1)
        with pytest.raises(StoreBusy):
            backend.reclaim()
    assert packed(backend) == before


def test_the_store_is_not_locked_while_objects_are_copied(backend, pictures, monkeypatch):
    half_dead(backend, pictures)
    real = reclaiming.rewrite

    def copying(*arguments):
        with locked(backend.home / "lock", shared=True, wait=0):
            return real(*arguments)

    monkeypatch.setattr(reclaiming, "rewrite", copying)
    assert backend.reclaim()


@pytest.mark.parametrize("failing", ["unlink", "rename"])
def test_a_disk_error_is_told_as_our_error_and_loses_nothing(backend, pictures, tmp_path, monkeypatch, failing):
    half_dead(backend, pictures)

    def fail(*_, **__):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(f"pathlib.Path.{failing}", fail)
        with pytest.raises(StoreError, match="Input/output error"):
            backend.reclaim()
    whole(backend, pictures, tmp_path)
    assert backend.reclaim()
    whole(backend, pictures, tmp_path)


def test_a_forgotten_ref_is_gone_for_good_before_its_objects_are(backend, pictures, monkeypatch):
    half_dead(backend, pictures)
    done = []
    sync_all, take_away = reclaiming.sync_all, reclaiming.Reclaim._take_away

    def syncing(paths, directory):
        done.extend(paths)
        sync_all(paths, directory)

    def taking_away(self, name):
        done.append(name)
        take_away(self, name)

    monkeypatch.setattr(reclaiming, "sync_all", syncing)
    monkeypatch.setattr(reclaiming.Reclaim, "_take_away", taking_away)
    gone = pack_names(backend)
    assert backend.reclaim()
    gone -= pack_names(backend)
    assert gone
    assert all(done.index(backend._refs) < done.index(name) for name in gone)
