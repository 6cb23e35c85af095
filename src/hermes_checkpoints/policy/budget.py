"""What goes when a store holds more than it may, in which order, and why.

Pure: decided from values, then shown, then done.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from hermes_checkpoints.contract import Snapshot
from hermes_checkpoints.policy.retention import Limits, verdicts
from hermes_checkpoints.policy.space import Space

_DAY = 86400.0


class Standing(Enum):
    """What is known of a workspace's directory."""

    LIVE = "live"
    GONE = "gone"
    """On evidence: the directory that it was in is there, the same one, and it is not in it."""
    AWAY = "away"
    """Not to be seen, and no evidence that it is gone: a volume that is not mounted, a share that does not answer."""


class Holding(NamedTuple):
    """One workspace's snapshots."""

    workspace: Path
    standing: Standing
    last_touch: float
    """Seconds since the epoch."""
    units: Sequence[Sequence[Snapshot]]
    """Newest first; the snapshots of a unit can only be forgotten together."""
    pinned: frozenset[str] = frozenset()
    protected: Mapping[str, str] = MappingProxyType({})
    """What undo leans on."""

    @property
    def snapshots(self) -> list[Snapshot]:
        return [snapshot for unit in self.units for snapshot in unit]


class Archive(NamedTuple):
    """Repositories from before Hermes's second format, moved out of the way."""

    path: Path
    size: int
    mtime: float


class Removal(NamedTuple):
    """One thing that goes: snapshots of a workspace, or an archive."""

    reason: str
    gives_back: int
    """Bytes; an estimate, and what it shares with other removals counts at the last of them."""
    workspace: Path | None = None
    snapshots: Sequence[Snapshot] = ()
    archive: Archive | None = None
    loud: bool = False
    """Nobody would expect it: the last snapshot of a workspace that is there, or what undo leans on."""
    spares_undo: bool = True
    """Whether it is not to be done when undo has come to lean on one of them since."""

    @property
    def subject(self) -> Path:
        """The workspace, or the archive."""
        found = self.archive.path if self.archive is not None else self.workspace
        assert found is not None
        return found


class Pruning(NamedTuple):
    """A plan; carrying it out forgets exactly this."""

    removals: Sequence[Removal]
    size: int
    """Bytes before: measured, or without the garbage, which comes back anyway."""
    allowed: int
    """Bytes that the store may have; 0: no limit."""

    @property
    def size_after(self) -> int:
        """Bytes after it and a reclaim, nearly."""
        return max(self.size - sum(removal.gives_back for removal in self.removals), 0)

    @property
    def shortfall(self) -> int:
        """Bytes by which the store stays over what is allowed: pinned snapshots, and the newest one."""
        return max(self.size_after - self.allowed, 0) if self.allowed else 0


def prune(
    holdings: Sequence[Holding],
    archives: Sequence[Archive],
    shares: Mapping[frozenset[str], int],
    *,
    size: int,
    allowed: int,
    limits: Limits,
    now: float,
    orphans: bool = True,
    only_for_room: bool = False,
    last_resort: int | None = None,
) -> Pruning:
    """What is to go.

    First what nobody will miss: what is beyond the limits of its workspace,
    workspaces that are gone (with ``orphans``), then stale ones, whose newest
    snapshot stays, then old archives. With ``only_for_room`` even they go only
    as far as ``size`` must come down to ``allowed`` (bytes). Then, for room,
    archives and the oldest snapshot of whichever workspace holds the most.
    Where more than ``last_resort`` bytes (by default as ``allowed``) are left
    even then, what undo leans on and the last snapshots of workspaces, the
    least recently touched first; but never a pinned one, and never the newest
    snapshot of all, which does not count where it alone exceeds what is allowed.
    """
    planner = _Planner(holdings, Space(shares), size, allowed)
    for removal in planner.unneeded(archives, limits, now, orphans=orphans):
        if not (only_for_room and planner.enough):
            planner.take(removal)
    for removal in planner.for_room(archives, max((last_resort or allowed) - allowed, 0)):
        planner.take(removal)
    return Pruning(planner.taken, size, allowed)


class _Planner:
    def __init__(self, holdings: Sequence[Holding], space: Space, size: int, allowed: int) -> None:
        self._holdings = sorted(holdings, key=lambda holding: holding.last_touch)
        self._space = space
        self._over = size - allowed if allowed else 0
        self._gone: set[str] = set()
        self._holds: dict[Path, int] = {}
        self._may_go: dict[Path, list[Sequence[Snapshot]]] = {}
        self._archives: set[Path] = set()
        self.taken: list[Removal] = []
        all_snapshots = (snapshot for holding in holdings for snapshot in holding.snapshots)
        newest = max(all_snapshots, key=lambda snapshot: snapshot.created_ns, default=None)
        self._newest = newest.id if newest is not None else ""
        if (alone := space.gives_back([self._newest])) > allowed:
            self._over -= alone

    @property
    def enough(self) -> bool:
        return self._over <= 0

    def take(self, removal: Removal) -> None:
        self._over -= removal.gives_back
        if removal.archive is not None:
            self._archives.add(removal.archive.path)
        self._space.forget(snapshot.id for snapshot in removal.snapshots)
        self._gone.update(snapshot.id for snapshot in removal.snapshots)
        if removal.workspace is not None:
            self._holds.pop(removal.workspace, None)
            self._may_go.pop(removal.workspace, None)
        self.taken.append(removal)

    def unneeded(self, archives: Sequence[Archive], limits: Limits, now: float, *, orphans: bool) -> Iterator[Removal]:
        for holding in self._holdings:
            yield from self._beyond(holding, limits)
        for holding in self._holdings:
            if orphans and holding.standing is Standing.GONE:
                for unit in reversed(self._loose(holding, protected=True, newest=True)):
                    yield self._removal(holding, unit, "the workspace is gone", spares_undo=False)
        for holding in self._holdings:
            days = (now - holding.last_touch) / _DAY
            if holding.standing is Standing.LIVE and limits.retention_days and days > limits.retention_days:
                for unit in reversed(self._older(holding)):
                    yield self._removal(holding, unit, f"not used for {int(days)} days")
        for archive in archives:
            days = (now - archive.mtime) / _DAY
            if limits.retention_days and days > limits.retention_days:
                yield Removal(f"an archive of {int(days)} days", archive.size, archive=archive)

    def _beyond(self, holding: Holding, limits: Limits) -> Iterator[Removal]:
        """What is beyond the limits of its own workspace; mostly gone already, at the take that made it so."""
        together = [frozenset(snapshot.id for snapshot in unit) for unit in holding.units]
        judged = {one.snapshot.id: one for one in verdicts(holding.snapshots, limits, holding.pinned, together)}
        for unit in reversed(holding.units):
            if not judged[unit[0].id].keep:
                yield self._removal(holding, unit, judged[unit[0].id].reason)

    def for_room(self, archives: Sequence[Archive], bearable: int) -> Iterator[Removal]:
        """``bearable``: bytes too many that do not yet call for the last resort."""
        for archive in archives:
            if not self.enough and archive.path not in self._archives:
                yield Removal("an archive, for room", archive.size, archive=archive)
        while not self.enough and (oldest := self._oldest_of_the_largest()) is not None:
            yield oldest
        for holding in self._holdings:
            for unit in reversed(self._loose(holding, protected=True)):
                if self._over > bearable:
                    yield self._removal(holding, unit, self._why_loud(holding, unit), loud=True, spares_undo=False)

    def _oldest_of_the_largest(self) -> Removal | None:
        best: tuple[int, Holding, Sequence[Snapshot]] | None = None
        for holding in self._holdings:
            older = self._older(holding)
            if older and (best is None or self._held_by(holding) > best[0]):
                best = self._held_by(holding), holding, older[-1]
        if best is None:
            return None
        return self._removal(best[1], best[2], "the oldest of the workspace that holds the most")

    def _held_by(self, holding: Holding) -> int:
        """Bytes that forgetting all that is left of a workspace would give back."""
        if holding.workspace not in self._holds:
            left = (snapshot.id for snapshot in holding.snapshots if snapshot.id not in self._gone)
            self._holds[holding.workspace] = self._space.gives_back(left)
        return self._holds[holding.workspace]

    def _loose(self, holding: Holding, *, protected: bool = False, newest: bool = False) -> list[Sequence[Snapshot]]:
        """The units that may go, newest first; what undo leans on and the newest one of all only if told so."""
        fixed = {*holding.pinned, *self._gone}
        fixed |= set() if protected else holding.protected.keys()
        fixed |= set() if newest else {self._newest}
        return [unit for unit in holding.units if not any(snapshot.id in fixed for snapshot in unit)]

    def _older(self, holding: Holding) -> list[Sequence[Snapshot]]:
        """Those of them that are not the newest that is left of their workspace."""
        if holding.workspace not in self._may_go:  # asked again for every workspace at every removal
            left = next((unit for unit in holding.units if unit[0].id not in self._gone), None)
            self._may_go[holding.workspace] = [unit for unit in self._loose(holding) if unit is not left]
        return self._may_go[holding.workspace]

    def _removal(
        self, holding: Holding, unit: Sequence[Snapshot], reason: str, *, loud: bool = False, spares_undo: bool = True
    ) -> Removal:
        size = self._space.gives_back(snapshot.id for snapshot in unit)
        return Removal(reason, size, holding.workspace, tuple(unit), loud=loud, spares_undo=spares_undo)

    @staticmethod
    def _why_loud(holding: Holding, unit: Sequence[Snapshot]) -> str:
        for snapshot in unit:
            if snapshot.id in holding.protected:
                return f"there is no other room, though {holding.protected[snapshot.id]}"
        return "there is no other room, though it is the last one of its workspace"
