"""Lost contents are looked for once, and one that cannot be stored again costs the others nothing."""

import errno
import os

import pytest

from hermes_checkpoints.contract import Kind, Mending, Place, Reason, StoreDamaged, StoreError, silent
from hermes_checkpoints.kit import open_format
from hermes_checkpoints.kit.examining import Examination, examined
from hermes_checkpoints.kit.store.home import find_home, noted_homes
from hermes_checkpoints.kit.store.plain import is_damage
from hermes_checkpoints.testing import MemoryBackend
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.trees import contents, take

MANY = 30


class Picky(MemoryBackend):
    """Counts what is digested, and cannot store some contents again."""

    digested = 0
    refused = frozenset()
    why = errno.EISDIR

    def _digest_of(self, content, size):
        self.digested += 1
        return super()._digest_of(content, size)

    def _put_back(self, entry, content, *, dry_run=False):
        data = content.read()
        content.seek(0)
        if data in self.refused:
            raise StoreError("it cannot be stored") from OSError(self.why, os.strerror(self.why))
        return super()._put_back(entry, content, dry_run=dry_run)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "workspace").mkdir()
    return Place(tmp_path / "store", tmp_path / "workspace")


@pytest.fixture
def backend(place):
    with Picky.open(place) as backend:
        yield backend


def lost(backend, names):
    """A snapshot with these files, each of its own bytes, all damaged."""
    made = {name: os.urandom(64) for name in names}
    for name, content in made.items():
        (backend.place.workspace / name).write_bytes(content)
    snapshot = take(backend)
    for content in made.values():
        backend.spoil(content)
    return snapshot.id, made


def test_many_lost_files_of_one_size_are_looked_for_by_reading_each_file_once(place, backend):
    _, made = lost(backend, [f"file {number}" for number in range(MANY)])
    for name in made:
        (place.workspace / name).write_bytes(os.urandom(64))
    (place.workspace / "moved").write_bytes(made["file 7"])
    healed = [*backend.mend(give_up=False)]
    assert [(one.what, one.path) for one in healed] == [(Mending.HEALED, "file 7")]
    assert backend.digested == MANY + 1


def test_one_content_that_cannot_be_stored_again_costs_the_others_nothing(place, backend):
    snapshot, made = lost(backend, ["one", "refused", "two"])
    backend.refused = {made["refused"]}
    mended = []
    with pytest.raises(StoreError, match="it cannot be stored"):
        mended.extend(backend.mend(give_up=False))
    assert {damage.path for damage in backend.examine()} == {"refused"}
    assert contents_of(backend, snapshot, ["one", "two"]) == [made["one"], made["two"]]


def contents_of(backend, snapshot, names):
    found = []
    for name in names:
        with backend.read(backend.entry(snapshot, name)) as content:
            found.append(content.read())
    return found


def test_what_could_only_not_be_stored_is_not_given_up_while_the_workspace_has_it(place, backend):
    first, made = lost(backend, ["refused", "kept"])
    second, _ = lost(backend, ["gone"])
    backend.refused = {made["refused"]}
    (place.workspace / "refused").rename(place.workspace / "moved")
    third = take(backend).id
    (place.workspace / "gone").unlink()
    (place.workspace / "kept").unlink()
    with pytest.raises(StoreError, match="it cannot be stored"):
        list(backend.mend(give_up=True))
    assert [one.id for one in backend.snapshots()] == [third, second, first]
    backend.refused = frozenset()
    list(backend.mend(give_up=True))
    assert [*backend.examine()] == []
    newest, _, oldest = backend.snapshots()
    assert contents_of(backend, oldest.id, ["refused"]) == contents_of(backend, newest.id, ["moved"])
    assert backend.entry(oldest.id, "kept").reason is Reason.DAMAGED


def test_where_there_is_no_room_healing_ends_at_once(place, backend):
    _, made = lost(backend, ["one", "two"])
    backend.refused, backend.why = {made["one"]}, errno.ENOSPC
    mending = backend.mend(give_up=True)
    with pytest.raises(StoreError, match="it cannot be stored"):
        next(mending)
    assert {damage.path for damage in backend.examine()} == {"one", "two"}


def test_a_snapshot_is_not_listed_in_another_workspace_nor_under_another_date(place, backend, tmp_path):
    (place.workspace / "file").write_bytes(b"mine")
    mine = take(backend)
    theirs = Place(place.store, tmp_path / "theirs")
    theirs.workspace.mkdir()
    header = backend._load_header(mine.id)
    with Picky.open(theirs) as other:
        other._mine()[mine.id] = (mine.created_ns, header)
        assert list(other.snapshots()) == []
        with pytest.raises(StoreDamaged, match=str(place.workspace)):
            other.entry(mine.id, "file")
        assert [damage.snapshot for damage in other.examine()] == [""]
        del other._mine()[mine.id]
    backend._mine()[mine.id] = (mine.created_ns + 1, header)
    with Picky.open(place) as again:
        assert list(again.snapshots()) == []
        assert [damage.snapshot for damage in again.examine()] == [mine.id]
        assert list(again.all_snapshots()) == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_directory_that_vanishes_while_damage_is_named_counts_if_the_snapshot_is_still_listed(backend, place, listed):
    (place.workspace / "directory").mkdir()
    snapshot, _ = lost(backend, ["directory/file"])
    walks = []

    def load(key):
        walks.append(key)
        if len(walks) > 2:  # both directories were looked at
            if not listed:
                backend.forget([snapshot])
            raise StoreDamaged("reclaimed")
        return backend._node(key)

    def check(entry):
        if entry.kind is Kind.FILE:
            raise StoreDamaged("flipped")

    examination = Examination(load, check, silent)
    found = [one.what for one in examined(backend._everything, "memory", examination)]
    assert found == (["reclaimed"] if listed else [])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("hermes-checkpoints-format", lambda place: open_format(place.store, 1)),
        ("cow/elsewhere/{id}", lambda place: list(noted_homes(place))),
        ("cow/elsewhere/{id}", lambda place: find_home(place, "cow", None)),
    ],
)
def test_a_fifo_in_the_store_keeps_nobody_waiting(place, name, read):
    fifo = place.store / name.format(id=place.workspace_id)
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)

    def told():
        with pytest.raises(StoreError, match="no regular file"):
            read(place)

    assert finish(start(told)) == (0, None)


def test_a_fifo_in_the_place_of_the_stat_cache_keeps_nobody_waiting(place, backend):
    take(backend)
    (cache,) = (backend.home / "seen").iterdir()
    cache.unlink()
    os.mkfifo(cache)
    (place.workspace / "file").write_bytes(b"bytes")

    def again():
        with Picky.open(place) as other:
            return contents(other, take(other).id)

    assert finish(start(again)) == (0, {"file": b"bytes"})


@pytest.mark.parametrize(
    ("number", "damage"),
    [(errno.EIO, True), (errno.ELOOP, True), (errno.EACCES, False), (errno.EMFILE, False), (errno.ENOMEM, False)],
)
def test_only_what_will_be_no_better_the_next_time_is_damage(number, damage):
    assert is_damage(OSError(number, os.strerror(number))) is damage
