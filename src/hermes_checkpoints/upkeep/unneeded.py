"""Forgetting at once, and without measuring, what nobody needs: workspaces that are gone or stale, older formats."""

import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from hermes_checkpoints.contract import CheckpointError, Place, StoreError
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy import budget as policy
from hermes_checkpoints.policy.budget import Archive, Holding, Standing
from hermes_checkpoints.policy.retention import protected
from hermes_checkpoints.records import records
from hermes_checkpoints.results import Failure
from hermes_checkpoints.upkeep.clearing import put_aside
from hermes_checkpoints.upkeep.forgetting import carry_out
from hermes_checkpoints.upkeep.inventory import units_of
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.pins import Pins
from hermes_checkpoints.upkeep.repositories import Repository, repositories
from hermes_checkpoints.upkeep.standing import standing

_DAY = 86400.0
PathLike = str | os.PathLike[str]


@dataclass(slots=True)
class Swept:
    """What was looked at and what went."""

    scanned: int = 0
    """Workspaces, and repositories of the time before the shared store."""
    gone: int = 0
    """Of these, the ones that are not there any more and were forgotten."""
    stale: int = 0
    """The ones that were not used for long, and old archives."""
    aside: int = 0
    """Bytes of older formats that were moved aside; `sweep` of clearing removes them."""
    failures: list[Failure] = field(default_factory=list)


def forget_unneeded(
    opener: Opener,
    ledger: Ledger,
    spared: Collection[PathLike] = (),
    *,
    orphans: bool = True,
    wait: float = DEFAULT_WAIT,
    measure: bool = True,
) -> Swept:
    """Forget workspaces that are gone (with ``orphans``) or stale; a stale one keeps its newest snapshot.

    ``spared``: workspaces, or their 16 hex digits, that never count as gone.
    Nothing of ours is measured or reclaimed: that takes seconds. Nor, unless
    ``measure``, are older formats, which then wait until there is a store to
    put them aside in. Raises ``StoreRefused`` with nothing changed.
    """
    opener.refuse_others()
    swept, limits = Swept(), opener.settings.limits
    names = {os.fspath(one) for one in spared}
    names |= {os.path.realpath(os.path.expanduser(one)) for one in names}
    if measure or opener.settings.store.is_dir():
        _put_repositories_aside(opener, swept, names, orphans=orphans, measure=measure)
    holdings = list(_unneeded(opener, swept, names))
    plan = policy.prune(holdings, (), {}, size=0, allowed=0, limits=limits, now=time.time(), orphans=orphans)
    pruned = carry_out(plan, opener, ledger, wait)
    swept.failures += pruned.failed
    gone = {one.workspace for one in holdings if one.standing is Standing.GONE}
    forgotten = {removal.workspace for removal in pruned.done}
    swept.gone += len(forgotten & gone)
    swept.stale += len(forgotten - gone)
    return swept


def _unneeded(opener: Opener, swept: Swept, spared: set[str]) -> Iterator[Holding]:
    """Workspaces that may be gone or stale, for the policy to judge; of the others no snapshot is looked at.

    Those of which only Hermes itself has snapshots are neither: its records are
    no evidence, and its history is all newest.
    """
    store, days = opener.settings.store, opener.settings.limits.retention_days
    for record in records(store):
        swept.scanned += 1
        place, stands = Place(store, record.workspace), standing(record.workspace, record.parent)
        is_spared = bool({os.fspath(record.workspace), place.workspace_id} & spared)
        is_fresh = not days or time.time() - record.last_touch <= days * _DAY
        if not record.backends or {Standing.LIVE: is_fresh, Standing.GONE: is_spared, Standing.AWAY: True}[stands]:
            continue
        try:
            units = units_of(opener.holders(place))
            snapshots = [snapshot for unit in units for snapshot in unit]
            pinned = Pins(place).held(snapshots)
        except CheckpointError as error:  # the others still can be
            swept.failures.append(Failure(os.fspath(record.workspace), str(error)))
            continue
        yield Holding(record.workspace, stands, record.last_touch, units, pinned, protected(snapshots))


def _put_repositories_aside(opener: Opener, swept: Swept, spared: set[str], *, orphans: bool, measure: bool) -> None:
    """Those of the time before the shared store, gone or stale, and old archives."""
    base, store, days = opener.settings.base, opener.settings.store, opener.settings.limits.retention_days
    stale_before = time.time() - days * _DAY if days else 0.0
    orphaned: list[Repository | Archive] = []
    stale: list[Repository | Archive] = [one for one in archives(base, measure=measure) if one.mtime < stale_before]
    for one in repositories(base, measure=measure):
        swept.scanned += 1
        if orphans and one.standing is Standing.GONE and not {one.path.name, os.fspath(one.workspace)} & spared:
            orphaned.append(one)
        elif one.standing is Standing.LIVE and one.mtime < stale_before:
            stale.append(one)
    for going in (*orphaned, *stale):
        try:
            put_aside(going.path, store)
        except FileNotFoundError:
            continue  # somebody else was faster
        except (OSError, StoreError) as error:
            swept.failures.append(Failure(os.fspath(going.path), str(error)))
            continue
        swept.aside += going.size
        swept.gone += going in orphaned
        swept.stale += going in stale
