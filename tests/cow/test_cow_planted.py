"""A store in which something else stands in a file's place, or whose files cannot be read just now."""

import os
import resource
import socket
from contextlib import contextmanager

import pytest

from cow_ground import ground_at
from hermes_checkpoints.contract import Mending, StoreDamaged, StoreError
from hermes_checkpoints.testing.privileges import obeying_modes
from test_cow_damage import filled, found, own_files


@pytest.fixture
def ground(tmp_path):
    with ground_at(tmp_path) as made:
        yield made


def bind(path):
    with socket.socket(socket.AF_UNIX) as made:
        before = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # a socket's path has a hundred letters at most
        made.bind(path.name)
        os.fchdir(before)
        os.close(before)


PLANTED = {
    "directory": os.mkdir,
    "full directory": lambda path: (path / "below").mkdir(parents=True),
    "link": lambda path: path.symlink_to(path.parents[4] / "victim"),
    "fifo": os.mkfifo,
    "socket": bind,
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("name", ["data", "own"])
def test_what_stands_in_a_stored_files_place_is_put_aside_and_the_workspaces_bytes_are_stored_again(ground, name, kind):
    _, second = filled(ground)
    victim = ground.root / "victim"
    victim.write_bytes(b"victim")
    victim.chmod(0o644)
    files = own_files(ground.home) if name == "own" else ground.home.glob("batches/*/data")
    path = max(files, key=lambda path: path.stat().st_size)
    path.unlink()
    PLANTED[kind](path)
    assert {damage.snapshot for damage in found(ground)} >= {second.id}
    assert ground.backend.usage().real > 0
    assert {one.what for one in ground.backend.mend(give_up=False)} == {Mending.HEALED}
    assert found(ground) == []
    assert (victim.read_bytes(), victim.stat().st_mode & 0o777) == (b"victim", 0o644)
    assert len([*ground.home.glob("quarantine/batches/*")]) == 1
    assert ground.backend.reclaim()
    ground.verify()


def test_nothing_is_stored_through_a_link_in_the_place_of_a_batch(ground):
    filled(ground)
    path = max(own_files(ground.home), key=lambda path: path.stat().st_size)
    path.parent.rename(ground.root / "away")
    path.parent.symlink_to(ground.root / "away")
    (ground.root / "away" / path.name).unlink()
    before = sorted(os.listdir(ground.root / "away"))
    with pytest.raises(StoreError):
        list(ground.backend.mend(give_up=False))
    assert sorted(os.listdir(ground.root / "away")) == before


@pytest.mark.parametrize("kind", PLANTED)
def test_what_stands_in_a_headers_place_is_told_and_keeps_nobody_waiting(ground, kind):
    _, second = filled(ground)
    (path,) = ground.home.glob(f"snapshots/*/*-{second.id}")
    path.unlink()
    PLANTED[kind](path)
    assert [damage.snapshot for damage in found(ground)] == [second.id]
    with ground_at(ground.root) as again:
        assert len(list(again.backend.snapshots())) == 1
    with pytest.raises(StoreDamaged):
        ground.backend.reclaim()


@pytest.mark.parametrize("kind", PLANTED)
def test_what_stands_in_the_digests_place_is_told_and_keeps_nobody_waiting(ground, kind):
    filled(ground)
    PLANTED[kind](min((ground.home / "batches").iterdir()) / "digests")
    (damage,) = found(ground)
    assert "digests" in damage.what
    assert ground.backend.reclaim()
    assert [one.what for one in ground.backend.rebuild()] == [Mending.REBUILT]
    assert found(ground) == []


@contextmanager
def without_permission(path):
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with obeying_modes():
            yield
    finally:
        path.chmod(mode)


@contextmanager
def without_descriptors(path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(path, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("prevented", [without_permission, without_descriptors])
@pytest.mark.parametrize("name", ["snapshots/*/*", "batches/*/data", "batches/*/1"])
def test_what_cannot_be_read_just_now_is_not_damaged_and_nothing_is_given_up_for_it(ground, name, prevented):
    filled(ground)
    path = min(ground.home.glob(name))
    before = path.read_bytes()

    def reclaim():
        ground.backend.reclaim()
        raise StoreError("it reads no contents")

    for work in (
        lambda: list(ground.backend.examine()),
        lambda: list(ground.backend.mend(give_up=True)),
        lambda: list(ground.backend.rebuild()) + list(ground.backend.mend(give_up=True)),
        reclaim,
    ):
        with prevented(path), pytest.raises(StoreError) as raised:
            work()
        assert not isinstance(raised.value, StoreDamaged)
    assert path.read_bytes() == before
    assert found(ground) == []
    ground.verify()
