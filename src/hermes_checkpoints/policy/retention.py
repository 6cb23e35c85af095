"""Which snapshots of one workspace are kept, each with its reason."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hermes_checkpoints.contract import Snapshot
from hermes_checkpoints.policy.history import redoable, undoable

_HOUR = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner of a store wants kept. Sizes in bytes; 0 means no limit."""

    max_snapshots: int = 20
    """Of a workspace; at least 1."""
    keep_hourly: int = 0
    """Beyond those: the last snapshot of each of so many hours that have one."""
    keep_daily: int = 0
    """Likewise of days, by UTC."""
    max_total_size: int = 500 << 20
    """Of the store."""
    min_free_disk: float = 0.02
    """A share of the filesystem that is left free, as far as the store can help it."""
    retention_days: float = 7
    """A workspace that was not touched for so long is stale; 0: none ever is."""

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what cannot be meant."""
        if self.max_snapshots < 1:
            raise ValueError(f"max_snapshots must be at least 1, and not {self.max_snapshots}")
        if not 0 <= self.min_free_disk <= 1:
            raise ValueError(f"min_free_disk must be a share from 0 to 1, and not {self.min_free_disk}")
        for name in ("keep_hourly", "keep_daily", "max_total_size", "retention_days"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative, and is {getattr(self, name)}")


class Verdict(NamedTuple):
    """Whether a snapshot is kept, and why."""

    snapshot: Snapshot
    keep: bool
    reason: str


def verdicts(
    snapshots: Sequence[Snapshot],
    limits: Limits,
    pinned: Collection[str] = (),
    together: Iterable[frozenset[str]] = (),
) -> list[Verdict]:
    """One verdict a snapshot, newest first as ``snapshots`` are.

    Half of ``max_snapshots`` are the newest ones. The other half are the first
    of each of the newest requests: an agent may take twenty snapshots within
    one request, and the state before an earlier one is what people go back to.
    A snapshot of no request counts as a request of its own, so without
    requests it is simply the newest ones. Safety snapshots come on top, as many
    again at most: a restore must not push out what somebody took.
    ``together``: sets of ids that can only be forgotten all at once.
    """
    reasons = dict.fromkeys(pinned, "pinned")
    for snapshot, reason in _protected(snapshots).items():
        reasons.setdefault(snapshot, reason)
    limit = limits.max_snapshots
    taken = [snapshot for snapshot in snapshots if snapshot.note.restoring is None]
    counted = _counted(taken, limit)
    for snapshot, reason in counted.items():
        reasons.setdefault(snapshot, reason)
    oldest = min((snapshot.created_ns for snapshot in taken if snapshot.id in counted), default=0)
    safety = [one for one in snapshots if one.note.restoring is not None and one.created_ns > oldest]
    for one in safety[:limit]:
        reasons.setdefault(one.id, "the state before a restore")
    for count, period, unit in ((limits.keep_hourly, _HOUR, "hour"), (limits.keep_daily, 24 * _HOUR, "day")):
        for snapshot in _last_of_each(snapshots, count, period):
            reasons.setdefault(snapshot, f"the last of its {unit}")
    for ids in together:
        if ids & reasons.keys():
            for snapshot in ids:
                reasons.setdefault(snapshot, "part of a history that goes as one")
    beyond = f"beyond the {limits.max_snapshots} that are kept"
    return [Verdict(one, one.id in reasons, reasons.get(one.id, beyond)) for one in snapshots]


def protected(snapshots: Sequence[Snapshot]) -> dict[str, str]:
    """What undo and redo lean on, by id, with the reason: neither they nor what they restored may go."""
    known = {snapshot.id for snapshot in snapshots}
    return {snapshot: reason for snapshot, reason in _protected(snapshots).items() if snapshot in known}


def _protected(snapshots: Sequence[Snapshot]) -> dict[str, str]:
    found: dict[str, str] = {}
    for action, safety in (("undone", undoable(snapshots)), ("redone", redoable(snapshots))):
        if safety is not None and safety.note.restoring is not None:
            found[safety.id] = f"the last restore can be {action} with it"
            found.setdefault(safety.note.restoring.target, "it was restored last")
    return found


def _counted(snapshots: Sequence[Snapshot], limit: int) -> dict[str, str]:
    """As many as the limit says."""
    recent = snapshots[: limit - limit // 2]
    found = {snapshot.id: "one of the newest" for snapshot in recent}
    first: dict[str, Snapshot] = {}
    for snapshot in snapshots:  # newest first: the last one set is the first of its request
        first[snapshot.note.request or snapshot.id] = snapshot
    firsts = sorted(first.values(), key=lambda snapshot: snapshot.created_ns, reverse=True)
    for candidates, reason in ((firsts, "the first of its request"), (snapshots, "one of the newest")):
        for snapshot in candidates:
            if len(found) < limit:
                found.setdefault(snapshot.id, reason if snapshot.note.request else "one of the newest")
    return found


def _last_of_each(snapshots: Sequence[Snapshot], count: int, period: int) -> list[str]:
    last: dict[int, str] = {}
    for snapshot in snapshots:
        if len(last) >= count and snapshot.created_ns // period not in last:
            break
        last.setdefault(snapshot.created_ns // period, snapshot.id)
    return list(last.values()) if count else []
