"""Giving space back while others read, purge or are killed, and when there is no space: both backends."""

import os
import shutil

import pytest

from hermes_checkpoints.contract import Note, Place, Restoring
from hermes_checkpoints.testing.processes import finish, killed_at, start, steps_of
from hermes_checkpoints.testing.trees import EVERYTHING, take
from hermes_checkpoints_cow.backend import CopyOnWrite
from hermes_checkpoints_shadow_git.backend import ShadowGit

BACKENDS = [CopyOnWrite, ShadowGit]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def kind(request):
    return request.param


@pytest.fixture
def place(tmp_path):
    (tmp_path / "workspace").mkdir()
    return Place(tmp_path / "store", tmp_path / "workspace")


def target_and_safety_snapshot(kind, place):
    """Two snapshots that hold ``secret``, the second of which names the first."""
    with kind.open(place) as backend:
        (place.workspace / "secret").write_bytes(b"secret")
        target = take(backend, "target")
        (place.workspace / "other").write_bytes(b"other")
        backend.save(EVERYTHING, Note("safety", restoring=Restoring(target.id, (), "restore")))


def test_a_purge_killed_at_any_step_can_be_repeated_and_leaves_each_snapshot_once(kind, place, tmp_path):
    def purge():
        with kind.open(place) as backend:
            backend.purge("secret")

    target_and_safety_snapshot(kind, place)
    shutil.copytree(place.store, tmp_path / "before", symlinks=True)
    steps = steps_of(purge)
    for step in range(1, steps + 1):
        shutil.rmtree(place.store)
        shutil.copytree(tmp_path / "before", place.store, symlinks=True)
        killed_at(step, purge)
        purge()
        with kind.open(place) as backend:
            safety, target = backend.snapshots()
            assert [safety.note.reason, target.note.reason] == ["safety", "target"]
            assert safety.note.restoring.target == target.id
            assert not any(backend.entry(one.id, "secret").held for one in (safety, target))
            assert all(list(backend.verify(one.id)) == [] for one in (safety, target))


def test_a_killed_purge_has_replaced_all_but_one_snapshot_at_a_time(kind, place):
    """Twice as many would have retention forget the older half."""

    def stop(done):
        if done == 3:
            os.kill(os.getpid(), 9)

    def purge():
        with kind.open(place) as backend:
            backend.purge("secret", stop)

    with kind.open(place) as backend:
        (place.workspace / "secret").write_bytes(b"secret")
        for number in range(5):
            (place.workspace / "other").write_bytes(b"%d" % number)
            take(backend)
        assert finish(start(purge))[0] == -9
        assert [backend.entry(one.id, "secret").held for one in backend.snapshots()] == [
            True,
            True,
            False,
            False,
            False,
        ]


def test_a_path_can_be_purged_where_an_older_snapshot_has_a_file_of_that_name_above_it(kind, place):
    with kind.open(place) as backend:
        (place.workspace / "a").write_bytes(b"a file")
        take(backend)
        (place.workspace / "a").unlink()
        (place.workspace / "a").mkdir()
        (place.workspace / "a" / "a").write_bytes(b"secret")
        newest = take(backend)
        assert list(backend.purge("a/a")) == [newest.id]


def test_nothing_stays_in_the_stat_caches_of_saves_and_reclaims_that_were_killed(kind, place):
    def reclaim():
        with kind.open(place) as backend:
            backend.reclaim()

    with kind.open(place) as backend:
        for step in range(1, 200):
            (place.workspace / "file").write_bytes(b"%d" % step)
            backend.forget([take(backend).id])
            (backend.home / "seen" / "0123456789abcdef.new").write_bytes(b"half of a stat cache")
            died = killed_at(step, reclaim)
            reclaim()
            assert list((backend.home / "seen").iterdir()) == []
            if not died:
                return
    raise AssertionError("it never came to an end")


def test_the_shares_can_be_asked_for_while_snapshots_are_forgotten_and_reclaimed(kind, place, monkeypatch):
    with kind.open(place) as backend, kind.open(place) as other:
        (place.workspace / "directory").mkdir()
        for content in (b"first", b"second"):
            (place.workspace / "directory" / "file").write_bytes(content)
            last = take(backend)
        gone = [one.id for one in backend.snapshots() if one.id != last.id]
        size = backend._stored_size

    def forgets_first(entry):
        if gone:
            other.forget([gone.pop()])
            other.reclaim(thorough=True)
        return size(entry)

    with kind.open(place) as backend:
        size = backend._stored_size
        monkeypatch.setattr(backend, "_stored_size", forgets_first)
        assert {one for holders in backend.shares() for one in holders} == {last.id}


# Not shadow-git on Btrfs: it must make a file to begin with, and a full Btrfs gives no name to one.
@pytest.mark.parametrize(
    ("kind", "filesystem_kind"),
    [(kind, name) for kind in BACKENDS for name in ("ext4", "xfs", "btrfs") if (kind, name) != (ShadowGit, "btrfs")],
)
def test_space_can_be_given_back_when_there_is_none_left(kind, small_filesystem, filesystem_kind):
    with small_filesystem(filesystem_kind, 300) as filesystem:
        place = Place(filesystem.root / "store", filesystem.root / "workspace")
        place.workspace.mkdir()
        with kind.open(place) as backend:
            for turn in range(6):
                some_turns(backend, turn)
            forget_all_but_the_newest(backend)
            killed = backend.home / "tmp" / "0123456789abcdef"
            killed.mkdir()
            (killed / "half").write_bytes(os.urandom(500_000))
            fill(filesystem.root, filesystem_kind)
            before = backend.usage().real
            assert backend.reclaim()
            assert backend.usage().real < before * 0.6
            (newest,) = backend.snapshots()
            assert list(backend.verify(newest.id)) == []


def some_turns(backend, turn):
    """Snapshots that leave two thirds of what is stored together as garbage."""
    workspace = backend.place.workspace
    for number in range(12):
        (workspace / f"{turn} {number}").write_bytes(os.urandom(50_000))
    take(backend)
    for number in range(12):
        if number % 3:
            (workspace / f"{turn} {number}").unlink()
    take(backend)


def forget_all_but_the_newest(backend):
    backend.forget([one.id for one in list(backend.snapshots())[1:]])


def fill(root, kind):
    """Leave no room for a block."""
    with (root / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    filler.write(os.urandom(size))
            except OSError:
                os.sync()
    # Btrfs keeps names apart from contents, and can do nothing but remove files when there is no room for names.
    for made in range(0 if kind == "btrfs" else 10_000):
        try:
            (root / f"filler {made}").mkdir()
        except OSError:
            return
