"""Disks that are full, over quota, read-only or damaged: nothing is lost, and what could not be done is told."""

import errno
import os
from contextlib import contextmanager

import pytest

from disks import made_disk
from filesystems import Unavailable
from hermes_checkpoints import Limits
from hermes_checkpoints.contract import CheckpointError, Reason, StoreDamaged
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, ground, put

_ALL = ("ext4 full", "xfs full", "btrfs full", "btrfs over quota", "ext4 read-only", "xfs read-only")
_SOME = ("ext4 full", "btrfs over quota", "xfs read-only")
_MEGABYTES = {"ext4": 64, "xfs": 300, "btrfs": 200}
_CODES = {"full": errno.ENOSPC, "quota": errno.EDQUOT, "read-only": errno.EROFS}
_FEW, _MANY = 6, 40


class Trouble:
    """A directory on a disk, and a while in which nothing can be written there."""

    def __init__(self, disk, told):
        self.disk = disk
        self.word = told.rpartition(" ")[2]
        self.where = disk.subvolume("where") if self.word == "quota" else disk.root / "where"
        self.where.mkdir(exist_ok=True)

    @contextmanager
    def begins(self):
        while_it_lasts = {
            "full": self.disk.full,
            "quota": lambda: self.disk.over_quota(self.where),
            "read-only": self.disk.read_only,
        }
        with while_it_lasts[self.word]():
            with pytest.raises(OSError) as refused:
                put(self.where, "probe", os.urandom(100_000))
            assert refused.value.errno == _CODES[self.word]
            if self.word != "read-only":
                (self.where / "probe").unlink(missing_ok=True)
            yield


@contextmanager
def _disk(config, kind):
    try:
        with made_disk(kind, _MEGABYTES[kind]) as disk:
            yield disk
    except Unavailable as error:
        if config.getoption("--require-filesystems"):
            raise
        pytest.skip(f"{kind} is not available: {error}")


def pytest_generate_tests(metafunc):
    if "trouble" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--faults") == "all"
        metafunc.parametrize("trouble", _ALL if everything else _SOME, indirect=True)


@pytest.fixture
def trouble(request):
    with _disk(request.config, request.param.split()[0]) as disk:
        yield Trouble(disk, request.param)


@pytest.fixture
def damaged(request):
    """A Btrfs, which knows what its bytes should be."""
    with _disk(request.config, "btrfs") as disk:
        yield disk


def edited(workspace, number, files=_FEW):
    """The same files with other contents, one gone and one new; the picture."""
    for file in range(files):
        put(workspace, f"{file % 3}/{file}", os.urandom(20_000 + file))
    put(workspace, f"only in {number}", b"%d" % number)
    (workspace / f"only in {number - 1}").unlink(missing_ok=True)
    return picture(workspace)


def told_where(error, directory):
    assert str(directory) in str(error), f"the error does not say where: {error}"


def all_whole(at, pictures, directory):
    """Every snapshot is listed, and comes back as it was."""
    listed = {snapshot.id for snapshot in at.engine.list(at.workspace)}
    assert pictures.keys() <= listed
    for number, (snapshot, before) in enumerate(pictures.items()):
        target = directory / f"laid out {number} {os.urandom(4).hex()}"
        assert at.engine.export(at.workspace, snapshot, target).failed == []
        assert difference(before, picture(target)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_take_that_finds_no_room_costs_no_earlier_snapshot(trouble, backend, fresh_directory):
    # Nothing is forgotten to make room: there is nothing to gain.
    with ground(fresh_directory, backend, store=trouble.where / "store", limits=Limits(min_free_disk=0)) as at:
        pictures = {}
        for number in range(3):
            now = edited(at.workspace, number)
            pictures[at.take().snapshot.id] = now
        now = edited(at.workspace, 3)
        with trouble.begins():
            with pytest.raises(CheckpointError) as failed:
                at.engine.snapshot(at.workspace)
            told_where(failed.value, trouble.where)
            assert difference(now, picture(at.workspace)) == []
            all_whole(at, pictures, fresh_directory)
        pictures[at.take().snapshot.id] = now
        all_whole(at, pictures, fresh_directory)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("files", [_FEW, _MANY], ids=["of a few files", "of many files"])
def test_a_restore_without_room_in_the_workspace_leaves_each_file_old_or_new_and_says_which(
    trouble, backend, files, fresh_directory
):
    with ground(trouble.where, backend, store=fresh_directory / "store") as at:
        then = edited(at.workspace, 0, files)
        first = at.take().snapshot
        before = edited(at.workspace, 1, files)
        at.take()
        with trouble.begins():
            try:
                done = at.engine.restore(at.workspace, first.id)
            except CheckpointError as refused:
                told_where(refused, trouble.where)
                assert difference(before, picture(at.workspace)) == []
            else:
                assert done.failed, "nothing could be written, and nobody says so"
                now = picture(at.workspace)
                failed = {os.fsencode(one.path) for one in done.failed}
                changed = {os.fsencode(path) for path in (*done.written, *done.deleted)}
                assert not failed & changed
                for path in before.keys() | then.keys() | now.keys():
                    expected = then if path in changed else before
                    assert now.get(path) == expected.get(path), f"{path!r} is not what the restore says"
        if at.engine.interrupted(at.workspace):
            assert at.engine.finish_restore(at.workspace).failed == []
        else:
            assert at.engine.restore(at.workspace, first.id).failed == []
        assert difference(then, picture(at.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_restore_without_room_in_the_store_is_refused_and_changes_nothing(trouble, backend, fresh_directory):
    with ground(fresh_directory, backend, store=trouble.where / "store") as at:
        then = edited(at.workspace, 0)
        first = at.take().snapshot
        now = edited(at.workspace, 1)
        with trouble.begins():
            with pytest.raises(CheckpointError) as refused:
                at.engine.restore(at.workspace, first.id)
            told_where(refused.value, trouble.where)
            assert difference(now, picture(at.workspace)) == []
        assert at.engine.restore(at.workspace, first.id).failed == []
        assert difference(then, picture(at.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_getting_space_back_where_there_is_none_costs_no_snapshot(trouble, backend, fresh_directory):
    with ground(fresh_directory, backend, store=trouble.where / "store", limits=Limits(min_free_disk=0)) as at:
        pictures = {}
        for number in range(6):
            now = edited(at.workspace, number)
            pictures[at.take().snapshot.id] = now
        going = at.engine.list(at.workspace)[3:]
        at.engine.upkeep.forget(going)
        for one in going:
            del pictures[one.id]
        with trouble.begins():
            try:
                done = at.engine.upkeep.maintain()
            except CheckpointError as failed:
                told_where(failed, trouble.where)
            else:
                for told in done.troubles:
                    told_where(told, trouble.where)
            all_whole(at, pictures, fresh_directory)
            at.engine.upkeep.prune(at.engine.upkeep.plan(max_total_size=1))
        assert at.engine.upkeep.maintain().troubles == ()
        assert isinstance(at.engine.snapshot(at.workspace), Taken | Unchanged)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_disk_with_garbage_on_it_takes_the_next_snapshot(backend, request, fresh_directory):
    """What was forgotten is room."""
    with (
        _disk(request.config, "ext4") as disk,
        ground(fresh_directory, backend, store=disk.root / "store") as at,
    ):
        put(at.workspace, "large", os.urandom(4 << 20))
        first = at.take().snapshot
        put(at.workspace, "large", os.urandom(1 << 20))
        at.take()
        at.engine.upkeep.forget([first])
        put(at.workspace, "large", os.urandom(2 << 20))
        with disk.full():
            at.take()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_the_disk_cannot_read_is_left_out_with_its_reason(damaged, backend, fresh_directory):
    with ground(damaged.root, backend, store=fresh_directory / "store") as at:
        content = os.urandom(50_000)
        put(at.workspace, "unreadable", content)
        put(at.workspace, "good", b"good")
        os.sync()
        at.engine.close()
        assert damaged.flip(content[20_000:30_000]) == 1
        with pytest.raises(OSError, match="Input/output"):
            (at.workspace / "unreadable").read_bytes()
        taken = at.take()
        assert [(one.path, one.reason) for one in taken.left_out] == [("unreadable", Reason.UNREADABLE)]
        (at.workspace / "good").write_bytes(b"edited")
        assert at.engine.restore(at.workspace, taken.snapshot.id).failed == []
        assert (at.workspace / "good").read_bytes() == b"good"
        assert (at.workspace / "unreadable").stat().st_size == len(content)


@pytest.mark.parametrize("backend", BACKENDS)
def test_stored_bytes_that_the_disk_cannot_read_are_told_and_never_restored(
    damaged, backend, fresh_directory, monkeypatch
):
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", "")
    with ground(fresh_directory, backend, store=damaged.root / "store") as at:
        content = os.urandom(50_000)
        put(at.workspace, "lost", content)
        put(at.workspace, "good", b"good")
        first = at.take().snapshot
        put(at.workspace, "lost", b"edited")
        put(at.workspace, "good", b"edited")
        os.sync()
        at.engine.close()
        assert damaged.flip(content[20_000:30_000]) == 1
        with pytest.raises(StoreDamaged), at.engine.read(at.workspace, first.id, "lost") as lost:
            lost.read()
        done = at.engine.restore(at.workspace, first.id)
        assert [one.path for one in done.failed] == ["lost"]
        assert (at.workspace / "lost").read_bytes() == b"edited"
        assert (at.workspace / "good").read_bytes() == b"good"
        put(at.workspace, "good", b"edited again")
        at.take()
