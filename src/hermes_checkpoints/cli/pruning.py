"""``prune``: the plan, the question, and how much came back."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.maintaining import draw_rest, print_reclaimed, reclaimed_document
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.policy.budget import Pruning, Removal
from hermes_checkpoints.results import Pruned, Reclaimed
from hermes_checkpoints.wording import counted, harmless, portable, shown, size, when

_MB = 1 << 20


def prune(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Forget what is beyond the limits, exactly what was shown, and give its space back."""
    most = None if asked.max_size_mb is None else int(asked.max_size_mb * _MB)
    with screen.working("Measuring"):
        plan = engine.upkeep.plan(
            retention_days=asked.retention_days, max_total_size=most, orphans=not asked.keep_orphans
        )
    if asked.dry_run or not asked.yes:
        if screen.json:
            answer = {"dry_run": True} if asked.dry_run else {"confirmed": False}
            screen.document(answer | {"plan": _plan_document(plan)})
        elif screen.terminal:
            _draw_plan(plan, screen)
        else:
            _print_plan(plan, screen)
        if asked.dry_run or (screen.can_ask and not plan.removals):
            return codes.DONE
        if not screen.confirmed("Prune?", "--yes"):
            return codes.UNCONFIRMED
    with screen.working("Pruning", counting="done"):
        pruned, reclaimed = engine.upkeep.prune(plan)
    if screen.json:
        screen.document(_pruned_document(plan, pruned, reclaimed))
    elif screen.terminal:
        if asked.yes:
            _draw_removals(pruned.done, screen)
        _draw_pruned(plan, pruned, reclaimed, screen)
    else:
        _print_pruned(plan, pruned, reclaimed, screen)
    return codes.DONE if reclaimed.complete and not (pruned.failed or reclaimed.troubles) else codes.INCOMPLETE


# The plan.


def _in_order(removals: Sequence[Removal]) -> list[Removal]:
    """Loud ones first: they must not be missed, nor be among those that a long list cuts."""
    return sorted(removals, key=lambda removal: not removal.loud)


def _plan_document(plan: Pruning) -> dict[str, Any]:
    return {
        "size": plan.size,
        "size_after": plan.size_after,
        "allowed": plan.allowed,
        "shortfall": plan.shortfall,
        "removals": [_removal_document(removal) for removal in plan.removals],
    }


def _removal_document(removal: Removal) -> dict[str, Any]:
    return {
        "workspace": portable(str(removal.workspace)) if removal.workspace is not None else None,
        "archive": portable(str(removal.archive.path)) if removal.archive is not None else None,
        "snapshots": [one.id for one in removal.snapshots],
        "gives_back": removal.gives_back,
        "reason": portable(removal.reason),
        "loud": removal.loud,
    }


def _print_plan(plan: Pruning, screen: Screen) -> None:
    for removal in _in_order(plan.removals):
        screen.columns("archive" if removal.archive is not None else "forget", *_cells(removal))
    screen.columns("size", plan.size, plan.size_after, plan.allowed, plan.shortfall)


def _cells(removal: Removal) -> tuple[object, ...]:
    ids = ",".join(one.id for one in removal.snapshots) or "-"
    loud = "loud" if removal.loud else "-"
    return ids, shown(str(removal.subject)), removal.gives_back, loud, harmless(removal.reason)


def _draw_removals(removals: Sequence[Removal], screen: Screen) -> None:
    screen.some([(_item(one), "bold red" if one.loud else "") for one in _in_order(removals)])


def _draw_plan(plan: Pruning, screen: Screen) -> None:
    _draw_removals(plan.removals, screen)
    if not plan.removals:
        screen.line("Nothing to forget.")
    else:
        about = f"from {size(plan.size)} to about {size(plan.size_after)}"
        screen.line(f"{_counts(plan.removals)} to go: {about}", "bold")
    if any(removal.loud for removal in plan.removals):
        screen.line(
            "What stands first, in red, nobody would expect: a pin or a larger --max-size-mb keeps it.", "bold red"
        )
    _draw_shortfall(plan.shortfall, screen)


def _draw_shortfall(shortfall: int, screen: Screen) -> None:
    if shortfall:
        screen.line(
            f"The store stays {size(shortfall)} over what is allowed: pinned snapshots and the newest one are what is"
            " left. Raise the limit (max_total_size_mb in config.toml), or unpin.",
            "yellow",
        )


def _item(removal: Removal) -> str:
    if removal.archive is not None:
        what = "archive "
    else:
        first, *more = removal.snapshots
        what = f"{first.short_id}{f' and {len(more)} more' if more else ''}, {when(first.created_ns)}, of "
    mark = "!" if removal.loud else " "
    return f"{mark} {size(removal.gives_back):>9}  {what}{shown(str(removal.subject))}: {harmless(removal.reason)}"


def _counts(removals: Sequence[Removal]) -> str:
    snapshots = sum(len(removal.snapshots) for removal in removals)
    kept_aside = sum(removal.archive is not None for removal in removals)
    return counted(snapshots, "snapshot") + (f" and {counted(kept_aside, 'archive')}" if kept_aside else "")


# What came of it.


def _pruned_document(plan: Pruning, pruned: Pruned, reclaimed: Reclaimed) -> dict[str, Any]:
    return {
        "removed": [_removal_document(removal) for removal in pruned.done],
        "failed": [{"subject": portable(one.path), "reason": portable(one.reason)} for one in pruned.failed],
        "size": reclaimed.before,
        "size_planned": plan.size_after,
        "size_after": reclaimed.after,
        "allowed": plan.allowed,
        "shortfall": _over(plan, reclaimed.after),
        "reclaimed": reclaimed_document(reclaimed),
    }


def _print_pruned(plan: Pruning, pruned: Pruned, reclaimed: Reclaimed, screen: Screen) -> None:
    for removal in pruned.done:
        screen.columns("removed" if removal.archive is not None else "forgotten", *_cells(removal))
    for one in pruned.failed:
        screen.columns("failed", shown(one.path), harmless(one.reason))
    screen.columns("size", reclaimed.before, reclaimed.after, plan.allowed, _over(plan, reclaimed.after))
    print_reclaimed(reclaimed, screen)


def _draw_pruned(plan: Pruning, pruned: Pruned, reclaimed: Reclaimed, screen: Screen) -> None:
    screen.some([(f"  failed  {shown(one.path)}: {harmless(one.reason)}", "bold red") for one in pruned.failed])
    back, hoped = max(reclaimed.before - reclaimed.after, 0), plan.size - plan.size_after
    screen.line(
        f"{_counts(pruned.done)} forgotten for good: {size(back)} came back, about {size(hoped)} were expected;"
        f" {size(reclaimed.after)} are left",
        "bold green" if not pruned.failed else "bold red",
    )
    draw_rest(reclaimed, screen)
    over = _over(plan, reclaimed.after)
    if plan.shortfall or not over:
        _draw_shortfall(over, screen)
    else:
        screen.line(
            f"The store is still {size(over)} over what is allowed, more than was estimated. Prune again with a smaller"
            " --max-size-mb.",
            "yellow",
        )


def _over(plan: Pruning, after: int) -> int:
    return max(after - plan.allowed, 0) if plan.allowed else 0
