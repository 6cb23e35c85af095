"""Bytes that changed in the store: found, never handed out, and mended where somebody still has them."""

import os
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Mending, Note, Place, Reason, Restoring, StoreDamaged
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.trees import EVERYTHING, contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

_SIZE = 1500


def _costs(backend: Backend) -> set[tuple[str, str]]:
    """The snapshots and paths that damage costs; what costs none anything is another matter."""
    return {(damage.snapshot, damage.path) for damage in backend.examine() if damage.snapshot}


def _store_files(backend: Backend) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in backend.home.rglob("*") if path.is_file()}


class Damaging(Fixtures):
    """``examine``, ``rebuild`` and ``mend``."""

    def _spoilt(self, place: Place) -> tuple[bytes, list[str]]:
        """Three snapshots; the first two hold a content of which a byte has changed in the store since."""
        lost = os.urandom(_SIZE)
        populate(place.workspace)
        (place.workspace / "src" / "lost").write_bytes(lost)
        with self.open(place) as backend:
            first = take(backend, "first")
            (place.workspace / "src" / "lost").rename(place.workspace / "moved")
            second = take(backend, "second")
            (place.workspace / "moved").unlink()
            third = take(backend, "third")
            self.spoil(backend, lost)
        return lost, [first.id, second.id, third.id]

    def test_a_store_in_which_nothing_is_damaged_is_found_so(self, backend: Backend, workspace: Path) -> None:
        assert list(backend.examine()) == []
        populate(workspace)
        ids = [take(backend).id]
        (workspace / "tool").unlink()
        ids.append(take(backend).id)
        backend.forget(ids[:1])
        for full in (True, False):
            assert list(backend.examine(full=full)) == []
        assert list(backend.rebuild()) == []
        assert list(backend.mend(give_up=True)) == []
        assert [snapshot.id for snapshot in backend.snapshots()] == ids[1:]

    def test_a_changed_byte_is_found_and_what_it_costs_is_named(self, place: Place) -> None:
        _, (first, second, _) = self._spoilt(place)
        with self.open(place) as backend:
            assert _costs(backend) == {(first, "src/lost"), (second, "moved")}

    def test_damage_is_named_whichever_workspace_asks(self, place: Place, ground: Path) -> None:
        _, (first, second, _) = self._spoilt(place)
        other = Place(place.store, ground / "other")
        other.workspace.mkdir()
        with self.open(other) as backend:
            take(backend)
            assert _costs(backend) == {(first, "src/lost"), (second, "moved")}

    def test_a_content_with_a_changed_byte_is_never_handed_out(self, place: Place, ground: Path) -> None:
        _, (first, _, third) = self._spoilt(place)
        with self.open(place) as backend:
            entry = backend.entry(first, "src/lost")
            with pytest.raises(StoreDamaged), backend.read(entry) as content:
                content.read()
            target = ground / "target"
            target.mkdir()
            fd = os.open(target, os.O_RDONLY)
            try:
                with pytest.raises(StoreDamaged):
                    backend.materialise(entry, fd, "lost")
            finally:
                os.close(fd)
            assert list(target.iterdir()) == []
            assert difference(picture(place.workspace), pictured(backend, third, ground)) == []

    @pytest.mark.parametrize("name", ["src/lost", "moved", "somewhere else"])
    def test_what_the_workspace_still_has_is_stored_again(self, place: Place, name: str) -> None:
        lost, (first, second, third) = self._spoilt(place)
        (place.workspace / name).write_bytes(lost)
        with self.open(place) as backend:
            list(backend.rebuild())
            assert {(one.what, one.new_id) for one in backend.mend(give_up=True)} == {(Mending.HEALED, "")}
            assert list(backend.examine()) == []
            assert [snapshot.id for snapshot in backend.snapshots()] == [third, second, first]
            assert contents(backend, first)["src/lost"] == contents(backend, second)["moved"] == lost

    def test_other_bytes_of_the_same_size_are_not_taken_for_what_was_lost(self, place: Place) -> None:
        lost, (first, second, _) = self._spoilt(place)
        (place.workspace / "src" / "lost").write_bytes(lost[:-1] + bytes([lost[-1] ^ 1]))
        with self.open(place) as backend:
            list(backend.rebuild())
            assert list(backend.mend(give_up=False)) == []
            assert _costs(backend) == {(first, "src/lost"), (second, "moved")}

    def test_what_nobody_has_any_more_is_left_out_and_nothing_else(self, place: Place, ground: Path) -> None:
        _, ids = self._spoilt(place)
        with self.open(place) as backend:
            old = {snapshot.id: snapshot for snapshot in backend.snapshots()}
            safety = backend.save(EVERYTHING, Note("before", restoring=Restoring(ids[1]))).snapshot
            assert safety is not None
            list(backend.rebuild())
            mended = {one.snapshot: one for one in backend.mend(give_up=True)}
            assert mended.keys() == {ids[0], ids[1], safety.id}
            assert {one.what for one in mended.values()} == {Mending.LEFT_OUT}
            assert list(backend.examine()) == []
            now = [*reversed(list(backend.snapshots()))]
            assert [one.id for one in now] == [mended[ids[0]].new_id, mended[ids[1]].new_id, ids[2], now[3].id]
            for was, one in zip(ids[:2], now, strict=False):
                assert (one.created_ns, one.note) == (old[was].created_ns, old[was].note)
                assert (one.files, one.size) == (old[was].files - 1, old[was].size - _SIZE)
            assert now[3].note == Note("before", restoring=Restoring(now[1].id))
            assert backend.entry(now[0].id, "src/lost").reason is Reason.DAMAGED
            assert backend.entry(now[1].id, "moved").reason is Reason.DAMAGED
            assert set(contents(backend, now[0].id)) == {*contents(backend, ids[2])}
            backend.reclaim(thorough=True)
            assert difference(picture(place.workspace), pictured(backend, ids[2], ground)) == []
            (place.workspace / "later").write_bytes(b"later")
            assert difference(picture(place.workspace), pictured(backend, take(backend).id, ground)) == []

    def test_a_dry_run_says_what_would_be_and_changes_no_byte(self, place: Place) -> None:
        lost, ids = self._spoilt(place)
        with self.open(place) as backend:
            before = _store_files(backend)
            list(backend.rebuild(dry_run=True))
            given_up = list(backend.mend(give_up=True, dry_run=True))
            assert [(one.what, one.snapshot) for one in given_up] == [(Mending.LEFT_OUT, one) for one in ids[:2]]
            (place.workspace / "moved").write_bytes(lost)
            healed = list(backend.mend(give_up=True, dry_run=True))
            assert {one.what for one in healed} == {Mending.HEALED}
            assert _store_files(backend) == before
            assert _costs(backend) == {(ids[0], "src/lost"), (ids[1], "moved")}

    def test_what_two_workspaces_share_is_healed_from_either(self, place: Place, ground: Path) -> None:
        other = Place(place.store, ground / "other")
        other.workspace.mkdir()
        (other.workspace / "theirs").write_bytes(b"")
        with self.open(other) as theirs:
            lost, (first, *_) = self._spoilt(place)
            (other.workspace / "theirs").write_bytes(lost)
            kept = take(theirs)
            list(theirs.rebuild())
            list(theirs.mend(give_up=False))
            assert contents(theirs, kept.id)["theirs"] == lost
            (place.workspace / "back").write_bytes(lost)
            with self.open(place) as backend:
                list(backend.mend(give_up=False))
                assert list(backend.examine()) == []
                assert contents(backend, first)["src/lost"] == lost
            assert contents(theirs, kept.id)["theirs"] == lost

    def test_a_save_after_damage_has_nothing_of_it_once_it_was_mended(self, place: Place, ground: Path) -> None:
        lost = os.urandom(_SIZE)
        populate(place.workspace)
        (place.workspace / "lost").write_bytes(lost)
        with self.open(place) as backend:
            take(backend)
            self.spoil(backend, lost)
            list(backend.rebuild())
            (place.workspace / "tool").unlink()
            after = take(backend)
            list(backend.mend(give_up=True))
            assert list(backend.examine()) == []
            assert difference(picture(place.workspace), pictured(backend, after.id, ground)) == []
