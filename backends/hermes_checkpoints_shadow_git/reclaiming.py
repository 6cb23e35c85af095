"""Giving space back, step by step, while others go on saving.

Copying and marking hold no lock that a save waits for. What deletes holds the
store's lock alone, for one bounded portion of names, after marking what was
published until then.
"""

import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import Progress, StoreBusy, StoreError
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT, locked
from hermes_checkpoints.kit.store.publish import sync_all
from hermes_checkpoints.kit.store.scratch import NO_ROOM, clean_scratch, empty_scratch, take_away
from hermes_checkpoints_shadow_git.compaction import bound, plan
from hermes_checkpoints_shadow_git.leftovers import Leftovers
from hermes_checkpoints_shadow_git.marking import Mark
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.repository import Repository, sync_directory
from hermes_checkpoints_shadow_git.rewriting import LeaveAlone, rewrite
from hermes_checkpoints_shadow_git.survey import Survey

log = logging.getLogger("hermes_checkpoints")

_PORTION = 64  # packs or files that go while the store's lock is held: a few milliseconds
_PIECE = 8 << 20  # a new pack may have this many bytes in the smallest store


class _OutOfTime(Exception):
    """``until`` has passed."""


class Reclaim:
    """One run. ``tmp/reclaiming`` is its own: only one runs at a time, under the lock file ``reclaiming``."""

    def __init__(
        self,
        repository: Repository,
        indexes: PackIndexes,
        reader: PackReader,
        until: float,
        progress: Progress,
        *,
        thorough: bool,
    ) -> None:
        self._repository = repository
        self._indexes = indexes
        self._until = until
        self._progress = progress
        self._thorough = thorough
        self._undelta = reader.read if thorough else None
        self._let_go = reader.close
        self._leftovers = Leftovers(repository)
        self._scratch = repository.tmp / "reclaiming"
        self._done = 0
        self._forgotten_for_good = False
        self._retired = 0
        self._left_alone: set[str] = set()
        self._too_big: dict[str, StoreError] = {}
        """Packs that there was no room to rewrite."""
        self._mark = Mark(repository.path, reader.read, self._tick)

    def run(self) -> bool:
        """Whether everything is done. Raises ``StoreBusy``, ``StoreDamaged`` and what ``progress`` raises."""
        try:
            with self._only_one():
                return self._run()
        except _OutOfTime:
            return False
        except OSError as error:
            raise StoreError(f"Space in {self._repository.path} could not be given back: {error}.") from error

    def _run(self) -> bool:
        self._mark.catch_up()
        self._sweep()
        retired = 0
        while True:
            self._pause()
            left_alone = self._left_alone | self._too_big.keys()
            survey = Survey(self._indexes.all(), self._mark, left_alone, self._tick)
            dead = survey.dead()
            for start in range(0, len(dead), _PORTION):
                self._retire(survey, dead[start : start + _PORTION], frozenset())
            limit = bound(survey.size)
            groups = plan(survey.holdings(), limit, thorough=self._thorough)
            if not groups:
                if not self._too_big:
                    break
                if self._retired == retired:
                    raise next(iter(self._too_big.values()))
                self._too_big, retired = {}, self._retired  # there is more room now
            for group in groups:
                self._rewrite(survey, group, limit)
        if self._thorough and self._retired:
            sync_directory(self._repository.packs)
        return not (self._thorough and survey.garbage)

    # -- time

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        with ExitStack() as held:
            try:
                held.enter_context(locked(self._repository.reclaim_lock, wait=self._patience()))
            except StoreBusy as busy:
                raise _OutOfTime from busy  # somebody else is at it, and may leave something
            try:
                clean_scratch(self._scratch)
                yield
            finally:
                empty_scratch(self._scratch)

    def _patience(self) -> float:
        return min(DEFAULT_WAIT, max(0.0, self._until - time.monotonic()))

    def _tick(self) -> None:
        self._done += 1
        if self._done % 64 == 0:
            self._pause()

    def _pause(self) -> None:
        """Between steps, and within those that only look."""
        self._progress(self._done)
        if time.monotonic() >= self._until:
            raise _OutOfTime

    # -- deleting

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody is saving, and everything that was ever published is marked."""
        self._pause()
        self._mark.catch_up()  # so that little is left to read under the lock
        if not self._forgotten_for_good:
            self._sync_refs()
        patience = self._patience()
        with ExitStack() as held:
            try:
                held.enter_context(locked(self._repository.path / "lock", wait=patience))
            except StoreBusy as busy:
                if patience < DEFAULT_WAIT:
                    raise _OutOfTime from busy
                raise
            self._mark.catch_up()
            self._leftovers.drop_derived()
            yield

    def _sync_refs(self) -> None:
        """A power cut must not bring a ref back whose objects are gone."""
        refs = self._repository.path / "refs"
        sync_all([Path(directory) for directory, _, _ in os.walk(refs)], refs)
        self._forgotten_for_good = True

    def _retire(self, survey: Survey, packs: Collection[str], copied: Collection[bytes]) -> None:
        """Take packs away of which nothing is alive, but what was ``copied`` or is elsewhere, too."""
        with self._alone():
            for name in packs:
                if not survey.needed(name, self._mark.fresh, copied):
                    self._take_away(name)
        self._retired += len(packs)
        self._indexes.refresh()
        self._let_go()  # a pack that is open keeps its space, and a full disk waits for it
        clean_scratch(self._scratch)

    def _take_away(self, name: str) -> None:
        # The index goes first: a pack without one is garbage, an index without a pack is damage.
        packs = self._repository.packs
        for derived in (f"{name}.idx", f"{name}.rev", f"{name}.bitmap", f"{name}.mtimes"):
            (packs / derived).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            # Only renamed under the lock, since removing many bytes takes long.
            take_away(packs / f"{name}.pack", self._scratch / f"{name}.dead")

    def _sweep(self) -> None:
        lone_packs = not self._leftovers.has_lone_packs() or self._nothing_is_missing()
        with self._alone():
            self._leftovers.sweep(self._scratch, lone_packs=lone_packs, thorough=self._thorough)
        clean_scratch(self._scratch)
        dead = [path for oid, path in self._leftovers.loose() if oid not in self._mark.live]
        for start in range(0, len(dead), _PORTION):
            with self._alone():
                for path in dead[start : start + _PORTION]:
                    if bytes.fromhex(path.parent.name + path.name) not in self._mark.live:
                        path.unlink(missing_ok=True)

    def _nothing_is_missing(self) -> bool:
        """Else a pack without an index may not be what a killed save left: its index may have been lost."""
        self._indexes.refresh()
        loose = {oid for oid, _ in self._leftovers.loose()}
        return all(oid in self._indexes or oid in loose for oid in self._mark.live)

    # -- rewriting

    def _rewrite(self, survey: Survey, group: list[str], limit: int) -> None:
        self._pause()
        sources = [survey.source(name) for name in group]
        try:
            packs = rewrite(sources, max(limit, _PIECE), self._scratch, self._undelta)
        except LeaveAlone as told:
            log.warning("not rewritten: %s", told)
            self._left_alone.add(told.pack)
            return
        except StoreError as error:
            if getattr(error.__cause__, "errno", None) not in NO_ROOM:
                raise
            if len(group) == 1:
                self._too_big[group[0]] = error
            else:
                for name in group:  # what one gives back is room for the next
                    self._rewrite(survey, [name], limit)
            return
        # Before the lock is held: these objects are in the store already, so nobody is misled by more of them.
        for pack in packs:
            pack.publish(self._repository.packs)
        sync_directory(self._repository.packs)
        published = {pack.name for pack in packs}
        copied = {span[0] for source in sources for span in source.spans}
        self._retire(survey, [name for name in group if name not in published], copied)
