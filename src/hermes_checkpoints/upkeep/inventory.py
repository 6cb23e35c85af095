"""What a store holds: its parts, and every workspace's snapshots in them."""

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import Backend, BackendError, Place, Snapshot, StoreRefused
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.policy.retention import protected
from hermes_checkpoints.records import read_record, records
from hermes_checkpoints.upkeep.pins import Pins

if TYPE_CHECKING:
    from hermes_checkpoints.policy.budget import Archive, Holding

log = logging.getLogger("hermes_checkpoints")


class Inventory(NamedTuple):
    """The snapshots of a store; taken without any lock, so it is true of a moment ago."""

    parts: Mapping[str, Backend]
    """By the name under which the ledger counts them; each stands for all workspaces of its home."""
    holdings: "tuple[Holding, ...]"
    archives: "tuple[Archive, ...]" = ()

    @property
    def size(self) -> int:
        """Bytes on disk of all parts, measured, and of the archives; slow."""
        return sum(backend.usage().real for backend in self.parts.values()) + self.kept_aside

    @property
    def kept_aside(self) -> int:
        """Bytes of the archives."""
        return sum(archive.size for archive in self.archives)

    def shares(self) -> dict[frozenset[str], int]:
        """How the space of all parts divides between snapshots; slow."""
        return {ids: size for backend in self.parts.values() for ids, size in backend.shares().items()}


def part_name(backend: Backend) -> str:
    """The name of a backend's part of the store, for the ledger."""
    if backend.home == backend.place.store / backend.name:
        return backend.name
    return f"{backend.name}-{hashlib.sha256(os.fsencode(backend.home)).hexdigest()[:8]}"


def parts(opener: Opener) -> dict[str, Backend]:
    """Every part of the store, each through one backend."""
    store = opener.settings.store
    found: dict[str, Backend] = {}
    for record in records(store):
        for backend in opener.holders(Place(store, record.workspace)):
            found.setdefault(part_name(backend), backend)
    for name in opener.names():
        if name not in found and os.path.isdir(store / name):  # records are lost, or the workspace never had one
            try:
                backend = opener.open(name, Place(store, opener.settings.base))
            except (BackendError, StoreRefused) as error:
                log.warning("%s is passed over: %s", store / name, error)
                continue
            found.setdefault(part_name(backend), backend)
    return found


def take_inventory(opener: Opener, archives: "tuple[Archive, ...]" = ()) -> Inventory:
    """Everything the store holds. Reads no tree."""
    found = parts(opener)
    snapshots: dict[Path, list[tuple[Snapshot, bool]]] = {}
    for backend in found.values():
        foreign = is_foreign(backend)
        for snapshot in backend.all_snapshots():
            snapshots.setdefault(snapshot.workspace, []).append((snapshot, foreign))
    for record in records(opener.settings.store):
        snapshots.setdefault(record.workspace, [])
    holdings = (_holding(opener, workspace, held) for workspace, held in snapshots.items())
    return Inventory(found, tuple(holdings), archives)


def _holding(opener: Opener, workspace: Path, held: list[tuple[Snapshot, bool]]) -> "Holding":
    from hermes_checkpoints.policy.budget import Holding
    from hermes_checkpoints.upkeep.standing import standing

    place = Place(opener.settings.store, workspace)  # not resolved: it may be a symlink to another one by now
    record = read_record(place.store, place.workspace_id)
    held.sort(key=lambda one: one[0].created_ns, reverse=True)
    snapshots = [snapshot for snapshot, _ in held]
    newest = snapshots[0].created_ns / 1e9 if snapshots else 0.0
    return Holding(
        workspace,
        standing(workspace, record.parent if record is not None else None),
        max(newest, record.last_touch) if record is not None else newest,
        tuple(_units(held)),
        Pins(place).held(snapshots),
        protected(snapshots),
    )


def units_of(backends: Iterable[Backend]) -> list[tuple[Snapshot, ...]]:
    """The snapshots of one workspace in sets that are forgotten together, newest first."""
    held = [(one, is_foreign(backend)) for backend in backends for one in backend.snapshots()]
    held.sort(key=lambda one: one[0].created_ns, reverse=True)
    return [*_units(held)]


def _units(held: list[tuple[Snapshot, bool]]) -> Iterator[tuple[Snapshot, ...]]:
    """Another program's snapshots all at once, where the newest of them stands; ours one by one."""
    foreign = tuple(snapshot for snapshot, theirs in held if theirs)
    for snapshot, theirs in held:
        if not theirs:
            yield (snapshot,)
        elif snapshot is foreign[0]:
            yield foreign
