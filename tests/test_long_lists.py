"""Lists of many snapshots: what is kept of them saves reading, and never says what is not so."""

import pytest

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import Note, Place
from hermes_checkpoints.kit.store.remembered import MANY
from hermes_checkpoints.plugins import load
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import steps_of
from trees import BACKENDS, put

LIMITS = Limits(max_snapshots=1000, max_total_size=0)


class Long:
    """A workspace with more snapshots than are read one by one."""

    def __init__(self, directory, backend):
        self.workspace, self.store, self.backend = directory / "workspace", directory / "store", backend
        with self.engine() as engine:
            for number in range(MANY + 8):
                put(self.workspace, "file", b"%d" % number)
                engine.snapshot(self.workspace, f"turn {number}", request=f"request {number // 2}")
            engine.restore(self.workspace, "3", ["file"])

    def engine(self):
        return Engine(store=self.store, backend=self.backend, limits=LIMITS)

    def listed(self):
        """As somebody finds it who has just come."""
        with self.engine() as engine:
            return engine.list(self.workspace)

    @property
    def kept(self):
        (file,) = (self.store / "store" / self.backend / "listed").iterdir()
        return file


@pytest.fixture(params=BACKENDS)
def long(request, tmp_path):
    return Long(tmp_path, request.param)


def test_a_list_from_what_was_kept_is_the_list_to_the_last_detail(long):
    read = long.listed()
    assert long.kept.is_file()
    again = long.listed()
    assert again == read
    assert again[0].note == Note("before restoring " + read[3].short_id, restoring=again[0].note.restoring)
    assert again[0].note.restoring.paths == ("file",)
    with long.engine() as engine:
        engine.restore(long.workspace, str(MANY))  # what was kept leads to what is held
    assert (long.workspace / "file").read_bytes() == b"9"


def test_a_long_list_does_not_open_a_file_for_each_snapshot_again(long):
    long.listed()
    assert steps_of(long.listed) < MANY + 8


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:-9], lambda data: data[:-1] + b"?"])
def test_damage_to_what_was_kept_costs_nobody_a_snapshot(long, spoil):
    read = long.listed()
    long.kept.write_bytes(spoil(long.kept.read_bytes()))
    assert long.listed() == read
    assert long.listed() == read


def test_what_was_forgotten_since_is_not_listed_and_what_was_taken_since_is(long):
    read = long.listed()
    with long.engine() as engine:
        engine.upkeep.forget([read[5]])
        put(long.workspace, "file", b"since")
        taken = engine.snapshot(long.workspace)
        assert isinstance(taken, Taken)
    assert long.listed() == [taken.snapshot, *read[:5], *read[6:]]


def test_nothing_is_kept_of_a_workspace_whose_snapshots_are_all_gone(long):
    read = long.listed()
    with long.engine() as engine:
        engine.upkeep.forget(read)
        assert not engine.upkeep.maintain().troubles
    assert not list((long.store / "store" / long.backend / "listed").iterdir())


def test_a_purge_leaves_no_note_of_what_was_forgotten(long):
    """Thoroughly: what was kept to save work may still know it."""
    read = long.listed()
    with long.engine() as engine:
        engine.upkeep.forget(read[1:])
    place = Place(long.store / "store", long.workspace)
    with load(long.backend).open(place) as backend:
        while not backend.reclaim(thorough=True):
            pass
    files = [path for path in (long.store / "store" / long.backend).rglob("*") if path.is_file()]
    assert not [path for path in files if b"request 7" in path.read_bytes()]


def test_a_newest_header_that_was_damaged_since_keeps_nobody_from_taking_and_restoring(tmp_path):
    long = Long(tmp_path, "cow")
    read = long.listed()
    store = long.store / "store" / "cow"
    (newest,) = (path for path in store.glob("snapshots/*/*") if read[0].id in path.name)
    newest.chmod(0o600)
    newest.write_bytes(b"damaged")
    for path in (store / "seen").iterdir():
        path.unlink()
    put(long.workspace, "file", b"since")
    with long.engine() as engine:
        assert isinstance(engine.snapshot(long.workspace), Taken)
    with long.engine() as engine:
        assert not engine.restore(long.workspace, read[5].id).failed
