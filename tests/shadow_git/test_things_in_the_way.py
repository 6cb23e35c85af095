"""What is no file where a file should be hangs nobody, closes no store, and is put aside by a repair."""

import os
import random

import pytest

from hermes_checkpoints.contract import Mending, Place, StoreError
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.trees import take
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.checking import Derived, Presence, faulty_packs
from hermes_checkpoints_shadow_git.scanning import _objects
from reclaim_building import fill, turn, whole


def full_directory(path):
    path.mkdir()
    (path / "something").write_bytes(b"in it")


def link(path):
    victim = path.parents[1] / "victim"
    victim.write_bytes(b"victim")
    victim.chmod(0o644)
    path.symlink_to(victim)


MADE = [os.mkdir, full_directory, link, os.mkfifo]


@pytest.fixture
def two(place, pictures):
    """Two snapshots, in a pack each; the second only adds a file."""
    with ShadowGit.open(place) as backend:
        fill(place.workspace, "first", 3000, 1)
        turn(backend, pictures)
        fill(place.workspace, "second", 3000, 2)
        turn(backend, pictures)
        return [backend._indexes.find(bytes.fromhex(snapshot)).name for snapshot in pictures]


def in_the_place_of(place, name, make):
    path = place.store / "shadow-git" / "objects" / "pack" / name
    path.unlink()
    make(path)
    return path


def found(place):
    """In another process, which a FIFO cannot keep waiting for ever."""

    def examine():
        with ShadowGit.open(place) as backend:
            return [(one.snapshot, one.what) for one in backend.examine()]

    status, answer = finish(start(examine))
    assert status == 0
    return answer


def repair(place):
    def run():
        with ShadowGit.open(place) as backend:
            return [one.what for one in (*backend.rebuild(), *backend.mend(give_up=True))]

    return finish(start(run))[1]


@pytest.mark.parametrize("make", MADE)
def test_an_index_that_is_no_file_closes_no_store_and_is_made_anew(place, pictures, two, tmp_path, make):
    path = in_the_place_of(place, f"{two[0]}.idx", make)
    with ShadowGit.open(place) as backend:
        assert [one.id for one in backend.snapshots()] == list(pictures)[1:]
        (place.workspace / "third").write_bytes(b"third")
        turn(backend, pictures)
    assert any(path.name in what for _, what in found(place))
    assert set(repair(place)) == {Mending.REBUILT}
    assert found(place) == []
    with ShadowGit.open(place) as backend:
        whole(backend, pictures, tmp_path)
    victim = path.parents[1] / "victim"
    assert make is not link or (victim.read_bytes(), victim.stat().st_mode & 0o777) == (b"victim", 0o644)


@pytest.mark.parametrize("make", MADE)
def test_a_pack_that_is_no_file_costs_no_other_snapshot_anything(place, pictures, two, tmp_path, make):
    path = in_the_place_of(place, f"{two[1]}.pack", make)
    lost = list(pictures)[1]
    assert any(path.name in what for _, what in found(place))
    with ShadowGit.open(place) as backend:
        pictures[take(backend).id] = pictures.pop(lost)
    assert Mending.QUARANTINED in repair(place)
    assert found(place) == []
    with ShadowGit.open(place) as backend:
        whole(backend, pictures, tmp_path)
        (aside,) = backend._repository.quarantine.glob("*.pack")
        assert not aside.is_file() or aside.is_symlink()


def test_an_error_of_the_moment_is_no_damage_and_nothing_is_put_aside(as_user):
    """No permission, for no descriptor and no memory left, which take the same way."""

    def without_permission():
        place = Place(as_user.home / "store", as_user.home / "workspace")
        place.workspace.mkdir()
        (place.workspace / "file").write_bytes(b"bytes")
        with ShadowGit.open(place) as backend:
            take(backend)
            pack = next(backend._repository.packs.glob("*.pack"))
        pack.chmod(0)
        with ShadowGit.open(place) as backend:
            with pytest.raises(StoreError) as raised:
                list(faulty_packs(backend._repository, lambda: None, full=True, lone=False))
            with pytest.raises(StoreError):
                list(backend.rebuild())
            return type(raised.value), pack.exists(), backend._repository.quarantine.exists()

    assert as_user(without_permission) == (StoreError, True, False)


@pytest.mark.parametrize("extensions", [(".idx",), (".idx", ".pack")])
def test_a_pack_that_is_reclaimed_while_it_is_looked_at_is_no_damage(place, two, extensions):
    with ShadowGit.open(place) as backend:

        def reclaim():
            for extension in extensions:  # in this order
                (backend._repository.packs / f"{max(two)}{extension}").unlink(missing_ok=True)

        assert [*faulty_packs(backend._repository, reclaim, full=True, lone=False)] == []


def test_what_was_reclaimed_while_it_was_looked_at_is_not_called_lost(place, backend, pictures):
    fill(place.workspace, "first", 3000, 1)
    turn(backend, pictures)
    (place.workspace / "second").mkdir()
    fill(place.workspace, "second/file", 3000, 2)
    turn(backend, pictures)
    derived, ticks = Derived(), []

    def tick():
        ticks.append(None)
        if len(ticks) == 1:
            with ShadowGit.open(place) as other:
                other.forget(pictures)
                (place.workspace / "third").write_bytes(b"third")
                take(other)
                other.reclaim(thorough=True)

    presence = Presence(backend._indexes, backend._packs)
    derived.look(backend._everything, backend._packs.read, presence, tick, full=True)
    assert len(ticks) > 1
    assert (derived.lost, derived.complete) == ({}, True)


def test_the_quarantine_keeps_both_of_two_things_of_one_name(repo):
    pack = repo.packs / "pack-of-one-name.pack"
    for content in (b"once", b"again"):
        pack.write_bytes(content)
        repo.put_aside(pack)
    assert {path.read_bytes() for path in repo.quarantine.iterdir()} == {b"once", b"again"}


class Counted(bytes):
    """How many bytes were taken out of it."""

    taken = 0

    def __getitem__(self, where):
        found = super().__getitem__(where)
        self.taken += len(found) if isinstance(where, slice) else 1
        return found


def test_looking_for_objects_in_noise_does_not_take_a_megabyte_for_each_byte_that_could_begin_one():
    noise = Counted(random.Random(1).randbytes(4 << 20))
    assert list(_objects(noise)) == []
    assert noise.count(b"\x78") > 10_000
    assert noise.taken < 20 * len(noise)
