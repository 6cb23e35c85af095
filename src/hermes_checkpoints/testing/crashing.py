"""Processes killed at any moment: promises 1 and 6."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Place
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.processes import finish, killed_after, killed_at, start, steps_of
from hermes_checkpoints.testing.trees import pictured, populate, take
from hermes_checkpoints.testing.witness import Seen, difference, picture

# Publication comes last, so the last steps are tried one by one and those before them in strides.
_LAST_STEPS = 16
_STRIDES = 10
_RANDOM_KILLS = 5
# Seconds after which a program that a killed process left behind has done its work.
_OUTLIVED = 0.1


def _moments(steps: int) -> Iterator[int]:
    early = max(1, steps - _LAST_STEPS)
    yield from range(1, early, max(1, early // _STRIDES))
    yield from range(early, steps + 1)


class Crashing(Fixtures):
    """What is listed after a crash is whole, and nothing stands in the way of going on."""

    @pytest.mark.usefixtures("processes")
    def test_a_killed_save_leaves_only_whole_snapshots_listed(self, place: Place, ground: Path) -> None:
        def save() -> None:
            with self.open(place) as backend:
                take(backend)

        pictures = self._first(place)
        self._edit(place.workspace)
        steps = steps_of(save)
        self._whole(place, pictures, ground)
        for step in _moments(steps):
            self._edit(place.workspace)
            killed_at(step, save)
            self._whole(place, pictures, ground)
        self._goes_on(place, pictures, ground)

    @pytest.mark.usefixtures("processes")
    def test_a_save_killed_at_a_random_moment_leaves_only_whole_snapshots_listed(
        self, place: Place, ground: Path
    ) -> None:
        def save() -> None:
            with self.open(place) as backend:
                take(backend)

        pictures = self._first(place)
        self._edit(place.workspace)
        began = time.monotonic()
        finish(start(save))
        took = time.monotonic() - began
        self._whole(place, pictures, ground)
        for _ in range(_RANDOM_KILLS):
            self._edit(place.workspace)
            killed_after(random.uniform(0, took), save)
            self._whole(place, pictures, ground)
        self._goes_on(place, pictures, ground)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_first_save_leaves_a_store_that_works(self, place: Place, ground: Path) -> None:
        def save() -> None:
            with self.open(place) as backend:
                take(backend)

        populate(place.workspace)
        other = Place(ground / "store to count in", place.workspace)

        def elsewhere() -> None:
            with self.open(other) as backend:
                take(backend)

        steps = steps_of(elsewhere)
        for step in sorted(random.Random(steps).sample(range(1, steps), min(12, steps - 1))):
            (place.workspace / "turn").write_bytes(b"%d" % step)
            killed_at(step, save)
        self._goes_on(place, {}, ground, complete=False)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_reclaim_loses_nothing(self, place: Place, ground: Path) -> None:
        def reclaim() -> None:
            with self.open(place) as backend:
                backend.reclaim()

        pictures = self._first(place)
        self._garbage(place, pictures)
        steps = steps_of(reclaim)
        for step in range(1, steps + 1, max(1, steps // 8)):
            self._garbage(place, pictures)
            killed_at(step, reclaim)
            self._whole(place, pictures, ground)
        reclaim()
        self._whole(place, pictures, ground)
        self._goes_on(place, pictures, ground)

    @pytest.mark.usefixtures("processes")
    def test_a_killed_reclaim_does_not_go_on_behind_the_next_save(self, place: Place, ground: Path) -> None:
        """A program that it had started may outlive it, and delete what the next snapshot has just leaned on."""

        def reclaim() -> None:
            with self.open(place) as backend:
                backend.reclaim()

        pictures = self._first(place)
        data = {f"large {number}": os.urandom(100_000) for number in range(10)}
        began = time.monotonic()
        finish(start(reclaim))
        took = time.monotonic() - began
        for _ in range(_RANDOM_KILLS):
            for name, content in data.items():
                (place.workspace / name).write_bytes(content)
            with self.open(place) as backend:
                garbage = take(backend)
                for name in data:
                    (place.workspace / name).unlink()
                pictures[take(backend).id] = picture(place.workspace)
                backend.forget([garbage.id])
            killed_after(random.uniform(took / 4, took), reclaim)
            for name, content in data.items():
                (place.workspace / name).write_bytes(content)
            with self.open(place) as backend:
                pictures[take(backend).id] = picture(place.workspace)
            time.sleep(_OUTLIVED)
            self._whole(place, pictures, ground)
            for name in data:
                (place.workspace / name).unlink()
            with self.open(place) as backend:
                newest = next(backend.snapshots()).id
                pictures[take(backend).id] = picture(place.workspace)
                backend.forget([newest])
            del pictures[newest]

    @pytest.mark.usefixtures("processes")
    def test_a_killed_forget_takes_some_or_all_and_breaks_none(self, place: Place, ground: Path) -> None:
        pictures = self._first(place)
        ids: list[str] = []

        def forget() -> None:
            with self.open(place) as backend:
                backend.forget(ids)

        for step in range(1, 40, 3):
            with self.open(place) as backend:
                self._edit(place.workspace)
                pictures[take(backend).id] = picture(place.workspace)
            ids = list(pictures)[:-1]
            killed_at(step, forget)
            with self.open(place) as backend:
                listed = {snapshot.id for snapshot in backend.snapshots()}
                assert list(pictures)[-1] in listed
                pictures = {snapshot: pictures[snapshot] for snapshot in pictures if snapshot in listed}
            self._whole(place, pictures, ground)

    def _first(self, place: Place) -> dict[str, dict[bytes, Seen]]:
        populate(place.workspace)
        with self.open(place) as backend:
            return {take(backend).id: picture(place.workspace)}

    @staticmethod
    def _edit(workspace: Path) -> None:
        """Small and larger content, a new directory, and something gone since the last edit."""
        turn = time.monotonic_ns()
        for old in workspace.glob("turn *"):
            (old / "small").unlink()
            (old / "larger").unlink()
            old.rmdir()
        new = workspace / f"turn {turn}"
        new.mkdir()
        (new / "small").write_bytes(b"%d" % turn)
        (new / "larger").write_bytes(os.urandom(70_000))
        (workspace / "src" / "main.py").write_bytes(b"turn %d\n" % turn)

    def _garbage(self, place: Place, pictures: dict[str, dict[bytes, Seen]]) -> None:
        """Two more snapshots, of which one is forgotten; and none but three are kept."""
        with self.open(place) as backend:
            self._edit(place.workspace)
            doomed = take(backend)
            self._edit(place.workspace)
            pictures[take(backend).id] = picture(place.workspace)
            old = list(pictures)[:-3]
            backend.forget([doomed.id, *old])
        for snapshot in old:
            del pictures[snapshot]

    def _whole(self, place: Place, pictures: dict[str, dict[bytes, Seen]], ground: Path) -> None:
        """All that was listed still is; one more may be, of the workspace as it is now; the newest two are whole."""
        with self.open(place) as backend:
            listed = [snapshot.id for snapshot in backend.snapshots()]
            unknown = [snapshot for snapshot in listed if snapshot not in pictures]
            assert len(unknown) <= 1
            assert set(pictures) <= set(listed)
            pictures.update(dict.fromkeys(unknown, picture(place.workspace)))
            for snapshot in listed[:2]:
                assert difference(pictures[snapshot], pictured(backend, snapshot, ground)) == []

    def _goes_on(
        self, place: Place, pictures: dict[str, dict[bytes, Seen]], ground: Path, *, complete: bool = True
    ) -> None:
        """A save and a reclaim work after the crashes; all that is listed is whole after them."""
        with self.open(place) as backend:
            (place.workspace / "the last").write_bytes(b"edit")
            pictures[take(backend).id] = picture(place.workspace)
            backend.reclaim()
            self._all_whole(backend, pictures, ground, complete=complete)
        with self.open(place) as backend:
            self._all_whole(backend, pictures, ground, complete=complete)

    @staticmethod
    def _all_whole(backend: Backend, pictures: dict[str, dict[bytes, Seen]], ground: Path, *, complete: bool) -> None:
        listed = [snapshot.id for snapshot in backend.snapshots()]
        assert set(listed) == set(pictures) if complete else set(listed) >= set(pictures)
        for snapshot in listed:
            assert list(backend.verify(snapshot)) == []
            seen = pictured(backend, snapshot, ground)
            if snapshot in pictures:
                assert difference(pictures[snapshot], seen) == []
