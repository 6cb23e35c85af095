"""What a restore will do, decided before anything is touched.

The safety snapshot is an exact picture of what is there and can be brought
back; the target is what shall be there. The plan is their difference, so what
neither holds is never touched.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple

from hermes_checkpoints.contract import Change, Entry, Kind, Reason, Snapshot, ancestors, within


class Action(Enum):
    """What a restore does with one path."""

    WRITE = "write"
    """Create it, or replace what is there."""
    ATTRIBUTES = "attributes"
    """Content stays; mode or extended attributes change."""
    DELETE = "delete"
    KEEP = "keep"
    """It differs and stays as it is, for the reason given."""


class Step(NamedTuple):
    """One path and what happens to it."""

    action: Action
    path: str
    before: Entry | None
    """What the safety snapshot holds there."""
    after: Entry | None
    """What the target holds there."""
    reason: str = ""
    """Why it is kept."""


Keep = Callable[[Change], str | None]
"""Why what differs stays as it is; ``None`` lets it change. ``before`` is what is there, ``after`` the target's."""


def keep_nothing(change: Change) -> str | None:
    """Keeps nothing."""
    return None


class Plan(NamedTuple):
    """The steps of a restore, in path order, a directory before what is in it."""

    target: Snapshot
    steps: tuple[Step, ...]
    paths: tuple[str, ...] = ()
    """The selection; empty for the whole workspace."""

    def of(self, action: Action) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action is action)

    @property
    def empty(self) -> bool:
        """Whether nothing would be changed."""
        return all(step.action is Action.KEEP for step in self.steps)


def make_plan(
    target: Snapshot,
    changes: Iterable[Change],
    paths: tuple[str, ...] = (),
    keep: Keep = keep_nothing,
    *,
    take_back: bool = False,
) -> Plan:
    """The plan for changes from the present state (``before``) to the target (``after``).

    ``take_back``: the selection was restored before, so directories above it
    that the target does not have came with it, and go with it when they are empty.
    """
    steps: dict[str, Step] = {}
    closed = ""  # a directory that stays as it is with all that is below it
    for change in changes:
        path = change.path
        if closed and path.startswith(closed):  # in path order, the last one is the only one that can be meant
            continue
        if paths and not _selected(change, paths):
            if _closed(change) and any(chosen.startswith(path + "/") for chosen in paths):
                why = "it stands where a selected path belongs, and is not selected"
                steps[path] = Step(Action.KEEP, path, change.before, change.after, why)
                closed = path + "/"
            elif take_back and change.after is None and any(chosen.startswith(path + "/") for chosen in paths):
                steps[path] = Step(Action.DELETE, path, change.before, None)
            elif change.before is not None:
                _spare_above(steps, path)
            continue
        step = _step(change)
        reason = keep(change) if step is not None and step.action is not Action.KEEP else None
        if step is not None and reason is not None:
            step = step._replace(action=Action.KEEP, reason=reason)
        if step is not None and step.action is Action.KEEP and _closed(change):
            closed = path + "/"
        if step is not None:
            steps[path] = step
        elif change.before is not None and not change.before.held:
            _spare_above(steps, path)
    for path in [path for path, step in steps.items() if step.action is Action.KEEP]:
        _spare_above(steps, path)
    return Plan(target, tuple(steps.values()), paths)


def _selected(change: Change, paths: tuple[str, ...]) -> bool:
    if within(change.path, paths):
        return True
    # A selected path comes back even when the directory above it is gone.
    missing = change.before is None and change.after is not None and change.after.kind is Kind.DIR
    return missing and any(path.startswith(change.path + "/") for path in paths)


def _held(entry: Entry | None) -> bool:
    return entry is not None and entry.held


def _closed(change: Change) -> bool:
    """Whether what is below a kept path stays too: the target does not know it, or there is no directory for it."""
    before = change.before.kind if change.before is not None else None
    after = change.after.kind if change.after is not None else None
    return (before is Kind.DIR and after is Kind.LEFT_OUT) or (before is not Kind.DIR and after is Kind.DIR)


def _step(change: Change) -> Step | None:
    """The step for one path by itself; ``None`` where there is nothing to say."""
    path, before, after = change.path, change.before, change.after
    if before is not None and not before.held:
        if not _held(after):
            return None
        return Step(Action.KEEP, path, before, after, f"it is in no snapshot now ({before.reason})")
    if after is not None and not after.held:
        if before is None:
            return None
        return Step(Action.KEEP, path, before, after, f"the snapshot does not hold it ({_was(after.reason)})")
    if after is None:
        return Step(Action.DELETE, path, before, after) if before is not None else None
    if before is not None and before.kind is after.kind and (before.size, before.key) == (after.size, after.key):
        return Step(Action.ATTRIBUTES, path, before, after)
    if before is not None and before.kind is after.kind is Kind.DIR:
        return Step(Action.ATTRIBUTES, path, before, after)
    return Step(Action.WRITE, path, before, after)


def _was(reason: Reason) -> str:
    return f"it was {reason} then" if reason is Reason.IGNORED else f"then: {reason}"


def _spare_above(steps: dict[str, Step], path: str) -> None:
    """A directory cannot go, nor become a file, while something in it stays."""
    for above in ancestors(path):
        step = steps.get(above)
        if step is None or step.action is Action.KEEP:
            continue
        became_other = step.after is not None and step.after.kind is not Kind.DIR
        if step.action is Action.DELETE or became_other:
            steps[above] = step._replace(action=Action.KEEP, reason=f"it is not empty: {path} stays")
