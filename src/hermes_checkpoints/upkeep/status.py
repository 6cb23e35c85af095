"""The store as a whole: what it takes on disk, and what each workspace and snapshot holds of that."""

import logging

from hermes_checkpoints.contract import Place, StoreDamaged, Usage
from hermes_checkpoints.legacy import archives
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.budget import Holding
from hermes_checkpoints.policy.space import Space
from hermes_checkpoints.results import SnapshotStatus, Status, WorkspaceStatus
from hermes_checkpoints.upkeep import journal
from hermes_checkpoints.upkeep.inventory import take_inventory
from hermes_checkpoints.upkeep.pins import Pins
from hermes_checkpoints.upkeep.reclaiming import space_beside

log = logging.getLogger("hermes_checkpoints")
# Of the log of what was forgotten.
_LATELY = 20


def survey(opener: Opener) -> Status:
    """Everything measured; slow for a large store."""
    inventory = take_inventory(opener, tuple(archives(opener.settings.base)))
    usage: dict[str, Usage] = {}
    for backend in inventory.parts.values():
        used, before = backend.usage(), usage.get(backend.name, Usage(0, 0))
        usage[backend.name] = Usage(used.apparent + before.apparent, used.real + before.real)
    try:
        space = Space(inventory.shares())
    except StoreDamaged as damage:
        log.warning("what single snapshots take is not known: %s", damage)
        space = Space({})
    known = [_workspace(opener, holding, space) for holding in inventory.holdings]
    known.sort(key=lambda one: one.gives_back, reverse=True)
    forgotten = tuple(journal.read(opener.settings.store))[-_LATELY:]
    return Status(
        opener.settings.base,
        opener.settings.limits,
        usage,
        known,
        inventory.archives,
        forgotten,
        space_beside(opener.settings.store),
    )


def _workspace(opener: Opener, holding: Holding, space: Space) -> WorkspaceStatus:
    place = Place(opener.settings.store, holding.workspace)
    labels = Pins(place).labels(holding.snapshots)
    snapshots = [SnapshotStatus(one, space.gives_back([one.id]), labels.get(one.id)) for one in holding.snapshots]
    return WorkspaceStatus(
        holding.workspace,
        holding.standing,
        tuple(dict.fromkeys(one.backend for one in holding.snapshots)),
        snapshots,
        holding.last_touch,
        space.gives_back(one.id for one in holding.snapshots),
    )
