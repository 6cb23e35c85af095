"""Backends that are wrong with other processes, or when killed; these keep their snapshots in files."""

import os
import shutil
import time
from contextlib import nullcontext

from hermes_checkpoints.contract import StoreBusy
from hermes_checkpoints.kit import id_of, publish
from hermes_checkpoints.kit.store.names import created_name
from hermes_checkpoints_cow.backend import CopyOnWrite
from hermes_checkpoints_cow.marking import Marks
from hermes_checkpoints_cow.storing import Storing
from mutants import must_fail


class EarlyStoring(Storing):
    def publish(self, header, created_ns, root):
        snapshot = id_of(header)
        if snapshot is not None:
            self._open()
            self._snapshots.mkdir(mode=0o700, exist_ok=True)
            publish(self._snapshots / created_name(created_ns, snapshot), header, scratch=self._scratch)
        return super().publish(header, created_ns, root)


@must_fail("test_a_killed_save_leaves_only_whole_snapshots_listed")
class ListsBeforeContentsAreThere(CopyOnWrite):
    def _begin(self, scope):
        scratch = self.home / "tmp" / self.place.workspace_id
        return EarlyStoring(self._vault, self._snapshots, scratch, scope.max_file_size, first=not self._ids())


@must_fail("test_a_killed_save_leaves_only_whole_snapshots_listed")
class LocksByAFileThatAKillLeavesBehind(CopyOnWrite):
    def save(self, scope, note, *more):
        lock = self.home / "busy"
        try:
            lock.touch(exist_ok=False)
        except FileExistsError as error:
            raise StoreBusy("another process is saving") from error
        try:
            return super().save(scope, note, *more)
        finally:
            lock.unlink()


@must_fail("test_a_killed_reclaim_loses_nothing")
class ReclaimsByMovingEverything(CopyOnWrite):
    def reclaim(self, *arguments, **named):
        aside = self.home / "aside"
        if aside.exists():
            shutil.rmtree(aside)
        self._vault.batches.rename(aside)
        live = self._live_of(aside)
        self._vault.batches.mkdir()
        for directory in os.listdir(aside):
            if directory in live:
                (aside / directory).rename(self._vault.batches / directory)

    def _live_of(self, aside):
        self._vault.batches.symlink_to(aside)
        try:
            marks = Marks(self.home / "snapshots", self._load_node, lambda: None)
            marks.mark()
            return {batch.hex() for batch in marks.batches}
        finally:
            self._vault.batches.unlink()


@must_fail("test_reclaiming_spares_what_is_being_saved_meanwhile")
class ReclaimsWithoutTheLock(CopyOnWrite):
    def _store_lock(self, *, shared):
        return nullcontext(-1)


@must_fail("test_two_processes_may_make_the_store_at_once")
class MakesTheStoreInTwoSteps(CopyOnWrite):
    @classmethod
    def open(cls, place):
        made = (place.store / cls.name).exists()
        time.sleep(0.01)  # the moment in which others look, too
        if not made:
            (place.store / cls.name).mkdir(parents=True)
        return super().open(place)


@must_fail("test_another_process_finds_what_was_taken")
class KeepsTheListToItself(CopyOnWrite):
    owner = os.getpid()

    def _ids(self):
        return super()._ids() if os.getpid() == self.owner else {}
