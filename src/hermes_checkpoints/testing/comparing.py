"""What differs between two snapshots, or a snapshot and the live workspace."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Kind, Place, Reason, Scope
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.trees import (
    EDITS,
    EVERYTHING,
    NO_EDITS,
    differing,
    in_path_order,
    paths_of,
    populate,
    take,
)
from hermes_checkpoints.testing.witness import difference, picture, stamps

_LOGS_OUT = Scope(excludes=("*.log",), max_file_size=0)


class Comparing(Fixtures):
    """What ``changes`` tells, held against two looks of the witness."""

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    def test_the_changes_are_what_the_witness_sees_differ(
        self, backend: Backend, workspace: Path, edit: Callable[[Path], object]
    ) -> None:
        populate(workspace)
        before = picture(workspace)
        first = take(backend)
        edit(workspace)
        expected = differing(before, picture(workspace))
        live = list(backend.changes(first.id, scope=EVERYTHING))
        second = take(backend)
        stored = list(backend.changes(first.id, second.id))
        assert paths_of(live) == expected
        assert paths_of(stored) == expected
        assert in_path_order([change.path for change in live])
        assert in_path_order([change.path for change in stored])
        back = [(change.path, change.after, change.before) for change in backend.changes(second.id, first.id)]
        assert back == [(change.path, change.before, change.after) for change in stored]

    @pytest.mark.parametrize("edit", NO_EDITS.values(), ids=NO_EDITS)
    def test_what_a_restore_would_not_put_back_is_no_change(
        self, backend: Backend, workspace: Path, edit: Callable[[Path], object]
    ) -> None:
        populate(workspace)
        first = take(backend)
        edit(workspace)
        assert list(backend.changes(first.id, scope=EVERYTHING)) == []
        assert list(backend.changes(first.id, first.id)) == []

    def test_a_change_tells_what_was_and_what_is(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        first = take(backend)
        (workspace / "README.md").write_bytes(b"four")
        (workspace / "README.md").chmod(0o640)
        (workspace / "link").unlink()
        (workspace / "link").mkdir()
        (workspace / "secret").unlink()
        live = {change.path: change for change in backend.changes(first.id, scope=EVERYTHING)}
        second = take(backend)
        stored = {change.path: change for change in backend.changes(first.id, second.id)}
        for changes in (live, stored):
            assert sorted(changes) == ["README.md", "link", "secret"]
            for path, change in changes.items():
                assert change.before == backend.entry(first.id, path)
            file, link = changes["README.md"].after, changes["link"].after
            assert file is not None
            assert (file.kind, file.size, file.mode) == (Kind.FILE, 4, 0o640)
            assert link is not None
            assert link.kind is Kind.DIR
            assert changes["secret"].after is None
        assert stored["README.md"].after == backend.entry(second.id, "README.md")

    def test_snapshots_that_are_not_neighbours_can_be_compared(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        before = picture(workspace)
        first = take(backend)
        for number in range(3):
            (workspace / f"new {number}").write_text(str(number))
            (workspace / "README.md").write_text(str(number))
            last = take(backend)
        assert paths_of(backend.changes(first.id, last.id)) == differing(before, picture(workspace))

    def test_an_edit_that_was_taken_back_is_no_change(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        first = take(backend)
        (workspace / "src/main.py").write_bytes(b"print('two')\n")
        take(backend)
        (workspace / "src/main.py").write_bytes(b"print('one')\n")
        last = take(backend)
        assert list(backend.changes(first.id, last.id)) == []
        assert list(backend.changes(first.id, scope=EVERYTHING)) == []

    def test_what_is_left_out_below_a_tree_that_came_or_went_is_named(self, backend: Backend, workspace: Path) -> None:
        """Whoever wants to remove the directory must know that it is not empty."""
        empty = take(backend, scope=_LOGS_OUT)
        (workspace / "tree").mkdir()
        (workspace / "tree" / "file").write_bytes(b"held")
        (workspace / "tree" / "x.log").write_bytes(b"left out")
        live = list(backend.changes(empty.id, scope=_LOGS_OUT))
        full = take(backend, scope=_LOGS_OUT)
        stored = list(backend.changes(empty.id, full.id))
        for changes in (live, stored):
            assert [change.path for change in changes] == ["tree", "tree/file", "tree/x.log"]
            left_out = changes[2].after
            assert left_out is not None
            assert left_out.reason is Reason.IGNORED
            assert changes[2].before is None
        gone = list(backend.changes(full.id, empty.id))
        assert [change.path for change in gone] == ["tree", "tree/file", "tree/x.log"]
        assert gone[2].after is None
        assert gone[2].before is not None
        assert not gone[2].before.held

    def test_extended_attributes_are_held_and_compared(self, backend: Backend, workspace: Path, ground: Path) -> None:
        if not hasattr(os, "setxattr"):
            pytest.skip("Python has no call for extended attributes here")
        populate(workspace)
        try:
            os.setxattr(workspace / "README.md", "user.colour", b"blue\0\xff")
        except OSError as error:
            pytest.skip(f"no extended attributes on this filesystem: {error.strerror}")
        first = take(backend)
        assert backend.entry(first.id, "README.md").xattrs == (("user.colour", b"blue\0\xff"),)
        os.setxattr(workspace / "README.md", "user.colour", b"red")
        os.setxattr(workspace / "src", "user.also", b"")
        assert paths_of(backend.changes(first.id, scope=EVERYTHING)) == {b"README.md", b"src"}
        second = take(backend)
        assert paths_of(backend.changes(first.id, second.id)) == {b"README.md", b"src"}
        assert backend.entry(second.id, "src").xattrs == (("user.also", b""),)

    def test_comparing_stores_nothing(self, backend: Backend, place: Place) -> None:
        populate(place.workspace)
        first = take(backend)
        (place.workspace / "README.md").write_bytes(os.urandom(100_000))
        before, stamped, stored = picture(place.workspace), stamps(place.workspace), picture(place.store)
        list(backend.changes(first.id, scope=EVERYTHING))
        assert list(backend.snapshots()) == [first]
        assert difference(before, picture(place.workspace)) == []
        assert difference(stamped, stamps(place.workspace)) == []
        assert difference(stored, picture(place.store)) == []

    def test_lost_caches_change_no_outcome(self, place: Place) -> None:
        self._without_caches(place, lambda cache: cache.unlink())

    def test_cut_caches_change_no_outcome(self, place: Place) -> None:
        self._without_caches(place, lambda cache: os.truncate(cache, cache.stat().st_size // 2))

    def test_damaged_caches_change_no_outcome(self, place: Place) -> None:
        self._without_caches(place, lambda cache: cache.write_bytes(bytes(b ^ 0x55 for b in cache.read_bytes())))

    def test_one_wrong_byte_in_a_cache_changes_no_outcome(self, place: Place) -> None:
        def spoil(cache: Path) -> None:
            data = bytearray(cache.read_bytes())
            data[len(data) * 2 // 3] ^= 1
            cache.write_bytes(data)

        self._without_caches(place, spoil)

    def _without_caches(self, place: Place, lose: Callable[[Path], object]) -> None:
        populate(place.workspace)
        with self.open(place) as backend:
            first = take(backend)
            caches = self.caches(backend)
        if not caches:
            pytest.skip("this backend names no caches")
        for cache in caches:
            lose(cache)
        with self.open(place) as backend:
            assert list(backend.changes(first.id, scope=EVERYTHING)) == []
        for cache in caches:
            if cache.exists():
                lose(cache)
        (place.workspace / "src/main.py").write_bytes(b"print('two')\n")
        with self.open(place) as backend:
            assert paths_of(backend.changes(first.id, scope=EVERYTHING)) == {b"src/main.py"}
            second = take(backend)
            assert second.changed == 1
            assert paths_of(backend.changes(first.id, second.id)) == {b"src/main.py"}
