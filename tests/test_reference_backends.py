"""The strict backend catches callers who break the contract; the faulty one fails where it is told to."""

import errno
import os
from itertools import count

import pytest

from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.contract import Backend, Capability, Entry, Kind, Note, Place, RestoreRefused, Scope, StoreError
from hermes_checkpoints.kit import encode_node
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing import FaultyBackend, MemoryBackend
from hermes_checkpoints.testing.trees import EVERYTHING, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

# Those that do not load are test_conformance.py's to report.
TREES = {"memory": MemoryBackend} | {
    name: found
    for name, found in plugins.load_all().items()
    if isinstance(found, type) and issubclass(found, Backend) and Capability.FOREIGN not in found.capabilities
}


@pytest.fixture
def place(tmp_path):
    for name in ("store", "workspace"):
        (tmp_path / name).mkdir()
    populate(tmp_path / "workspace")
    return Place(tmp_path / "store", tmp_path / "workspace")


@pytest.fixture
def memory(place):
    with MemoryBackend.open(place) as backend:
        yield backend


@pytest.fixture
def batch(memory):
    batch = memory._begin(EVERYTHING)
    yield batch
    batch.abandon()


@pytest.mark.parametrize("backend_class", TREES.values(), ids=TREES)
def test_wherever_storing_fails_earlier_snapshots_are_whole_and_the_next_save_works(place, tmp_path, backend_class):
    faulty = FaultyBackend.around(backend_class)
    with faulty.open(place) as backend:
        pictures = {take(backend).id: picture(place.workspace)}
        for nth in count(1):
            (place.workspace / "turn").write_bytes(os.urandom(100))
            (place.workspace / "src" / "main.py").write_bytes(b"turn %d\n" % nth)
            faulty.fail_at = faulty.calls + nth
            try:
                pictures[take(backend).id] = picture(place.workspace)
            except StoreError as error:
                assert error.__cause__.errno == errno.ENOSPC
                assert {snapshot.id for snapshot in backend.snapshots()} == pictures.keys()
                pictures[take(backend).id] = picture(place.workspace)
            else:
                break
        assert nth > 4, "two contents, two directories and a publication can fail"
        for snapshot, seen in pictures.items():
            assert difference(seen, pictured(backend, snapshot, tmp_path)) == []
            assert list(backend.verify(snapshot)) == []


def test_a_restore_is_refused_when_the_present_cannot_be_saved_first(tmp_path):
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    populate(workspace)
    faulty = FaultyBackend.around(MemoryBackend)
    with Engine(store=tmp_path / "store", backend=faulty) as engine:
        taken = engine.snapshot(workspace, "before")
        assert isinstance(taken, Taken)
        (workspace / "README.md").write_bytes(b"precious work since")
        before = picture(workspace)
        faulty.fail_at = faulty.calls + 1
        with pytest.raises(RestoreRefused):
            engine.restore(workspace, taken.snapshot.id)
        assert difference(before, picture(workspace)) == []
        engine.restore(workspace, taken.snapshot.id)
        assert (workspace / "README.md").read_bytes() == b"# Title\n\nText.\n"


def test_two_faulty_backends_do_not_share_their_counts(place):
    one, other = FaultyBackend.around(MemoryBackend), FaultyBackend.around(MemoryBackend)
    one.fail_at = 1
    with other.open(place) as backend:
        take(backend)
    assert (one.calls, FaultyBackend.calls) == (0, 0)
    assert other.calls > 0


def test_the_failure_may_have_another_errno(place):
    faulty = FaultyBackend.around(MemoryBackend)
    faulty.fail_at, faulty.code = 1, errno.EDQUOT
    with faulty.open(place) as backend, pytest.raises(StoreError) as raised:
        take(backend)
    assert raised.value.__cause__.errno == errno.EDQUOT


def test_a_disk_that_is_full_stays_full_for_the_rest_of_the_batch(place):
    faulty = FaultyBackend.around(MemoryBackend)
    faulty.fail_at = 1
    with faulty.open(place) as backend:
        batch = backend._begin(EVERYTHING)
        for _ in range(2):
            with pytest.raises(StoreError):
                batch.node({})
        batch.abandon()


def test_snapshots_in_memory_outlive_the_instance_that_took_them(place):
    with MemoryBackend.open(place) as backend:
        snapshot = take(backend)
    with MemoryBackend.open(place) as backend:
        assert list(backend.snapshots()) == [snapshot]


def test_snapshots_in_memory_belong_to_one_store(place, tmp_path):
    with MemoryBackend.open(place) as backend:
        take(backend)
    with MemoryBackend.open(Place(tmp_path / "another store", place.workspace)) as backend:
        assert list(backend.snapshots()) == []


def test_a_key_that_was_never_given_out_is_the_callers_mistake(memory):
    with pytest.raises(AssertionError, match="no key that this store gave out"):
        memory.read(Entry(Kind.FILE, key=b"made up"))


def test_one_id_is_not_a_collection_of_ids(memory):
    with pytest.raises(AssertionError, match="not one id"):
        memory.forget("a" * 40)


def test_two_saves_of_one_workspace_at_once_are_the_callers_mistake(memory, batch):
    with pytest.raises(AssertionError, match="two batches at once"):
        memory.save(Scope(), Note())


def test_nothing_may_be_stored_after_a_batch_was_given_up(batch):
    batch.abandon()
    with pytest.raises(AssertionError, match="published or abandoned"):
        batch.node({})


def test_there_must_be_something_to_take_back(batch, place):
    with (place.workspace / "README.md").open("rb") as file:
        batch.add(file.fileno(), 15, None)
    batch.drop()
    with pytest.raises(AssertionError, match="no add to take back"):
        batch.drop()


def test_a_directory_must_not_name_what_is_not_stored(batch):
    with pytest.raises(AssertionError, match="names what is not stored"):
        batch.node({"file": Entry(Kind.FILE, key=b"elsewhere")})


def test_dates_of_a_workspace_must_grow(memory):
    created_ns = take(memory).created_ns
    batch = memory._begin(EVERYTHING)
    root = batch.node({})
    with pytest.raises(AssertionError, match="dates"):
        batch.publish(b"{}", created_ns - 1, root)
    batch.abandon()


@pytest.mark.parametrize("backend_class", TREES.values(), ids=TREES)
def test_a_file_with_the_bytes_of_a_stored_directory_does_not_cost_what_is_in_that_directory(place, backend_class):
    (place.workspace / "zz").mkdir()
    (place.workspace / "zz" / "precious").write_bytes(b"precious")
    with backend_class.open(place) as backend:
        first = take(backend)
        below = {path[3:]: entry for path, entry in backend.entries(first.id) if path.startswith("zz/")}
        (place.workspace / "a file").write_bytes(encode_node(below))
        second = take(backend)
        backend.forget([first.id])
        assert backend.reclaim(thorough=True)
        assert list(backend.verify(second.id)) == []
