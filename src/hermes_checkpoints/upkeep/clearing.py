"""Removing everything that a store holds."""

import os
import secrets
import shutil
from contextlib import ExitStack

from hermes_checkpoints.contract import CheckpointError, Progress, StoreError, silent
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.publish import private_directory
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import records
from hermes_checkpoints.upkeep.forgetting import forget, workspace_lock
from hermes_checkpoints.upkeep.inventory import parts
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.reclaiming import reclaim

_STAYS = frozenset({"config.toml", "locks"})
_CLEARED = "cleared-"


def clear(opener: Opener, ledger: Ledger, wait: float, progress: Progress = silent) -> None:
    """Remove every snapshot of every workspace; the configuration and the locks stay.

    What lies in the store is moved aside first, by one rename each, so that a
    killed or interrupted clear leaves an empty store and something that the
    next one, or ``maintain``, removes. Raises ``StoreBusy`` while somebody is
    at work, with nothing changed.
    """
    store = opener.settings.store
    with ExitStack() as held:
        held.enter_context(locked(store / "locks" / "upkeep", wait=wait))
        places = [opener.place(record.workspace) for record in records(store)]
        for place in places:
            held.enter_context(locked(workspace_lock(place), wait=wait))
        for name, backend in parts(opener).items():
            if store not in backend.home.parents:  # on another filesystem, and perhaps shared with another store
                for place in places:
                    of_this = list(opener.open(backend.name, place).snapshots())
                    forget(place, of_this, opener, ledger)
                reclaim({name: backend}, ledger, progress=progress)
        opener.close()
        aside = private_directory(store / f"{_CLEARED}{secrets.token_hex(4)}")
        try:
            for name in os.listdir(store):
                if name not in _STAYS and not name.startswith(_CLEARED):
                    (store / name).rename(aside / name)
        except OSError as error:
            raise StoreError(f"{store} could not be emptied whole: {error}. Try again.") from error
        sweep(opener, progress)


def sweep(opener: Opener, progress: Progress = silent) -> None:
    """Remove what clears have moved aside. Raises ``StoreError``."""
    store = opener.settings.store
    try:
        names = [name for name in os.listdir(store) if name.startswith(_CLEARED)]
        for done, name in enumerate(names):
            progress(done)
            shutil.rmtree(store / name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(f"{store} could not be emptied whole: {error}. Try again.") from error
