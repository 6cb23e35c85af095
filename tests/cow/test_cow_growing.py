"""A save says beforehand by how much the store will grow, and one that is told to stop leaves nothing."""

import os

import pytest

from cow_ground import EVERYTHING, MB, free_space, raw_bytes
from hermes_checkpoints.contract import StoreError

_SMALL = MB // 4


class Full(StoreError):
    """The store may not grow any more."""


class Meter:
    """Adds up what was announced; refuses what is over its limit."""

    def __init__(self, limit=1 << 60):
        self.total = 0
        self._limit = limit

    def __call__(self, size):
        self.total += size
        if self.total > self._limit:
            raise Full("no room")


def _grown(ground, edit):
    free_space(ground.root)
    before = ground.real()
    edit(ground.workspace)
    free_space(ground.root)
    meter = Meter()
    ground.take(meter)
    free_space(ground.root)
    return meter.total, ground.real() - before


def _many_small(workspace):
    for number in range(200):
        (workspace / f"small {number}").write_bytes(os.urandom(20_000 + number))


def _rewrite(workspace):
    (workspace / "large").write_bytes(os.urandom(12 * MB))


def _edit(workspace):
    with (workspace / "large").open("r+b") as file:
        file.write(os.urandom(5 * MB))


EDITS = {
    "a large file appears": lambda w: (w / "another").write_bytes(os.urandom(6 * MB)),
    "a large file is rewritten": _rewrite,
    "a large file is edited": _edit,
    "a large file goes": lambda w: (w / "large").unlink(),
    "a large file is renamed": lambda w: (w / "large").rename(w / "elsewhere"),
    "a tree with large files goes": lambda w: [(w / "tree/large").unlink(), (w / "tree").rmdir()],
    "many small files appear": _many_small,
    "a mode changes": lambda w: (w / "large").chmod(0o640),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_announced_is_what_usage_grows_by(filesystem, ground, edit):
    (ground.workspace / "tree").mkdir()
    ground.write("large", 12 * MB)
    ground.write("tree/large", 3 * MB)
    ground.take()
    announced, grown = _grown(ground, EDITS[edit])
    print(f"{filesystem.name}, {edit}: announced {announced / MB:.2f} MB, grown {grown / MB:.2f} MB")
    assert abs(announced - grown) <= max(grown * 0.05, 64 * 1024)


def test_the_first_snapshot_announces_copies_and_no_clones(filesystem, ground):
    ground.write("large", 12 * MB)
    ground.write("small", 30_000)
    meter = Meter()
    ground.take(meter)
    assert abs(meter.total - ground.real()) < _SMALL
    assert meter.total < 64 * 1024 if filesystem.clones else meter.total > 12 * MB


@pytest.mark.parametrize("limit", [0, 30_000, 61_000])
def test_a_save_that_is_stopped_leaves_nothing(ground, limit):
    ground.write("large", MB)
    first = ground.take()
    before = sorted(path for path in ground.home.rglob("*") if path.is_file())
    secret = os.urandom(60_000)
    (ground.workspace / "new").write_bytes(secret)
    (ground.workspace / "large").unlink()
    with pytest.raises(Full):
        ground.take(Meter(limit))
    assert [snapshot.id for snapshot in ground.backend.snapshots()] == [first.id]
    assert sorted(path for path in ground.home.rglob("*") if path.is_file()) == before
    assert secret[:100] not in raw_bytes(ground.home)
    ground.take()
    ground.verify()


@pytest.mark.parametrize("size", [1000, 100_000])
def test_what_is_dropped_is_taken_back(ground, size):
    """A file that changes while it is read is stored again; its first reading is no growth."""
    ground.take()
    ground.write("moving", size)
    batch = ground.backend._begin(EVERYTHING)
    batch.growing = meter = Meter()
    fd = os.open(ground.workspace / "moving", os.O_RDONLY)
    try:
        batch.add(fd, size, None)
        batch.drop()
        assert meter.total == 0
        assert batch.keys() == []
    finally:
        os.close(fd)
        batch.abandon()
