"""What a store takes on disk, who holds it, and how it comes back."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Note, PathNotFound, Place, Reason, Restoring, Saved
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.trees import EVERYTHING, contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

_LARGE = 3_000_000
# Directories, indexes, headers and the rounding of blocks: not what these tests are about.
_SLACK = 200_000


class _Stopped(Exception):
    """Of a caller who has seen enough."""


def _save(backend: Backend, told: list[int], stop_at: float = float("inf")) -> Saved:
    def growing(size: int) -> None:
        told.append(size)
        if sum(told) > stop_at:
            raise _Stopped

    return backend.save(EVERYTHING, Note(), growing=growing)


def _near(figure: int, expected: int) -> bool:
    return abs(figure - expected) <= expected * 0.15 + _SLACK


class Space(Fixtures):
    """Growing, sharing, reclaiming within bounds, purging."""

    def test_what_a_save_announces_is_what_the_store_grows_by(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        take(backend)
        (workspace / "seed").write_bytes(os.urandom(70_000))
        for size in (_LARGE, 2 * _LARGE):
            told: list[int] = []
            for number in range(20):  # small enough to be copied by every backend
                (workspace / f"{number}").write_bytes(os.urandom(size // 20 if size // 20 < 60_000 else 60_000))
            before = backend.usage().real
            assert _save(backend, told).snapshot is not None
            assert _near(sum(told), backend.usage().real - before)

    def test_a_save_that_finds_nothing_new_announces_nothing(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        take(backend)
        told: list[int] = []
        assert _save(backend, told).snapshot is None
        assert sum(told) == 0

    def test_a_save_that_grows_too_much_can_be_stopped_and_stores_nothing(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        populate(workspace)
        first = take(backend)
        seen = picture(workspace)
        backend.reclaim()
        before = backend.usage().real
        for number in range(60):
            (workspace / f"{number}").write_bytes(os.urandom(50_000))
        with pytest.raises(_Stopped):
            _save(backend, [], stop_at=1_000_000)
        assert [snapshot.id for snapshot in backend.snapshots()] == [first.id]
        assert difference(seen, pictured(backend, first.id, ground)) == []
        backend.reclaim(thorough=True)
        assert backend.usage().real <= before + _SLACK
        assert take(backend).files == first.files + 60

    def test_the_shares_say_what_forgetting_gives_back(self, backend: Backend, place: Place, ground: Path) -> None:
        other = Place(place.store, ground / "other")
        other.workspace.mkdir()
        # Less than what is cloned: a clone takes nothing while the workspace has the file.
        for number in range(50):
            (place.workspace / f"first {number}").write_bytes(os.urandom(60_000))
        (place.workspace / "seed").write_bytes(b"")
        take(backend)
        for number in range(50):
            (place.workspace / f"second {number}").write_bytes(os.urandom(60_000))
        second = take(backend)
        for number in range(50):
            (place.workspace / f"second {number}").unlink()
        third = take(backend)
        with self.open(other) as theirs:
            (other.workspace / "theirs").write_bytes(b"theirs")
            take(theirs)
            ids = {snapshot.id for one in (backend, theirs) for snapshot in one.snapshots()}
        shares = backend.shares()
        assert {snapshot for holders in shares for snapshot in holders} == ids
        assert sum(shares.values()) <= backend.usage().real + _SLACK
        gives_back = shares[frozenset([second.id])]
        assert _near(gives_back, _LARGE)
        assert sum(size for holders, size in shares.items() if holders == {third.id}) < _SLACK
        before = backend.usage().real
        backend.forget([second.id])
        backend.reclaim(thorough=True)
        assert _near(before - backend.usage().real, gives_back)
        assert second.id not in {snapshot for holders in backend.shares() for snapshot in holders}

    def test_the_snapshots_of_all_workspaces_can_be_listed_through_one(
        self, backend: Backend, place: Place, ground: Path
    ) -> None:
        assert list(backend.all_snapshots()) == []
        other = Place(place.store, ground / "other")
        other.workspace.mkdir()
        populate(place.workspace)
        take(backend, "mine")
        with self.open(other) as theirs:
            take(theirs, "theirs")
            listed = [*backend.snapshots(), *theirs.snapshots()]
            assert sorted(backend.all_snapshots(), key=repr) == sorted(listed, key=repr)
            assert backend.home == theirs.home

    def test_reclaiming_can_be_bounded_and_stopped_and_loses_nothing(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        taken = {}
        for number in range(8):
            (workspace / "large").write_bytes(os.urandom(400_000))
            (workspace / f"{number}").write_bytes(os.urandom(5000))
            taken[take(backend).id] = picture(workspace)
        gone = list(taken)[:6]
        backend.forget(gone)
        before = backend.usage().apparent

        def stop(done: int) -> None:
            raise _Stopped

        backend.reclaim(until=0)
        with suppress(_Stopped):  # whether it tells of progress in so short a time is its own affair
            backend.reclaim(progress=stop)
        for snapshot in list(taken)[6:]:
            assert difference(taken[snapshot], pictured(backend, snapshot, ground)) == []
        assert backend.reclaim(thorough=True) is True
        assert backend.usage().apparent < before - 1_500_000
        for snapshot in list(taken)[6:]:
            assert difference(taken[snapshot], pictured(backend, snapshot, ground)) == []

    def test_a_purged_path_is_in_no_snapshot_any_more(self, backend: Backend, workspace: Path, ground: Path) -> None:
        populate(workspace)
        (workspace / "keys").mkdir()
        secret = os.urandom(_LARGE)
        plain = take(backend, "plain")
        for name in ("keys/private", "keys/other"):
            (workspace / name).write_bytes(secret)
        with_key = take(backend, "with the key")
        (workspace / "keys" / "private").unlink()
        (workspace / "src" / "main.py").write_bytes(b"later\n")
        later = take(backend, "without one of them")
        old = {snapshot.id: contents(backend, snapshot.id) for snapshot in (plain, with_key, later)}
        before = backend.usage().apparent
        new_ids = backend.purge("keys/private")
        assert new_ids.keys() == {with_key.id}
        new_ids = {**new_ids, **backend.purge("keys/other")}
        backend.reclaim(thorough=True)
        assert backend.usage().apparent < before - _LARGE * 9 // 10
        now = [*reversed(list(backend.snapshots()))]
        assert [snapshot.created_ns for snapshot in now] == [one.created_ns for one in (plain, with_key, later)]
        assert [snapshot.note for snapshot in now] == [one.note for one in (plain, with_key, later)]
        assert now[0].id == plain.id
        assert now[1].files == with_key.files - 2
        assert now[1].size == with_key.size - 2 * _LARGE
        for snapshot, was in zip(now, (plain, with_key, later), strict=True):
            assert all(path not in ("keys/private", "keys/other") for path in contents(backend, snapshot.id))
            kept = {path: data for path, data in old[was.id].items() if not path.startswith("keys/")}
            assert contents(backend, snapshot.id) == kept
            assert list(backend.verify(snapshot.id)) == []
        assert backend.entry(now[1].id, "keys/private").reason is Reason.PURGED
        with pytest.raises(PathNotFound):
            backend.entry(now[0].id, "keys/private")

    def test_a_purged_directory_goes_with_all_that_is_in_it(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        take(backend)
        backend.purge("src")
        (left,) = backend.snapshots()
        assert not backend.entry(left.id, "src").held
        assert all(not path.startswith("src/") for path, _ in backend.entries(left.id))
        assert left.size == sum(len(data) for data in contents(backend, left.id).values())

    def test_purging_what_no_snapshot_holds_changes_nothing(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        ids = [take(backend).id]
        for path in ("nothing", "src/nothing", "src/main.py/below"):
            assert backend.purge(path) == {}
        new_ids = backend.purge("src/main.py")
        assert list(new_ids) == ids
        assert backend.purge("src/main.py") == {}
        assert [snapshot.id for snapshot in backend.snapshots()] == [*new_ids.values()]

    def test_a_safety_snapshot_names_its_target_by_the_new_id(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        target = take(backend)
        (workspace / "src" / "main.py").unlink()
        saved = backend.save(EVERYTHING, Note("before", restoring=Restoring(target.id)))
        assert saved.snapshot is not None
        new_ids = backend.purge("src/main.py")
        assert new_ids.keys() == {target.id, saved.snapshot.id}
        safety = next(backend.snapshots())
        assert safety.note.restoring == Restoring(new_ids[target.id])

    def test_after_a_purge_the_next_save_is_whole(self, backend: Backend, workspace: Path, ground: Path) -> None:
        populate(workspace)
        take(backend)
        backend.purge("src/main.py")
        backend.reclaim(thorough=True)
        again = take(backend)
        assert difference(picture(workspace), pictured(backend, again.id, ground)) == []
