"""``maintain``: the space of what was forgotten given back, and the store kept below its budget."""

from argparse import Namespace
from typing import Any

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Reclaimed
from hermes_checkpoints.wording import counted, harmless, portable, size


def maintain(_asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Give back the space of what was forgotten, and forget more where the store still exceeds its budget."""
    with screen.working("Reclaiming", counting="done"):
        done = engine.upkeep.maintain()
    if screen.json:
        screen.document(reclaimed_document(done))
    elif screen.terminal:
        screen.line(f"{size(done.before)} before, {size(done.after)} after", "bold green")
        draw_rest(done, screen)
    else:
        print_reclaimed(done, screen)
    return codes.DONE if done.complete and not done.troubles else codes.INCOMPLETE


def reclaimed_document(done: Reclaimed) -> dict[str, Any]:
    """What getting space back came to, for JSON."""
    troubles = [portable(trouble) for trouble in done.troubles]
    figures = {"before": done.before, "after": done.after, "forgotten": done.forgotten}
    return figures | {"complete": done.complete, "troubles": troubles}


def print_reclaimed(done: Reclaimed, screen: Screen) -> None:
    """Likewise for programs."""
    for trouble in done.troubles:
        screen.columns("trouble", harmless(trouble))
    if done.forgotten:
        screen.columns("forgotten", done.forgotten)
    screen.columns("reclaimed", done.before, done.after, "complete" if done.complete else "incomplete")


def draw_rest(done: Reclaimed, screen: Screen) -> None:
    """For eyes: what went for it, and what could not be given back."""
    if done.forgotten:
        screen.line(f"{counted(done.forgotten, 'snapshot')} forgotten for room; `status` says which.", "yellow")
    for trouble in done.troubles:
        screen.line(f"  {harmless(trouble)}", "bold red")
    if not done.complete:
        screen.line("Not all of the space could be given back now; `hermes-checkpoints maintain` goes on.", "yellow")
