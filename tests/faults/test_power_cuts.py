"""The power fails while snapshots are taken, forgotten, reclaimed and restored."""

import itertools
import os
import random

import pytest

from disks import made_disk
from filesystems import KINDS, Unavailable
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.testing.witness import picture
from living import ACTS, Moment
from power import Life
from trees import BACKENDS, put

_MEGABYTES = 400
# Cuts for each filesystem, backend and place of the workspace.
_SOME, _ALL = 2, 40
_LONGEST = 0.7  # seconds until a cut at a random moment


@pytest.fixture
def disk(request, kind):
    try:
        with made_disk(kind, _MEGABYTES) as made:
            yield made
    except Unavailable as error:
        if request.config.getoption("--require-filesystems"):
            raise
        pytest.skip(f"{kind} is not available: {error}")


@pytest.fixture
def everything(request):
    return request.config.getoption("--faults") == "all"


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_takes_what_nobody_synced_and_nothing_else(disk):
    """Or the tests below would prove nothing."""
    synced = put(disk.root, "synced", b"here")
    os.sync()
    before = picture(disk.root)
    put(disk.root, "directory/unsynced", b"gone")
    synced.rename(disk.root / "renamed")
    handle = disk.handle()
    disk.cut(handle)
    os.close(handle)
    disk.again()
    assert picture(disk.root) == before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beside", ["on the same disk", "on another disk"])
def test_every_snapshot_that_was_reported_outlives_a_power_cut(
    disk, kind, backend, beside, everything, fresh_directory, monkeypatch, tried
):
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(disk.root / "cow") if beside == "on another disk" else "")
    above = disk.root if beside == "on the same disk" else fresh_directory
    seed = random.randrange(1 << 32)
    life = Life(disk, backend, above / "workspace", disk.root / "checkpoints", random=random.Random(seed))
    print(f"seed {seed}")
    monkeypatch.setattr(clock, "boot", lambda: f"after {life.cuts} cuts")  # as a machine that had no power has it
    life.begin()
    life.until(Moment(seconds=_LONGEST))
    for moment in itertools.islice(_moments(life), _ALL if everything else _SOME):
        print(moment)
        life.until(moment)
    where = f"{kind}, {backend}"
    tried(f"power cuts: {where}", life.cuts)
    tried(f"snapshots reported before a power cut: {where}", life.reported)
    tried(f"restores cut by the power, and then ended: {where}", life.ended)


def _moments(life):
    """For ever: at a random step of each act in turn, and at a random moment now and then."""
    for act in itertools.cycle((*ACTS, "")):
        keep_log = life.random.random() < 0.3
        if act:
            yield Moment(act, life.random.randint(1, life.steps.get(act, 1) + 1), keep_log=keep_log)
        else:
            yield Moment(seconds=life.random.uniform(0.01, _LONGEST), keep_log=keep_log)
