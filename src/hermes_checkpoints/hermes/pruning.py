"""Forgetting what Hermes calls orphan and stale, and giving the space back."""

import logging
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from hermes_checkpoints.contract import CheckpointError, Place, StoreError
from hermes_checkpoints.hermes.base import PathLike
from hermes_checkpoints.hermes.repositories import Repository, put_aside, repositories
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy import budget as policy
from hermes_checkpoints.policy.budget import Archive, Holding, Standing
from hermes_checkpoints.policy.retention import protected
from hermes_checkpoints.records import records
from hermes_checkpoints.upkeep.clearing import sweep
from hermes_checkpoints.upkeep.forgetting import carry_out
from hermes_checkpoints.upkeep.inventory import units_of
from hermes_checkpoints.upkeep.pins import Pins
from hermes_checkpoints.upkeep.standing import standing
from hermes_checkpoints.upkeep.upkeep import Upkeep

_DAY = 86400.0
log = logging.getLogger("tools.checkpoint_manager")


@dataclass(slots=True)
class Counts:
    """What came of it, by the names that Hermes reads."""

    scanned: int = 0
    deleted_orphan: int = 0
    deleted_stale: int = 0
    errors: int = 0
    bytes_freed: int = 0

    def failed(self, error: object) -> None:
        log.warning("not all checkpoints were pruned: %s", error)
        self.errors += 1


def forget(
    opener: Opener,
    upkeep: Upkeep,
    counts: Counts,
    allowlist: Collection[PathLike],
    *,
    orphans: bool,
    wait: float = DEFAULT_WAIT,
) -> int:
    """Forget what is gone or stale, but measure nothing of ours: that takes seconds.

    Bytes of the older formats' repositories, which lie aside in the store then.
    """
    limits = opener.settings.limits
    spared = {os.fspath(one) for one in allowlist}
    spared |= {os.path.realpath(os.path.expanduser(one)) for one in spared}
    aside = _put_repositories_aside(opener, counts, spared, orphans=orphans)
    holdings = list(_unneeded(opener, counts, spared))
    plan = policy.prune(holdings, (), {}, size=0, allowed=0, limits=limits, now=time.time(), orphans=orphans)
    pruned = carry_out(plan, opener, upkeep.budget.ledger, wait)
    for failure in pruned.failed:
        counts.failed(f"{failure.path}: {failure.reason}")
    gone = {one.workspace for one in holdings if one.standing is Standing.GONE}
    forgotten = {removal.workspace for removal in pruned.done}
    counts.deleted_orphan += len(forgotten & gone)
    counts.deleted_stale += len(forgotten - gone)
    return aside


def _unneeded(opener: Opener, counts: Counts, spared: set[str]) -> Iterator[Holding]:
    """Workspaces that may be gone or stale, for the policy to judge; of the others no snapshot is looked at.

    Those of which only Hermes itself has snapshots are neither: its records are
    no evidence, and its history is all newest.
    """
    store, days = opener.settings.store, opener.settings.limits.retention_days
    for record in records(store):
        counts.scanned += 1
        place, stands = Place(store, record.workspace), standing(record.workspace, record.parent)
        is_spared = bool({os.fspath(record.workspace), place.workspace_id} & spared)
        is_fresh = not days or time.time() - record.last_touch <= days * _DAY
        if not record.backends or {Standing.LIVE: is_fresh, Standing.GONE: is_spared, Standing.AWAY: True}[stands]:
            continue
        try:
            units = units_of(opener.holders(place))
            snapshots = [snapshot for unit in units for snapshot in unit]
            pinned = frozenset(Pins(place).labels(snapshots))
        except CheckpointError as error:  # the others still can be
            counts.failed(error)
            continue
        yield Holding(record.workspace, stands, record.last_touch, units, pinned, protected(snapshots))


def _put_repositories_aside(opener: Opener, counts: Counts, spared: set[str], *, orphans: bool) -> int:
    """Those of the time before the shared store, gone or stale, and old archives; bytes."""
    base, store, days = opener.settings.base, opener.settings.store, opener.settings.limits.retention_days
    stale_before = time.time() - days * _DAY if days else 0.0
    orphaned: list[Repository | Archive] = []
    stale: list[Repository | Archive] = [one for one in archives(base) if one.mtime < stale_before]
    for one in repositories(base):
        counts.scanned += 1
        if orphans and one.standing is Standing.GONE and not {one.path.name, os.fspath(one.workspace)} & spared:
            orphaned.append(one)
        elif one.mtime < stale_before:
            stale.append(one)
    aside = 0
    for going in (*orphaned, *stale):
        try:
            put_aside(going.path, store)
        except FileNotFoundError:
            continue  # somebody else was faster
        except (OSError, StoreError) as error:
            counts.failed(error)
            continue
        aside += going.size
        counts.deleted_orphan += going in orphaned
        counts.deleted_stale += going in stale
    return aside


def give_back(opener: Opener, upkeep: Upkeep, counts: Counts) -> int:
    """Reclaim, after forgetting for room what people expect to go first; bytes that came back."""
    sweep(opener)
    if not opener.settings.store.is_dir():
        return 0
    most = opener.settings.limits.max_total_size
    plan = upkeep.plan(retention_days=0, orphans=False) if most else policy.Pruning((), 0, 0)
    expected = [removal for removal in plan.removals if not removal.loud]
    pruned, reclaimed = upkeep.prune(replace(plan, removals=expected))
    for trouble in (*(f"{one.path}: {one.reason}" for one in pruned.failed), *reclaimed.troubles):
        counts.failed(trouble)
    return max(reclaimed.before - reclaimed.after, 0)
