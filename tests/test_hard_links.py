"""One file under several names, or held open: what is put back goes to the name and never through it."""

import os
import stat

import pytest

from trees import BACKENDS, ground, put


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def test_a_hard_link_out_of_the_workspace_is_never_written_through(here, on_filesystem):
    outside = put(on_filesystem, "outside", b"inside then")
    os.link(outside, here.workspace / "file")
    os.link(outside, here.workspace / "mode")
    taken = here.take()
    outside.write_bytes(b"theirs now")
    outside.chmod(0o600)
    before = (outside.read_bytes(), outside.stat().st_mode, outside.stat().st_ino)

    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []

    assert (outside.read_bytes(), outside.stat().st_mode, outside.stat().st_ino) == before
    assert (here.workspace / "file").read_bytes() == b"inside then"
    assert stat.S_IMODE((here.workspace / "mode").stat().st_mode) == 0o644


def test_hard_links_that_nobody_changed_stay_links(here):
    put(here.workspace, "one", b"shared")
    os.link(here.workspace / "one", here.workspace / "two")
    put(here.workspace, "other", b"1")
    taken = here.take()
    put(here.workspace, "other", b"2")
    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []
    assert (here.workspace / "one").stat().st_nlink == 2


def test_an_open_file_keeps_its_bytes_while_the_name_gets_the_restored_ones(here):
    target = put(here.workspace, "log.txt", b"then")
    taken = here.take()
    target.write_bytes(b"now, and being read")
    with target.open("rb") as reader:
        assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []
        assert reader.read() == b"now, and being read"
    assert target.read_bytes() == b"then"


@pytest.mark.parametrize("names", [2, 3])
def test_every_name_of_a_changed_file_comes_back_although_each_replacement_moves_the_ctime_of_the_others(here, names):
    for number in range(names):
        put(here.workspace, f"name{number}", f"{number}")
    taken = here.take()
    for number in range(1, names):
        (here.workspace / f"name{number}").unlink()
        os.link(here.workspace / "name0", here.workspace / f"name{number}")
    put(here.workspace, "name0", b"one file now")
    for extra in ("extra0", "extra1"):
        os.link(here.workspace / "name0", here.workspace / extra)
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert (done.kept, done.failed) == ([], [])
    found = {path.name: path.read_bytes() for path in here.workspace.iterdir()}
    assert found == {f"name{number}": b"%d" % number for number in range(names)}
