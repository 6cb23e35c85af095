"""Looking for damage in a store: in its parts, and in what it keeps beside them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    Damage,
    Place,
    Progress,
    Snapshot,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreRefused,
    silent,
)
from hermes_checkpoints.kit.walk.taking import OURS
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import records
from hermes_checkpoints.results import Failure
from hermes_checkpoints.underway import Journal
from hermes_checkpoints.upkeep import beside
from hermes_checkpoints.upkeep.findings import Damaged, Verified
from hermes_checkpoints.upkeep.inventory import part_name


def verify(
    opener: Opener, progress: Progress = silent, only: Place | None = None, *, full: bool = True, dry_run: bool = False
) -> Verified:
    """Look for damage in the whole store, or in what one workspace's snapshots may lean on.

    What cannot be opened, or is busy, is an answer and no failure. In a
    ``dry_run`` no backend keeps what it learned. Raises ``StoreRefused`` for
    somebody else's directory.
    """
    opener.refuse_others()
    parts, closed = open_parts(opener, only)
    unseen = [Failure(name, str(error)) for name, error in closed if not _is_damage(error)]
    damaged = [Damaged(name, Damage("", "", str(error))) for name, error in closed if _is_damage(error)]
    held: dict[Path, list[Snapshot]] = {}
    theirs: dict[Path, list[Snapshot]] = {}
    for name, backend in parts.items():
        examined = _Examined(name, backend)
        unseen += examined.run(progress, full=full)
        if not dry_run:
            backend.examined()
        damaged += examined.damaged()
        for snapshot in examined.known.values():
            (theirs if is_foreign(backend) else held).setdefault(snapshot.workspace, []).append(snapshot)
    damaged += beside.damaged(opener.settings, held)
    workspaces = {*held, *theirs, *(record.workspace for record in records(opener.settings.store))}
    if only is not None:
        workspaces &= {only.workspace}
        damaged = [one for one in damaged if one.workspace in (None, only.workspace)]
    counts = [len(held.get(one, ())) + len(theirs.get(one, ())) for one in workspaces]
    interrupted = [one for one in sorted(workspaces) if Journal(Place(opener.settings.store, one)).read() is not None]
    return Verified(full, sum(map(bool, counts)), sum(counts), damaged, unseen, interrupted)


def open_parts(
    opener: Opener, only: Place | None = None
) -> tuple[dict[str, Backend], list[tuple[str, CheckpointError]]]:
    """Every part of the store that can be opened, or those of one workspace, and why the others cannot be.

    As ``inventory.parts``, but one part that is damaged does not hide the others.
    """
    parts: dict[str, Backend] = {}
    closed: dict[str, tuple[str, CheckpointError]] = {}
    for name, place in _homes(opener, only):
        try:
            backend = opener.open(name, place)
        except CheckpointError as error:
            closed.setdefault(str(error), (name, error))
        else:
            parts.setdefault(part_name(backend), backend)
    return parts, list(closed.values())


def _is_damage(error: CheckpointError) -> bool:
    """Whether a part that cannot be opened is damaged; else it is not ours, not there now, or not known."""
    return isinstance(error, StoreError) and not isinstance(error, StoreRefused | StoreBusy) and not is_ours(error)


def is_ours(error: BaseException) -> bool:
    """Whether it may only be us who cannot do something now: no permission, no descriptor or memory left."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and (isinstance(cause, PermissionError) or cause.errno in OURS)


def _homes(opener: Opener, only: Place | None) -> Iterator[tuple[str, Place]]:
    """Each backend that has something in the store, at each place where its home may be another one."""
    store = opener.settings.store
    named = set()
    for place in [only] if only is not None else [Place(store, record.workspace) for record in records(store)]:
        for name in opener.holding(place):
            named.add(name)
            yield name, place
    for name in opener.names() if only is None else ():
        if name not in named and (store / name).exists():  # records are lost, or the workspace never had one
            yield name, Place(store, opener.settings.base)


def known(backend: Backend) -> dict[str, Snapshot]:
    """The snapshots of a part that can be read, by id."""
    return {snapshot.id: snapshot for snapshot in backend.all_snapshots()}


def held_in(parts: Mapping[str, Backend]) -> dict[Path, list[Snapshot]]:
    """What our own backends hold, by workspace; parts that cannot be listed are passed over."""
    held: dict[Path, list[Snapshot]] = {}
    for backend in parts.values():
        try:
            snapshots: Sequence[Snapshot] = [] if is_foreign(backend) else [*known(backend).values()]
        except CheckpointError:
            continue
        for snapshot in snapshots:
            held.setdefault(snapshot.workspace, []).append(snapshot)
    return held


class _Examined:
    """One part of a store, examined while others may go on taking and forgetting."""

    def __init__(self, name: str, backend: Backend) -> None:
        self.known: dict[str, Snapshot] = {}
        self._name = name
        self._backend = backend
        self._found: list[Damage] = []

    def run(self, progress: Progress, *, full: bool) -> list[Failure]:
        """Look; why it could not be looked at to the end."""
        try:
            self.known = known(self._backend)
            self._found.extend(self._backend.examine(progress, full=full))
            self._pass_over(known(self._backend))
        except StoreDamaged as damage:  # a backend that cannot go on, and cannot say what that costs
            self._found.append(Damage("", "", str(damage)))
        except CheckpointError as error:
            return [Failure(self._name, str(error))]
        return []

    def _pass_over(self, now: Mapping[str, Snapshot]) -> None:
        """What was forgotten since may have been reclaimed while it was read: that is no damage."""
        gone = self.known.keys() - now.keys()
        self._found = [damage for damage in self._found if damage.snapshot not in gone]
        self.known = dict(now)

    def damaged(self) -> Iterator[Damaged]:
        for damage in self._found:
            snapshot = self.known.get(damage.snapshot)
            yield Damaged(self._name, damage, snapshot.workspace if snapshot is not None else None, snapshot)
