"""Getting space back, and measuring what is left."""

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Backend, Progress, StoreBusy, StoreError, silent
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.results import Reclaimed
from hermes_checkpoints.upkeep.inventory import Inventory
from hermes_checkpoints.upkeep.ledger import Ledger


def reclaim(
    parts: Mapping[str, Backend],
    ledger: Ledger,
    until: float = math.inf,
    progress: Progress = silent,
    *,
    thorough: bool = False,
) -> Reclaimed:
    """Reclaim every part, and put what is measured then into the ledger.

    What could not be given back for want of time stays counted as turnover.
    """
    before = after = 0
    complete = True
    troubles = []
    for name, backend in parts.items():
        counted = ledger.count(name)
        before += counted.size if counted is not None else backend.usage().real
        done = False
        turnover = counted.turnover if counted is not None else 0
        try:
            done = backend.reclaim(until, progress, thorough=thorough)
        except StoreBusy:
            pass
        except StoreError as error:  # the other parts can still be
            troubles.append(f"{name}: {error}")
            turnover = 0  # trying again at once would find the same
        complete &= done
        after += measure(name, backend, ledger)
        if not done:
            ledger.add(name, 0, turnover=turnover)
    return Reclaimed(before, after, complete, tuple(troubles))


def measure(name: str, backend: Backend, ledger: Ledger) -> int:
    """Bytes that a part takes on disk, which the ledger counts from then on."""
    counted = ledger.count(name)
    size = backend.usage().real
    ledger.measured(name, counted, size)
    return size


def space_beside(store: Path) -> int:
    """Bytes of what is in a store beside its parts: records, pins, locks and the like, and what was put aside."""
    names = ("projects", "pins", "locks", "used", "restoring", "quarantine")
    return sum(space_of(store / name).real for name in names if os.path.isdir(store / name))


def reclaim_all(
    inventory: Inventory,
    store: Path,
    ledger: Ledger,
    until: float = math.inf,
    progress: Progress = silent,
    *,
    thorough: bool = False,
) -> Reclaimed:
    """Reclaim every part; the sizes are those of the whole store, with archives and records."""
    if not store.is_dir():
        return Reclaimed(0, 0, complete=True)
    done = reclaim(inventory.parts, ledger, until, progress, thorough=thorough)
    kept, beside = inventory.kept_aside, space_beside(store)
    for name, size in (("archives", kept), ("beside", beside)):
        ledger.measured(name, ledger.count(name), size)
    with suppress(OSError):  # counts that nothing stands for any more are harmless
        ledger.keep({*inventory.parts, "archives", "beside", *os.listdir(store)})
    return done._replace(before=done.before + kept + beside, after=done.after + kept + beside)
