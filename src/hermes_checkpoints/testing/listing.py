"""Which snapshots there are: promise 5."""

import os
import time
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Note, Place, Restoring, Snapshot, SnapshotNotFound
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.testing.trees import EVERYTHING, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

UNKNOWN = {
    "made up": "a" * 40,
    "zeros": "0" * 40,
    "empty": "",
    "dots": "../" * 3 + "a" * 31,
    "an option": "--help",
    "a name of git's": "HEAD",
    "a wildcard": "*",
    "no hex": "z" * 40,
    "not ASCII": "\udcff" * 40,
    "NUL": "a" * 39 + "\0",
}


def _turns(backend: Backend, workspace: Path, count: int) -> list[Snapshot]:
    """Snapshots of as many different states, newest first."""
    taken = []
    for number in range(count):
        (workspace / "turn").write_text(str(number))
        taken.append(take(backend, f"turn {number}"))
    return taken[::-1]


def _elsewhere(place: Place) -> Place:
    """Another workspace in the same store."""
    other = place.workspace.parent / "another workspace"
    other.mkdir()
    return Place(place.store, other)


class Listing(Fixtures):
    """What ``snapshots`` and ``workspaces`` tell, and which ids are known."""

    def test_snapshots_come_newest_first_with_dates_that_never_repeat(self, backend: Backend, workspace: Path) -> None:
        taken = _turns(backend, workspace, 6)
        assert list(backend.snapshots()) == taken
        created = [snapshot.created_ns for snapshot in taken]
        assert created == sorted(set(created), reverse=True)
        assert abs(created[0] - time.time_ns()) < 3600 * 10**9

    def test_a_snapshot_says_what_it_is(self, backend: Backend, place: Place) -> None:
        populate(place.workspace)
        snapshot = take(backend)
        assert snapshot.workspace == place.workspace
        assert snapshot.backend == self.backend_class.name
        assert len(snapshot.id) == 40
        assert not set(snapshot.id) - set("0123456789abcdef")
        assert not snapshot.short_id.isdigit(), "it could be taken for a number in the list"

    def test_a_clock_that_was_set_back_does_not_change_the_order(
        self, backend: Backend, workspace: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        older = _turns(backend, workspace, 2)
        hour_ago = time.time_ns() - 3600 * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: hour_ago)
        (workspace / "turn").write_text("after")
        newer = take(backend)
        assert list(backend.snapshots()) == [newer, *older]
        assert newer.created_ns > older[0].created_ns

    def test_ids_dates_and_order_survive_forgetting_reclaiming_and_reopening(
        self, backend: Backend, place: Place, ground: Path
    ) -> None:
        taken = _turns(backend, place.workspace, 6)
        backend.forget([taken[1].id, taken[3].id, taken[5].id])
        left = [taken[0], taken[2], taken[4]]
        assert list(backend.snapshots()) == left
        backend.reclaim()
        assert list(backend.snapshots()) == left
        with self.open(place) as again:
            assert list(again.snapshots()) == left
            assert difference(picture(place.workspace), pictured(again, taken[0].id, ground)) == []

    def test_an_id_is_never_used_again(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        used = set()
        for _ in range(4):
            snapshot = take(backend, "the same")
            assert snapshot.id not in used
            used.add(snapshot.id)
            backend.forget([snapshot.id])
            backend.reclaim()

    @pytest.mark.parametrize(
        "note",
        [
            Note("plain", "request 7"),
            Note("two\nlines\r\n\ttabs and \0 and \x1b[31m"),
            Note("Zeichen: ä 漢 \N{CLOWN FACE} \udcff", "\udcfe"),
            Note("-" + "long " * 5000),
            Note("", "", Restoring("b" * 40, ("a\nb", "\udcff/x", "-"), "redo")),
        ],
        ids=["plain", "control characters", "not ASCII", "long", "restoring"],
    )
    def test_a_note_comes_back_as_it_was_given(self, backend: Backend, place: Place, note: Note) -> None:
        assert backend.save(EVERYTHING, note).latest.note == note
        with self.open(place) as again:
            assert [snapshot.note for snapshot in again.snapshots()] == [note]

    @pytest.mark.parametrize("unknown", UNKNOWN.values(), ids=UNKNOWN)
    def test_an_unknown_id_is_refused(self, backend: Backend, workspace: Path, unknown: str) -> None:
        populate(workspace)
        known = take(backend).id
        self._refused(backend, known, unknown)

    def test_a_beginning_of_an_id_is_refused(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        known = take(backend)
        for almost in (known.short_id, known.id.upper(), known.id + "0", known.id + "\n"):
            self._refused(backend, known.id, almost)

    def test_the_id_of_another_workspace_is_refused(self, backend: Backend, place: Place, ground: Path) -> None:
        populate(place.workspace)
        known = take(backend)
        other = _elsewhere(place)
        (other.workspace / "theirs").write_bytes(b"theirs")
        with self.open(other) as theirs:
            foreign = take(theirs)
            self._refused(backend, known.id, foreign.id)
            backend.forget([foreign.id])
            assert list(theirs.snapshots()) == [foreign]
            assert difference(picture(other.workspace), pictured(theirs, foreign.id, ground)) == []
            assert list(backend.snapshots()) == [known]

    @staticmethod
    def _refused(backend: Backend, known: str, refused: str) -> None:
        for ask in (
            lambda: backend.entry(refused, "README.md"),
            lambda: list(backend.entries(refused)),
            lambda: list(backend.changes(refused)),
            lambda: list(backend.changes(refused, known)),
            lambda: list(backend.changes(known, refused)),
            lambda: list(backend.verify(refused)),
        ):
            with pytest.raises(SnapshotNotFound):
                ask()

    def test_every_workspace_with_snapshots_is_named_once(self, backend: Backend, place: Place) -> None:
        assert list(backend.workspaces()) == []
        taken = _turns(backend, place.workspace, 3)
        other = _elsewhere(place)
        with self.open(other) as theirs:
            assert list(backend.workspaces()) == [place.workspace]
            take(theirs)
            assert sorted(backend.workspaces()) == sorted([place.workspace, other.workspace])
            backend.forget([snapshot.id for snapshot in taken])
            assert list(theirs.workspaces()) == [other.workspace]

    def test_a_workspace_may_have_any_name(self, place: Place, ground: Path) -> None:
        name = b"-n *\n'\"\\ $(x) \xff" if os.uname().sysname == "Linux" else b"-n *\n'\"\\ $(x)"
        strange = Place(place.store, ground / os.fsdecode(name))
        strange.workspace.mkdir()
        populate(strange.workspace)
        with self.open(strange) as backend:
            snapshot = take(backend)
        with self.open(strange) as backend:
            assert list(backend.snapshots()) == [snapshot]
            assert snapshot.workspace == strange.workspace
            assert list(backend.workspaces()) == [strange.workspace]
            assert difference(picture(strange.workspace), pictured(backend, snapshot.id, ground)) == []

    def test_opening_again_and_again_changes_nothing(self, backend: Backend, place: Place, ground: Path) -> None:
        populate(place.workspace)
        taken = [take(backend)]
        for _ in range(3):
            with self.open(place) as again:
                assert list(again.snapshots()) == taken
                assert again.save(EVERYTHING, Note()).snapshot is None
        assert difference(picture(place.workspace), pictured(backend, taken[0].id, ground)) == []

    def test_a_backend_may_be_closed_twice(self, place: Place, ground: Path) -> None:
        populate(place.workspace)
        backend = self.open(place)
        snapshot = take(backend)
        pictured(backend, snapshot.id, ground)
        backend.close()
        backend.close()

    def test_closing_lets_go_of_every_descriptor(self, place: Place, ground: Path) -> None:
        populate(place.workspace)
        descriptors = Path("/dev/fd")
        before = len(list(descriptors.iterdir()))
        for number in range(3):
            with self.open(place) as backend:
                (place.workspace / "turn").write_text(str(number))
                snapshot = take(backend)
                list(backend.changes(snapshot.id))
                pictured(backend, snapshot.id, ground)
        assert len(list(descriptors.iterdir())) == before

    @pytest.mark.usefixtures("processes")
    def test_two_processes_may_make_the_store_at_once(self, place: Place) -> None:
        for number in range(4):
            new = Place(place.store / f"store {number}", place.workspace)

            def opened(new: Place = new) -> int:
                with self.open(new) as backend:
                    return len(list(backend.snapshots()))

            assert at_once(opened, opened, opened) == [0, 0, 0]

    @pytest.mark.usefixtures("processes")
    def test_another_process_finds_what_was_taken(self, place: Place, ground: Path) -> None:
        def seen() -> list[tuple[Snapshot, object]]:
            with self.open(place) as backend:
                return [(snapshot, pictured(backend, snapshot.id, ground)) for snapshot in backend.snapshots()]

        populate(place.workspace)
        with self.open(place) as backend:
            snapshot = take(backend)
        assert at_once(seen) == [[(snapshot, picture(place.workspace))]]
