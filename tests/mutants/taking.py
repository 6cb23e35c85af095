"""Backends that are wrong in taking."""

import hashlib
import os

from hermes_checkpoints.contract import Kind, Restoring, Stamp, WorkspaceError
from hermes_checkpoints.kit import encode_node, id_of
from hermes_checkpoints.testing import MemoryBackend
from hermes_checkpoints.testing.memory import MemoryBatch
from mutants import batches, must_fail


@must_fail("test_taking_does_not_touch_the_workspace")
class LeavesATrace(MemoryBackend):
    def save(self, scope, note, *more):
        for path in self.place.workspace.glob("*.md"):
            path.touch()
        return super().save(scope, note, *more)


@must_fail("test_a_path_that_is_to_be_held_anyway_is_held_and_others_of_its_size_are_not")
class HearsOfNoExceptions(MemoryBackend):
    def save(self, scope, note, *more):
        return super().save(scope._replace(anyway=frozenset()), note, *more)


class NormalisingBatch(MemoryBatch):
    def put(self, key, data):
        return super().put(key, data.replace(b"\r\n", b"\n"))


@must_fail("test_content_comes_back_byte_for_byte")
class ConvertsLineEnds(MemoryBackend):
    _begin = batches(NormalisingBatch)


class ModelessBatch(MemoryBatch):
    def node(self, entries):
        return super().node({name: entry._replace(mode=0o644) for name, entry in entries.items()})


@must_fail("test_a_snapshot_holds_the_tree_as_the_witness_sees_it")
class IgnoresModes(MemoryBackend):
    _begin = batches(ModelessBatch)


class FilesOnlyBatch(MemoryBatch):
    def node(self, entries):
        nothing = hashlib.sha256(encode_node({})).digest()
        return super().node({name: entry for name, entry in entries.items() if entry.key != nothing})


@must_fail("test_a_snapshot_holds_the_tree_as_the_witness_sees_it")
class LosesEmptyDirectories(MemoryBackend):
    _begin = batches(FilesOnlyBatch)


class TrustingBatch(MemoryBatch):
    def add(self, fd, size, before):
        super().add(fd, size, before)
        if before is not None and before.kind is Kind.FILE and before.size == size:
            self._added[-1] = (before.key, False)


@must_fail("test_a_later_edit_is_seen_and_does_not_change_the_snapshot")
class MissesEditsOfTheSameSize(MemoryBackend):
    _begin = batches(TrustingBatch)


@must_fail("test_a_later_edit_is_seen_and_does_not_change_the_snapshot")
class ReadsTheLiveFile(MemoryBackend):
    def entries(self, snapshot):
        for path, entry in super().entries(snapshot):
            self.last = path
            yield path, entry

    def materialise(self, entry, dir_fd, name):
        live = self.place.workspace / self.last
        if not live.is_file():
            super().materialise(entry, dir_fd, name)
            return
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=dir_fd)
        with os.fdopen(fd, "wb") as file:
            file.write(live.read_bytes())


@must_fail("test_nothing_changed_is_an_answer")
class AlwaysTakes(MemoryBackend):
    def save(self, scope, note, *more):
        return super().save(scope, note._replace(restoring=note.restoring or Restoring("a" * 40)), *more)


@must_fail("test_a_safety_snapshot_is_taken_although_nothing_changed")
class TakesNoSafetySnapshot(MemoryBackend):
    def save(self, scope, note, *more):
        return super().save(scope, note._replace(restoring=None), *more)


@must_fail("test_nothing_changed_writes_nothing_that_grows_with_the_tree")
class WritesACatalogueEachTurn(MemoryBackend):
    def save(self, scope, note, *more):
        saved = super().save(scope, note, *more)
        paths = sorted(path for path, _ in self.entries(saved.latest.id))
        (self.home / "catalogue").write_text("\n".join(paths * 10))
        return saved


class KeepsWhatWasInterrupted(MemoryBatch):
    header = None

    def abandon(self):
        if not self._closed and self._added:
            mine = self._shelf.snapshots[self._workspace_id]
            created_ns, header = max(mine.values())
            self._shelf.things.update(self._new)
            later = header.replace(b"%d" % created_ns, b"%d" % (created_ns + 1))
            mine[id_of(later) or "a" * 40] = (created_ns + 1, later)
        super().abandon()


@must_fail("test_an_interrupted_save_lists_nothing_and_the_next_one_works")
class ListsWhatIsNotWhole(MemoryBackend):
    _begin = batches(KeepsWhatWasInterrupted)


@must_fail("test_a_workspace_that_is_gone_is_a_workspace_error")
class LeaksForeignErrors(MemoryBackend):
    def save(self, scope, note, *more):
        try:
            return super().save(scope, note, *more)
        except WorkspaceError as error:
            raise error.__cause__ from None


@must_fail("test_the_counts_are_those_of_the_tree")
class CountsDirectoriesAsFiles(MemoryBackend):
    def save(self, scope, note, *more):
        saved = super().save(scope, note, *more)
        held = sum(1 for _, entry in self.entries(saved.latest.id) if entry.held) - 1
        return saved._replace(snapshot=saved.snapshot and saved.snapshot._replace(files=held))


@must_fail("test_a_stamp_is_of_the_moment_of_the_save")
class StampsLate(MemoryBackend):
    def save(self, scope, note, *more):
        saved = super().save(scope, note, *more)
        return saved._replace(stamp=lambda path: Stamp.of((self.place.workspace / path).lstat()))
