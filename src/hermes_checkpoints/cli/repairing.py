"""``repair``: what can be saved, the question, and what became of it."""

from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.integrity import (
    code,
    draw_found,
    failures_document,
    found_document,
    gathered,
    heading,
    print_found,
    subject_document,
    whose,
)
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import Mending
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.upkeep.findings import Repair, Repaired, Verified
from hermes_checkpoints.wording import harmless, portable, shown

RENAMED = "renamed"
# What is done, from the worst on: the word before, and the style.
WORDS = {
    Mending.LEFT_OUT.value: ("leave out", "bold red"),
    Mending.QUARANTINED.value: ("quarantine", "red"),
    RENAMED: ("rename", "yellow"),
    Mending.HEALED.value: ("heal", "green"),
    Mending.REBUILT.value: ("rebuild", "green"),
}
MEANINGS = {
    Mending.HEALED.value: "stored again from intact bytes",
    Mending.REBUILT.value: "made anew",
    Mending.LEFT_OUT.value: "lost, and left out of snapshots that get new ids",
    RENAMED: "under new ids, since they name such a snapshot",
    Mending.QUARANTINED.value: "put aside",
}


def repair(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Save what can be saved, after showing what that would be and a yes."""
    if asked.dry_run or not asked.yes:
        with screen.working("Looking for damage", counting="done"):
            plan = engine.upkeep.repair(dry_run=True, absent=asked.absent)
        if screen.json:
            answer = {"dry_run": True} if asked.dry_run else {"confirmed": False}
            screen.document(answer | {"plan": _document(plan, planned=True) | {"pessimistic": plan.pessimistic}})
        elif screen.terminal:
            _draw_plan(plan, screen)
        else:
            _print(plan, screen, planned=True)
        if asked.dry_run:
            return codes.DONE
        if not plan.done:
            return _code(plan)
        if not screen.confirmed("Repair?", "--yes"):
            return codes.UNCONFIRMED
    with screen.working("Repairing", counting="done"):
        done = engine.upkeep.repair(absent=asked.absent)
    if screen.json:
        screen.document(_document(done, planned=False) | {"after": found_document(_now(done))})
    elif screen.terminal:
        _draw_repaired(done, screen)
    else:
        _print(done, screen, planned=False)
    return _code(done)


def _now(done: Repaired) -> Verified:
    """What is damaged after a repair, or still, when there was nothing to do or nothing was to be done."""
    return done.after or done.before


def _code(done: Repaired) -> int:
    return code(_now(done)) or (codes.INCOMPLETE if done.undone else codes.DONE)


def _what(one: Repair) -> str:
    """What is done: a snapshot that only names one with a new id is replaced as well, and lacks nothing."""
    what = one.mended.what
    return RENAMED if what is Mending.LEFT_OUT and not one.mended.path else what.value


def _word(one: Repair, *, planned: bool) -> str:
    return WORDS[_what(one)][0] if planned else _what(one)


# For programs.


def _print(done: Repaired, screen: Screen, *, planned: bool) -> None:
    for one in done.done:
        word = _word(one, planned=planned).replace(" ", "_")
        screen.columns(word, *whose(one), harmless(one.mended.how), one.mended.new_id or "-")
    for failure in done.undone:
        screen.columns("undone", shown(failure.path), harmless(failure.reason))
    for workspace in done.absent:
        screen.columns("absent", shown(str(workspace)))
    print_found(_now(done), screen)


def _document(done: Repaired, *, planned: bool) -> dict[str, Any]:
    return {
        "before": found_document(done.before),
        "repairs": [_repair_document(one, _word(one, planned=planned)) for one in done.done],
        "undone": failures_document(done.undone),
        "absent": [portable(str(workspace)) for workspace in done.absent],
    }


def _repair_document(one: Repair, word: str) -> dict[str, Any]:
    how = {"how": portable(one.mended.how), "new_id": one.mended.new_id or None}
    return {"repair": word.replace(" ", "_")} | subject_document(one) | how


# For eyes.


def _draw_plan(plan: Repaired, screen: Screen) -> None:
    if not plan.before.damaged:
        draw_found(plan.before, screen)
        return
    _draw_repairs(plan, screen, planned=True)
    if not plan.done:
        screen.line("Nothing of what is damaged can be repaired now; `hermes-checkpoints verify` names it.", "bold red")
    if plan.pessimistic:
        screen.line("More may come back than this says: only what is made anew shows what else is whole.", "dim")


def _draw_repaired(done: Repaired, screen: Screen) -> None:
    """All of it, though a plan was shown: more may have come back than that said."""
    _draw_repairs(done, screen, planned=False)
    if {one.mended.what for one in done.done} & {Mending.LEFT_OUT, Mending.QUARANTINED}:
        screen.line("What was damaged takes its space until the next `hermes-checkpoints maintain`.")
    draw_found(_now(done), screen)
    if done.after is not None and done.after.damaged:
        screen.line("Not all of it could be repaired; repeating it does no harm, and may do more.", "yellow")


def _draw_repairs(done: Repaired, screen: Screen, *, planned: bool) -> None:
    in_order = sorted(done.done, key=lambda one: [*WORDS].index(_what(one)))
    grouped = gathered(in_order, lambda one: (one.part, one.workspace, one.mended.path, one.mended.how, _what(one)))
    screen.some([(_item(group, planned=planned), WORDS[_what(group[0])][1]) for group in grouped])
    for failure in done.undone:
        screen.line(f"not done: {shown(failure.path)}: {harmless(failure.reason)}", "bold red")
    for workspace in done.absent:
        advice = " If it is on a volume, mount that first." if planned else ""
        told = f"{shown(str(workspace))} is not there, or empty: its own files cannot make up for what is damaged."
        screen.line(told + advice, "yellow")
    counts = Counter(map(_what, done.done))
    told = ", ".join(f"{counts[what]} {meaning}" for what, meaning in MEANINGS.items() if counts[what])
    if told:
        screen.line(f"{'Would be' if planned else 'Done'}: {told}.", "bold")


def _item(group: Sequence[Repair], *, planned: bool) -> str:
    one = group[0]
    path = f"  {shown(one.mended.path)}" if one.mended.path else ""
    new = f"  (now {one.mended.new_id[:10]})" if one.mended.new_id and not planned and len(group) == 1 else ""
    return f"  {_word(one, planned=planned):<12} {heading(group)}{path}: {harmless(one.mended.how)}{new}"
