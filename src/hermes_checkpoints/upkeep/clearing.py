"""Removing everything that a store holds."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from hermes_checkpoints.contract import Place, Progress, StoreError, silent
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.publish import private_directory, sweep_unfinished
from hermes_checkpoints.legacy import WORKSPACE_NOTE
from hermes_checkpoints.opening import ASIDE, STAYS, Opener
from hermes_checkpoints.records import records
from hermes_checkpoints.upkeep.forgetting import forget, upkeep_lock, workspace_lock
from hermes_checkpoints.upkeep.inventory import parts
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.reclaiming import reclaim

_CLEARED = "cleared-"


def clear(opener: Opener, ledger: Ledger, wait: float, progress: Progress = silent) -> None:
    """Remove every snapshot of every workspace; the configuration and the locks stay.

    What lies in the store is moved aside first, by one rename each, so that a
    killed or interrupted clear leaves an empty store and something that the
    next one, or ``maintain``, removes. Raises ``StoreBusy`` while somebody is
    at work, and ``StoreRefused`` for a directory in which no store is, with
    nothing changed.
    """
    store = opener.settings.store
    opener.refuse_others()
    with ExitStack() as held:
        held.enter_context(locked(upkeep_lock(store), wait=wait))
        places = [Place(store, record.workspace) for record in records(store)]
        for place in places:
            held.enter_context(locked(workspace_lock(place), wait=wait))
        for name, backend in parts(opener).items():
            if store not in backend.home.parents:  # on another filesystem
                for place in places:
                    forget(place, list(opener.open(backend.name, place).snapshots()), opener, ledger)
                reclaim({name: backend}, ledger, progress=progress)
        opener.close()
        aside = private_directory(store / f"{_CLEARED}{os.urandom(4).hex()}")
        try:
            for name in os.listdir(store):
                if name not in STAYS and not ASIDE.fullmatch(name):
                    (store / name).rename(aside / name)
        except OSError as error:
            raise StoreError(f"{store} could not be emptied whole: {error}. Try again.") from error
        sweep(opener, progress)


def sweep(opener: Opener, progress: Progress = silent) -> None:
    """Remove what was moved aside, and what killed processes left half made.

    Raises ``StoreError``, of it ``StoreRefused`` with nothing changed.
    """
    opener.refuse_others()
    store = opener.settings.store
    try:
        homes = [backend.home for backend in parts(opener).values()]
        within = (one for top in (store, *homes) for one in (top, *top.glob("*/"), *top.glob("pins/*/")))
        for directory in (opener.settings.base, *within):
            sweep_unfinished(directory)
        names = [name for name in os.listdir(store) if ASIDE.fullmatch(name)]
        for done, name in enumerate(names):
            progress(done)
            shutil.rmtree(store / name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{store} could not be emptied whole: {error}. Try again.") from error


def put_aside(path: Path, store: Path) -> None:
    """Have a repository or an archive removed: at once out of sight, and off the disk with the next ``maintain``.

    Where there is no store to put it in, it is removed here. Raises ``OSError`` or ``StoreError``.
    """
    if store.is_dir():
        path.rename(private_directory(store / f"{_CLEARED}{os.urandom(4).hex()}") / path.name)
        return
    for child in sorted(
        path.iterdir(), key=lambda one: one.name in ("HEAD", WORKSPACE_NOTE)
    ):  # killed here, it is known still
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    path.rmdir()
