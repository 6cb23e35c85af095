"""Backends that are wrong in what they list, forget and reclaim."""

import os
from pathlib import Path
from typing import ClassVar

from hermes_checkpoints.contract import SnapshotNotFound
from hermes_checkpoints.kit.compare import StoredTree
from hermes_checkpoints.kit.store.nodes import decode_header
from hermes_checkpoints.testing import MemoryBackend
from hermes_checkpoints.testing.memory import MemoryBatch
from mutants import batches, must_fail


@must_fail("test_snapshots_come_newest_first_with_dates_that_never_repeat")
class ListsOldestFirst(MemoryBackend):
    def snapshots(self):
        return iter(list(super().snapshots())[::-1])


@must_fail("test_ids_dates_and_order_survive_forgetting_reclaiming_and_reopening")
class DatesAnewWhenForgetting(MemoryBackend):
    def forget(self, snapshots):
        super().forget(snapshots)
        for snapshot, (created_ns, header) in self._mine().items():
            later = header.replace(b'"created_ns":%d' % created_ns, b'"created_ns":%d' % (created_ns + 1))
            self._mine()[snapshot] = (created_ns + 1, later)
        self._headers.clear()


class ContentNamedBatch(MemoryBatch):
    def publish(self, header, created_ns, root):
        made = super().publish(header, created_ns, root)
        if made is None:
            return None
        mine = self._shelf.snapshots[self._workspace_id]
        named = root.hex()[:10].translate(str.maketrans("0123456789", "abcdefabcd")) + root.hex()[10:40]
        mine[named] = mine.pop(made)
        return named


@must_fail("test_an_id_is_never_used_again")
class NamesSnapshotsByTheirContent(MemoryBackend):
    _begin = batches(ContentNamedBatch)


@must_fail("test_an_unknown_id_is_refused")
class TakesAnyIdForTheNewest(MemoryBackend):
    def _root(self, snapshot):
        return super()._root(snapshot if snapshot in self._ids() else max(self._ids(), key=self._ids().get))


@must_fail("test_a_beginning_of_an_id_is_refused")
class AcceptsBeginnings(MemoryBackend):
    def _root(self, snapshot):
        fitting = [known for known in self._ids() if known.startswith(snapshot)]
        return super()._root(fitting[0] if fitting and snapshot else snapshot)


@must_fail("test_the_id_of_another_workspace_is_refused")
class AcceptsForeignIds(MemoryBackend):
    def _root(self, snapshot):
        for mine in self._shelf.snapshots.values():
            if snapshot in mine:
                return StoredTree(decode_header(mine[snapshot][1], snapshot, self.name)[1], self._node)
        raise SnapshotNotFound(snapshot)


@must_fail("test_the_id_of_another_workspace_is_refused")
class ForgetsInEveryWorkspace(MemoryBackend):
    def forget(self, snapshots):
        for mine in self._shelf.snapshots.values():
            for snapshot in snapshots:
                mine.pop(snapshot, None)


@must_fail("test_every_workspace_with_snapshots_is_named_once")
class RemembersWorkspacesForEver(MemoryBackend):
    known: ClassVar[set[Path]] = set()

    def workspaces(self):
        self.known.update(super().workspaces())
        return iter(sorted(path for path in self.known if path.parent == self.place.workspace.parent))


@must_fail("test_opening_again_and_again_changes_nothing")
class BeginsAnewAtEachOpening(MemoryBackend):
    @classmethod
    def open(cls, place):
        cls.shelves.pop(place.store, None)
        return super().open(place)


@must_fail("test_closing_lets_go_of_every_descriptor")
class KeepsDescriptors(MemoryBackend):
    def snapshots(self):
        os.open(self.home, os.O_RDONLY)
        return super().snapshots()

    def changes(self, *arguments, **named):
        os.open(self.home, os.O_RDONLY)
        return super().changes(*arguments, **named)


@must_fail("test_forgetting_is_immediate_and_costs_no_other_snapshot")
class ForgetsWhenReclaiming(MemoryBackend):
    def forget(self, snapshots):
        self.doomed = list(snapshots)


@must_fail("test_reclaiming_spares_every_listed_snapshot")
class ReclaimsWhatOthersHold(MemoryBackend):
    def reclaim(self, *arguments, **named):
        live = self._reachable(header for _, header in self._mine().values())
        for key in self._shelf.things.keys() - live:
            del self._shelf.things[key]


@must_fail("test_reclaiming_gives_the_space_back")
class NeverReclaims(MemoryBackend):
    def reclaim(self, *arguments, **named):
        pass


@must_fail("test_what_was_reclaimed_is_stored_again_when_it_is_still_there")
class TrustsWhatItRemembers(MemoryBackend):
    def _remember(self, latest, scope):
        return self._memory.load() or super()._remember(latest, scope)
