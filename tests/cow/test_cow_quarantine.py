"""What a repair has put aside can be put back: nothing that it leads to goes before it does."""

import shutil

import pytest

from cow_ground import ground_at
from hermes_checkpoints.contract import Mending
from hermes_checkpoints_cow.keys import parse
from hermes_checkpoints_cow.repairing import put_aside
from test_cow_damage import flip, found, own_files


@pytest.fixture
def ground(tmp_path):
    with ground_at(tmp_path) as made:
        yield made


@pytest.fixture
def doomed(ground):
    """The first of two snapshots; the second holds nothing of it, and nor does the workspace."""
    (ground.workspace / "below").mkdir()
    ground.write("below/large", 70_000)
    ground.write("small", 300)
    taken = ground.take()
    shutil.rmtree(ground.workspace / "below")
    (ground.workspace / "small").unlink()
    ground.write("another", 300)
    ground.take()
    shutil.rmtree(ground.home / "seen")
    return taken


def spoil_root(ground, doomed):
    where = parse(ground.backend._snapshot(doomed.id)[1].key)
    path = ground.home / "batches" / where.batch.hex() / "data"
    return path, where.offset + 2


def spoil_header(ground, doomed):
    (path,) = ground.home.glob(f"snapshots/*/*-{doomed.id}")
    return path, path.read_bytes().index(b'"root":') + 2


@pytest.mark.parametrize("spoil", [spoil_root, spoil_header])
def test_one_byte_that_costs_a_snapshot_does_not_cost_its_files(ground, doomed, spoil):
    contents = {path: ground.read(doomed, path) for path in ("below/large", "small")}
    path, at = spoil(ground, doomed)
    flip(path, at)
    assert [one.what for one in ground.backend.mend(give_up=True)] == [Mending.QUARANTINED]
    for thorough in (False, True):
        assert ground.backend.reclaim(thorough=thorough)
    (aside,) = ground.home.glob("quarantine/*/*")
    back = ground.home / "snapshots" / aside.parent.name / aside.name[:-9]
    aside.rename(back)
    flip(back if path == back else path, at)
    assert found(ground) == []
    with ground_at(ground.root) as again:
        assert {path: again.read(doomed, path) for path in contents} == contents


def test_the_space_of_what_is_in_quarantine_comes_back_when_that_is_emptied(ground, doomed):
    flip(*spoil_root(ground, doomed))
    list(ground.backend.mend(give_up=True))
    assert ground.backend.reclaim()
    assert own_files(ground.home)
    shutil.rmtree(ground.home / "quarantine")
    assert ground.backend.reclaim()
    assert own_files(ground.home) == []
    ground.verify()


def test_what_is_in_quarantine_and_no_header_stops_no_reclaim(ground, doomed, tmp_path):
    directory = ground.home / "quarantine" / ground.backend.place.workspace_id
    directory.mkdir(parents=True)
    (directory / "link").symlink_to(tmp_path)
    (directory / "directory").mkdir()
    (directory / "notes").write_bytes(b"notes")
    ground.backend.forget([doomed.id])
    assert ground.backend.reclaim()
    assert own_files(ground.home) == []


def test_what_is_put_aside_takes_no_others_place(tmp_path):
    for content in (b"one", b"other"):
        (tmp_path / "header").write_bytes(content)
        put_aside(tmp_path / "header", tmp_path / "quarantine")
    assert {path.read_bytes() for path in (tmp_path / "quarantine").iterdir()} == {b"one", b"other"}
