"""Forgetting and reclaiming: promise 6."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Note, Place, SnapshotNotFound
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.testing.trees import EVERYTHING, pictured, populate, take
from hermes_checkpoints.testing.witness import Seen, difference, picture

_LARGE = 2_000_000
Pictures = dict[str, dict[bytes, Seen]]


def _whole(backend: Backend, expected: Pictures, ground: Path) -> None:
    """Every listed snapshot is an expected one, and each comes back as it was."""
    assert {snapshot.id for snapshot in backend.snapshots()} == expected.keys()
    for snapshot, seen in expected.items():
        assert difference(seen, pictured(backend, snapshot, ground)) == []
        assert list(backend.verify(snapshot)) == []


def _turns(backend: Backend, workspace: Path, count: int) -> Pictures:
    """Snapshots of several states, oldest first, with what the witness saw of each."""
    populate(workspace)
    taken = {}
    for number in range(count):
        (workspace / "turn").write_bytes(b"%d" % number)
        (workspace / f"large {number}").write_bytes(os.urandom(70_000))
        (workspace / "src" / "main.py").write_bytes(b"turn %d\n" % number)
        taken[take(backend).id] = picture(workspace)
    return taken


@contextmanager
def _marked(done: Path) -> Iterator[None]:
    """Tell another process when the block has ended, whichever way."""
    try:
        yield
    finally:
        done.touch()


class Forgetting(Fixtures):
    """What goes with ``forget`` and ``reclaim``, and what stays."""

    def test_forgetting_is_immediate_and_costs_no_other_snapshot(
        self, backend: Backend, place: Place, ground: Path
    ) -> None:
        taken = _turns(backend, place.workspace, 4)
        first, second, third, _ = taken
        backend.forget([second])
        del taken[second]
        _whole(backend, taken, ground)
        backend.forget([first, third])
        del taken[first], taken[third]
        _whole(backend, taken, ground)
        with self.open(place) as again:
            _whole(again, taken, ground)
            with pytest.raises(SnapshotNotFound):
                list(again.entries(second))
            with pytest.raises(SnapshotNotFound):
                list(again.changes(second))

    @pytest.mark.parametrize("gone", ["a" * 40, "", "..", "../" * 8 + "precious", "*", "-rf", "\udcff", "a\0b"])
    def test_forgetting_what_is_not_there_is_passed_over(
        self, backend: Backend, place: Place, ground: Path, gone: str
    ) -> None:
        taken = _turns(backend, place.workspace, 2)
        (ground / "precious").write_bytes(b"outside")
        oldest, newest = taken
        backend.forget([])
        backend.forget([gone, newest[:10]])
        _whole(backend, taken, ground)
        backend.forget([oldest, gone])
        backend.forget([oldest])
        del taken[oldest]
        _whole(backend, taken, ground)
        assert (ground / "precious").read_bytes() == b"outside"

    def test_reclaiming_spares_every_listed_snapshot(self, backend: Backend, place: Place, ground: Path) -> None:
        other = Place(place.store, ground / "other")
        other.workspace.mkdir()
        with self.open(other) as theirs:
            their_own = _turns(theirs, other.workspace, 3)
            taken = _turns(backend, place.workspace, 4)
            for forgotten in list(taken)[1:3]:
                backend.forget([forgotten])
                del taken[forgotten]
            oldest = next(iter(their_own))
            theirs.forget([oldest])
            del their_own[oldest]
            backend.reclaim()
            _whole(backend, taken, ground)
            _whole(theirs, their_own, ground)
            backend.reclaim()
            _whole(theirs, their_own, ground)

    def test_reclaiming_gives_the_space_back(self, backend: Backend, workspace: Path, ground: Path) -> None:
        populate(workspace)
        (workspace / "large").write_bytes(os.urandom(_LARGE))
        large = take(backend)
        assert backend.usage().apparent > _LARGE
        (workspace / "large").unlink()
        small = take(backend)
        backend.reclaim()
        with_large = backend.usage()  # now: a clone takes nothing as long as the workspace has the file
        assert backend.usage().apparent > _LARGE, "a listed snapshot still holds it"
        backend.forget([large.id])
        backend.reclaim()
        assert backend.usage().apparent < with_large.apparent - _LARGE * 9 // 10
        assert backend.usage().real < with_large.real
        assert difference(picture(workspace), pictured(backend, small.id, ground)) == []

    def test_what_was_reclaimed_is_stored_again_when_it_is_still_there(
        self, backend: Backend, place: Place, ground: Path
    ) -> None:
        """A stat cache that trusted the names of contents that are gone would lose them."""
        populate(place.workspace)
        (place.workspace / "large").write_bytes(os.urandom(70_000))
        only = take(backend)
        backend.forget([only.id])
        backend.reclaim()
        assert list(backend.snapshots()) == []
        again = take(backend)
        assert again.id != only.id
        _whole(backend, {again.id: picture(place.workspace)}, ground)
        backend.forget([again.id])
        backend.reclaim()
        with self.open(place) as reopened:
            _whole(reopened, {take(reopened).id: picture(place.workspace)}, ground)

    def test_after_the_newest_was_forgotten_the_next_one_is_whole(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        taken = _turns(backend, workspace, 3)
        newest = list(taken)[-1]
        backend.forget([newest])
        del taken[newest]
        saved = backend.save(EVERYTHING, Note())
        assert saved.snapshot is not None, "the workspace is not as any listed snapshot has it"
        taken[saved.snapshot.id] = picture(workspace)
        backend.reclaim()
        _whole(backend, taken, ground)
        backend.forget([saved.snapshot.id])
        del taken[saved.snapshot.id]
        backend.reclaim()
        taken[take(backend).id] = picture(workspace)
        _whole(backend, taken, ground)

    def test_a_backend_that_was_open_meanwhile_goes_on(self, backend: Backend, place: Place, ground: Path) -> None:
        taken = _turns(backend, place.workspace, 3)
        with self.open(place) as other:
            _whole(other, taken, ground)
            first = next(iter(taken))
            backend.forget([first])
            backend.reclaim()
            del taken[first]
            _whole(other, taken, ground)
            (place.workspace / "more").write_bytes(b"more")
            taken[take(other).id] = picture(place.workspace)
            backend.reclaim()
            _whole(other, taken, ground)
            _whole(backend, taken, ground)

    def test_an_empty_store_can_be_reclaimed_and_measured(self, backend: Backend, workspace: Path) -> None:
        backend.reclaim()
        usage = backend.usage()
        assert 0 <= usage.apparent < 100_000
        assert usage.real >= 0
        populate(workspace)
        take(backend)
        assert backend.usage().apparent > usage.apparent

    @pytest.mark.usefixtures("processes")
    def test_two_processes_may_reclaim_at_once(self, place: Place, ground: Path) -> None:
        with self.open(place) as backend:
            taken = _turns(backend, place.workspace, 4)
            forgotten = list(taken)[:2]
            backend.forget(forgotten)
        for gone in forgotten:
            del taken[gone]

        def reclaim() -> None:
            with self.open(place) as backend:
                backend.reclaim()

        at_once(reclaim, reclaim, reclaim)
        with self.open(place) as backend:
            _whole(backend, taken, ground)

    @pytest.mark.usefixtures("processes")
    def test_reclaiming_spares_what_is_being_saved_meanwhile(self, place: Place, ground: Path) -> None:
        """Content that is garbage one moment may be what the next snapshot leans on."""
        data = [os.urandom(70_000), b"small", os.urandom(5000)]
        done = ground / "done"

        def saving() -> Pictures:
            taken: Pictures = {}
            with self.open(place) as backend, _marked(done):
                for turn in range(8):
                    for number, content in enumerate(data):
                        (place.workspace / f"{turn} {number}").write_bytes(content)
                    taken[take(backend).id] = picture(place.workspace)
                    for number in range(len(data)):
                        (place.workspace / f"{turn} {number}").unlink()
                    take(backend)
                    keep = [*taken][-2:]
                    backend.forget([snapshot.id for snapshot in backend.snapshots() if snapshot.id not in keep])
                    taken = {snapshot: taken[snapshot] for snapshot in keep}
            return taken

        def reclaiming() -> None:
            with self.open(place) as backend:
                while not done.exists():
                    began = time.monotonic()
                    backend.reclaim()
                    time.sleep(time.monotonic() - began)  # a save that waits for the lock must have its turn

        taken, _ = at_once(saving, reclaiming)
        with self.open(place) as backend:
            _whole(backend, taken, ground)

    @pytest.mark.usefixtures("processes")
    def test_workspaces_that_share_a_store_can_be_saved_at_once(self, place: Place, ground: Path) -> None:
        places = [Place(place.store, ground / f"workspace {number}") for number in range(4)]

        def saving(mine: Place) -> Pictures:
            with self.open(mine) as backend:
                return _turns(backend, mine.workspace, 3)

        for mine in places:
            mine.workspace.mkdir()
        for mine, taken in zip(places, at_once(*(lambda mine=mine: saving(mine) for mine in places)), strict=True):
            with self.open(mine) as backend:
                _whole(backend, taken, ground)
