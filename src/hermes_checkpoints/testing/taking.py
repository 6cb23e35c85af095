"""Taking a snapshot: promises 1, 2, 3 and 7."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Note,
    Place,
    Restoring,
    StoreError,
    WorkspaceError,
)
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.privileges import obeying_modes
from hermes_checkpoints.testing.trees import EDITS, EVERYTHING, NO_EDITS, pictured, populate, take
from hermes_checkpoints.testing.witness import Stamped, difference, picture, stamps

# Longer than the tick of any kernel's clock: what is older than this is no longer racy.
_SETTLED = 0.05
# A turn without changes may note something of fixed size; 400 names alone would be more.
_NOTE = 4096


class _Interrupted(Exception):
    pass


def _interrupt(_files: int) -> None:
    raise _Interrupted


def _written(store: Path, before: dict[bytes, Stamped]) -> int:
    """Bytes of the files of a store that are new or were written since."""
    now = stamps(store)
    fresh = [store / os.fsdecode(path) for path in now if now[path] != before.get(path)]
    return sum(path.stat().st_size for path in fresh if path.is_file())


class Taking(Fixtures):
    """What ``save`` does and leaves alone."""

    def test_a_snapshot_holds_the_tree_as_the_witness_sees_it(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        populate(workspace)
        snapshot = take(backend)
        assert difference(picture(workspace), pictured(backend, snapshot.id, ground)) == []

    def test_an_empty_workspace_has_a_snapshot_too(self, backend: Backend, workspace: Path, ground: Path) -> None:
        snapshot = take(backend)
        assert (snapshot.files, snapshot.size) == (0, 0)
        assert difference(picture(workspace), pictured(backend, snapshot.id, ground)) == []

    def test_taking_does_not_touch_the_workspace(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        before, stamped = picture(workspace), stamps(workspace)
        take(backend)
        assert difference(before, picture(workspace)) == []
        assert difference(stamped, stamps(workspace)) == []

    @pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
    def test_a_later_edit_is_seen_and_does_not_change_the_snapshot(
        self, backend: Backend, workspace: Path, ground: Path, edit: Callable[[Path], object]
    ) -> None:
        populate(workspace)
        before = picture(workspace)
        first = take(backend)
        edit(workspace)
        second = take(backend)
        assert second.changed > 0
        assert difference(before, pictured(backend, first.id, ground)) == []
        assert difference(picture(workspace), pictured(backend, second.id, ground)) == []

    @pytest.mark.parametrize("edit", NO_EDITS.values(), ids=NO_EDITS)
    def test_nothing_changed_is_an_answer(
        self, backend: Backend, workspace: Path, edit: Callable[[Path], object]
    ) -> None:
        populate(workspace)
        first = take(backend)
        edit(workspace)
        saved = backend.save(EVERYTHING, Note("again"))
        assert saved.snapshot is None
        assert saved.latest == first
        assert list(backend.snapshots()) == [first]

    def test_nothing_changed_writes_nothing_that_grows_with_the_tree(
        self, backend: Backend, workspace: Path, store: Path
    ) -> None:
        for number in range(400):
            (workspace / f"{number:03d}").write_bytes(b"%d" % number)
        take(backend)
        time.sleep(_SETTLED)
        backend.save(EVERYTHING, Note())  # may look again at what was too young to be trusted
        before = stamps(store)
        saved = backend.save(EVERYTHING, Note())
        assert saved.snapshot is None
        assert saved.stats.opened == 0
        assert _written(store, before) <= _NOTE

    def test_a_safety_snapshot_is_taken_although_nothing_changed(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        populate(workspace)
        first = take(backend)
        note = Note("before restoring", restoring=Restoring(first.id, ("src/main.py",), "undo"))
        saved = backend.save(EVERYTHING, note)
        assert saved.snapshot is not None
        assert saved.snapshot.id != first.id
        assert saved.latest == saved.snapshot
        assert [snapshot.note for snapshot in backend.snapshots()] == [note, Note()]
        assert difference(picture(workspace), pictured(backend, saved.snapshot.id, ground)) == []

    def test_the_counts_are_those_of_the_tree(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        seen = picture(workspace)
        files = [path for path, one in seen.items() if one.kind == "file"]
        links = [path for path, one in seen.items() if one.kind == "link"]
        saved = backend.save(EVERYTHING, Note())
        assert saved.snapshot is not None
        assert saved.snapshot.files == saved.stats.files == len(files) + len(links)
        assert saved.snapshot.size == sum((workspace / os.fsdecode(path)).stat().st_size for path in files)
        assert saved.snapshot.changed == saved.stats.changed == len(seen) - 1
        assert saved.stats.opened == len(files)

        (workspace / "README.md").write_bytes(b"other")
        (workspace / "secret").unlink()
        (workspace / "new").mkdir()
        assert take(backend).changed == 3

    def test_a_stamp_is_what_lstat_said(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        for saved in (backend.save(EVERYTHING, Note()), backend.save(EVERYTHING, Note())):
            for path in ("README.md", "src/deep/er/binary", "link", "dangling"):
                status = (workspace / path).lstat()
                stamp = saved.stamp(path)
                assert stamp is not None
                assert (stamp.mode, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode) == (
                    *(status.st_mode, status.st_size, status.st_mtime_ns),
                    *(status.st_ctime_ns, status.st_ino),
                )
            assert saved.stamp("nowhere") is None
            assert saved.stamp("README.md/below") is None

    def test_a_stamp_is_of_the_moment_of_the_save(self, backend: Backend, workspace: Path) -> None:
        (workspace / "file").write_bytes(b"one")
        inode, size = (workspace / "file").stat().st_ino, 3
        saved = backend.save(EVERYTHING, Note())
        (workspace / "file").write_bytes(b"longer")
        stamp = saved.stamp("file")
        assert stamp is not None
        assert (stamp.inode, stamp.size) == (inode, size)

    def test_an_interrupted_save_lists_nothing_and_the_next_one_works(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        populate(workspace)
        first = take(backend)
        for number in range(1000):
            (workspace / f"{number}").write_bytes(b"%d" % number)
        with pytest.raises(_Interrupted):
            backend.save(EVERYTHING, Note(), _interrupt)
        assert list(backend.snapshots()) == [first]
        second = take(backend)
        assert difference(picture(workspace), pictured(backend, second.id, ground)) == []

    def test_a_workspace_that_is_gone_is_a_workspace_error(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        populate(workspace)
        before = picture(workspace)
        first = take(backend)
        shutil.rmtree(workspace)
        with pytest.raises(WorkspaceError) as raised:
            backend.save(EVERYTHING, Note())
        assert isinstance(raised.value.__cause__, OSError)
        assert list(backend.snapshots()) == [first]
        assert difference(before, pictured(backend, first.id, ground)) == []

    def test_a_store_that_cannot_be_made_is_one_of_our_errors(self, place: Place) -> None:
        (place.store / self.backend_class.name).write_bytes(b"a file stands where the backend would be")
        with pytest.raises(StoreError):
            self.open(place)

    def test_a_store_that_refuses_writing_is_one_of_our_errors_and_costs_no_snapshot(
        self, backend: Backend, workspace: Path, store: Path, ground: Path
    ) -> None:
        populate(workspace)
        before = picture(workspace)
        first = take(backend)
        (workspace / "new").write_bytes(os.urandom(100_000))
        directories = [directory for directory, _, _ in os.walk(store)]
        for directory in reversed(directories):
            Path(directory).chmod(0o500)
        try:
            with obeying_modes():
                backend.save(EVERYTHING, Note())
        except CheckpointError as error:
            assert error.__cause__ is not None
            assert list(backend.snapshots()) == [first]
        finally:
            for directory in directories:
                Path(directory).chmod(0o700)
        second = backend.save(EVERYTHING, Note()).latest
        assert difference(before, pictured(backend, first.id, ground)) == []
        assert difference(picture(workspace), pictured(backend, second.id, ground)) == []
