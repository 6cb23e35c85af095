"""Backends that are wrong in comparing and in giving content back."""

import os
from contextlib import suppress

from hermes_checkpoints.contract import Change, CheckpointError, Entry, Kind, Note
from hermes_checkpoints.testing import MemoryBackend
from mutants import must_fail


@must_fail("test_the_changes_are_what_the_witness_sees_differ")
class ComparesFilesOnly(MemoryBackend):
    def changes(self, *arguments, **named):
        for change in super().changes(*arguments, **named):
            if Kind.DIR not in {entry.kind for entry in (change.before, change.after) if entry is not None}:
                yield change


@must_fail("test_what_is_left_out_below_a_tree_that_came_or_went_is_named")
class HidesWhatIsLeftOut(MemoryBackend):
    def changes(self, *arguments, **named):
        for change in super().changes(*arguments, **named):
            if all(entry is None or entry.held for entry in (change.before, change.after)):
                yield change


@must_fail("test_comparing_stores_nothing")
class SavesInOrderToCompare(MemoryBackend):
    def changes(self, since, until=None, *, scope):
        latest = self.save(scope, Note("to compare")).latest.id if until is None else until
        return super().changes(since, latest)


@must_fail("test_one_wrong_byte_in_a_cache_changes_no_outcome")
class BelievesADamagedCache(MemoryBackend):
    def save(self, scope, note, *more):
        saved = super().save(scope, note, *more)
        (self.home / "seen" / "dirty").write_bytes(bytes(64))
        return saved

    def changes(self, since, until=None, **named):
        dirty = self.home / "seen" / "dirty"
        if dirty.exists() and any(dirty.read_bytes()):
            yield Change("README.md", self.entry(since, "README.md"), None)
        yield from super().changes(since, until, **named)


@must_fail("test_materialising_over_something_is_refused")
class WritesOverWhatIsThere(MemoryBackend):
    def materialise(self, entry, dir_fd, name):
        with suppress(OSError):
            os.unlink(name, dir_fd=dir_fd)
        super().materialise(entry, dir_fd, name)


@must_fail("test_a_full_disk_leaves_no_half_of_a_file")
class LeavesHalfAFile(MemoryBackend):
    def materialise(self, entry, dir_fd, name):
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=dir_fd)
        with os.fdopen(fd, "wb", 0) as file, self.read(entry) as content, suppress(OSError):
            while block := content.read(4096):
                file.write(block)


@must_fail("test_a_materialised_file_is_private_and_nobody_elses")
class MaterialisesForAll(MemoryBackend):
    def materialise(self, entry, dir_fd, name):
        super().materialise(entry, dir_fd, name)
        os.chmod(name, 0o644, dir_fd=dir_fd)


@must_fail("test_many_files_made_together_are_what_they_are_by_themselves")
class MixesUpManyFiles(MemoryBackend):
    def materialise_all(self, files):
        entry = None
        for wanted in files:
            entry = entry or wanted.entry
            self.materialise(entry, wanted.dir_fd, wanted.name)
            yield os.open(wanted.name, os.O_RDONLY, dir_fd=wanted.dir_fd)


@must_fail("test_a_path_that_leads_elsewhere_is_refused")
class LooksUpAnyPath(MemoryBackend):
    def entry(self, snapshot, path):
        try:
            return super().entry(snapshot, os.path.normpath(path.strip("/")))
        except (CheckpointError, ValueError):
            return Entry(Kind.DIR)
