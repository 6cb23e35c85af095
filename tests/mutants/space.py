"""Backends that are wrong about the space they take, or leave behind what was to go."""

from dataclasses import replace

from hermes_checkpoints.contract import unbounded
from hermes_checkpoints.testing import MemoryBackend
from hermes_checkpoints.testing.memory import MemoryBatch
from mutants import batches, must_fail


class QuietBatch(MemoryBatch):
    def put(self, key, data):
        self.growing = unbounded
        return super().put(key, data)

    def add(self, fd, size, before):
        self.growing = unbounded
        super().add(fd, size, before)


@must_fail("test_what_a_save_announces_is_what_the_store_grows_by")
class AnnouncesNothing(MemoryBackend):
    _begin = batches(QuietBatch)


@must_fail("test_a_save_that_grows_too_much_can_be_stopped_and_stores_nothing")
class PublishesWhatWasStopped(MemoryBackend):
    def save(self, scope, note, progress=None, growing=unbounded):
        try:
            return super().save(scope, note, growing=growing)
        except Exception:
            super().save(scope, note)
            raise


@must_fail("test_the_shares_say_what_forgetting_gives_back")
class CountsSharedContentForEach(MemoryBackend):
    def shares(self):
        divided = {}
        for holders, size in super().shares().items():
            for snapshot in holders:
                divided[frozenset([snapshot])] = divided.get(frozenset([snapshot]), 0) + size
        return divided


@must_fail("test_the_snapshots_of_all_workspaces_can_be_listed_through_one")
class ListsItsOwnOnly(MemoryBackend):
    def all_snapshots(self):
        return self.snapshots()


@must_fail("test_reclaiming_can_be_bounded_and_stopped_and_loses_nothing")
class SaysItIsDone(MemoryBackend):
    def reclaim(self, until=0, progress=None, *, thorough=False):
        return True


@must_fail("test_a_purged_path_is_in_no_snapshot_any_more")
class PurgesTheNewestOnly(MemoryBackend):
    def _purge_one(self, snapshot, parts, new_ids):
        newest = max(self._ids(), key=self._ids().get)
        return super()._purge_one(snapshot, parts, new_ids) if snapshot == newest else None


@must_fail("test_a_safety_snapshot_names_its_target_by_the_new_id")
class ForgetsWhoNamesWhom(MemoryBackend):
    def _purge_one(self, snapshot, parts, new_ids):
        return super()._purge_one(snapshot, parts, {})


@must_fail("test_after_a_purge_the_next_save_is_whole")
class BelievesWhatWasSeen(MemoryBackend):
    def purge(self, path, progress=None):
        keep = self._memory.load()
        new_ids = super().purge(path)
        newest = max(self._ids(), key=self._ids().get)
        if keep is not None:
            self._memory.store(replace(keep, latest=newest, header=self._header(newest)))
        return new_ids
