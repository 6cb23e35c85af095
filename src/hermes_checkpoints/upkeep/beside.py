"""What a store keeps beside its snapshots and can be had anew: finding what is damaged of it, and making it anew."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, Damage, Mended, Mending, Place, Snapshot, StoreError
from hermes_checkpoints.kit.store.plain import is_damage, is_plain, read_plain
from hermes_checkpoints.kit.store.publish import private_directory
from hermes_checkpoints.records import forget_record, read_record, touch_record
from hermes_checkpoints.settings import Settings, read_settings
from hermes_checkpoints.upkeep.findings import Damaged, Repair
from hermes_checkpoints.upkeep.pins import Pins

Held = Mapping[Path, Sequence[Snapshot]]
"""The snapshots of our own backends, by workspace."""

QUARANTINE = "quarantine"
"""Where a repair puts what stands in the way."""
_RECORDS, _PINS = "projects", "pins"
_RECORD = re.compile(r"[0-9a-f]{16}\.json")
_PIN = re.compile(r"[0-9a-f]{16}")


def damaged(settings: Settings, held: Held) -> Iterator[Damaged]:
    """What is damaged. Records of workspaces that are not there are not missed: they would prove nothing."""
    store = settings.store
    try:
        read_settings(settings.base, environ={})
    except CheckpointError as error:
        yield Damaged("config.toml", Damage("", "", str(error)))
    for path in _not_directories(store):
        yield Damaged(path.name, Damage("", "", f"{path} is not a directory"))
    owners = {Place(store, workspace).workspace_id: workspace for workspace in held}
    told = set()
    for path in _bad_records(store):
        told.add(owners.get(path.stem))
        yield Damaged(_RECORDS, Damage("", "", f"{path} is not a record"), owners.get(path.stem))
    for workspace, snapshots in held.items():
        lacking = _lacking(store, workspace, snapshots)
        if lacking and workspace not in told:
            what = f"no record leads to the snapshots in {' and '.join(lacking)}"
            yield Damaged(_RECORDS, Damage("", "", what), workspace)
        try:
            Pins(Place(store, workspace)).labels(snapshots)
        except StoreError as error:
            yield Damaged(_PINS, Damage("", "", str(error)), workspace)


def make_way(store: Path, *, dry_run: bool) -> Iterator[Repair]:
    """Put aside what stands where something of the store's own should. Raises ``StoreError``."""
    for path in (*_not_directories(store), *_bad_records(store)):
        yield Repair(path.relative_to(store).parts[0], _put_aside(store, path, dry_run=dry_run))


def make_anew(place: Place, snapshots: Sequence[Snapshot], *, dry_run: bool) -> Iterator[Repair]:
    """Make the record and the pins of a workspace, whose lock is held, what they should be. Raises ``StoreError``.

    A pin whose file is damaged stays a pin, without its label.
    """
    for path in _bad_pins(place):
        yield Repair(_PINS, _put_aside(place.store, path, dry_run=dry_run), place.workspace)
        for snapshot in snapshots if not dry_run else ():
            if path.name == f"{snapshot.created_ns:016x}":
                Pins(place).pin(snapshot)
    if _lacking(place.store, place.workspace, snapshots):
        if not dry_run:
            _make_record(place, snapshots)
        yield Repair(_RECORDS, Mended(Mending.REBUILT, "", "", "the record, from the snapshots"), place.workspace)


def is_damaged(place: Place, snapshots: Sequence[Snapshot]) -> bool:
    """Whether there is something for ``make_anew`` to do."""
    return bool(_bad_pins(place) or _lacking(place.store, place.workspace, snapshots))


def _not_directories(store: Path) -> Iterator[Path]:
    for name in (_RECORDS, _PINS):
        path = store / name
        if os.path.lexists(path) and not path.is_dir():
            yield path


def _bad_records(store: Path) -> Iterator[Path]:
    """Of what has a record's name, all that is none: cut, altered, another workspace's, a directory."""
    for name in _names(store / _RECORDS):
        path = store / _RECORDS / name
        if _RECORD.fullmatch(name) and read_record(store, path.stem) is None and _can_be_judged(path):
            yield path


def _can_be_judged(path: Path) -> bool:
    """Whether it is there, and can be read as far as that is up to us."""
    try:
        read_plain(path)
    except OSError as error:
        return is_damage(error)
    return True


def _lacking(store: Path, workspace: Path, snapshots: Sequence[Snapshot]) -> list[str]:
    """The backends that hold snapshots, and that a record does not lead to."""
    record = read_record(store, Place(store, workspace).workspace_id)
    if record is None:  # they are found without one, but for lists of all workspaces
        path = store / _RECORDS / f"{Place(store, workspace).workspace_id}.json"
        missing = not os.path.lexists(path) or _can_be_judged(path)
        return sorted(_backends(snapshots)) if missing and workspace.is_dir() else []
    return sorted({*_backends(snapshots)} - {*record.backends}) if record.backends else []


def _bad_pins(place: Place) -> list[Path]:
    """What stands where the pins of a workspace should, or where one of them should."""
    directory = place.store / _PINS / place.workspace_id
    if os.path.lexists(directory) and not directory.is_dir():
        return [directory]
    pins = (directory / name for name in _names(directory) if _PIN.fullmatch(name))
    return [pin for pin in pins if not is_plain(pin)]


def _names(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _backends(snapshots: Sequence[Snapshot]) -> list[str]:
    """Those that hold them, the one with the newest at the end."""
    newest: dict[str, int] = {}
    for snapshot in snapshots:
        newest[snapshot.backend] = max(newest.get(snapshot.backend, 0), snapshot.created_ns)
    return sorted(newest, key=lambda name: newest[name])


def _make_record(place: Place, snapshots: Sequence[Snapshot]) -> None:
    if not place.workspace.is_dir():
        # A record made now would be evidence that the workspace is gone; without one, snapshots are looked for.
        forget_record(place.store, place.workspace_id)
        return
    names = _backends(snapshots)
    touch_record(place, names[-1], names)


def _put_aside(store: Path, path: Path, *, dry_run: bool) -> Mended:
    quarantine = store / QUARANTINE
    target = quarantine / f"{path.parent.name}-{path.name}-{os.urandom(4).hex()}"
    if not dry_run:
        private_directory(quarantine)
        try:
            path.rename(target)
        except OSError as error:
            raise StoreError(f"{path} could not be moved to {quarantine}: {error.strerror}.") from error
    return Mended(Mending.QUARANTINED, "", "", f"{path.relative_to(store)}, kept in {quarantine}")
