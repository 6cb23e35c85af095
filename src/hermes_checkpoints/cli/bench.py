"""``bench``: every backend measured on the filesystem of a directory, and which one to use there."""

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hermes_checkpoints import plugins
from hermes_checkpoints.bench import candidates, make_tree, run, scratch, verdict
from hermes_checkpoints.bench.candidates import Candidates
from hermes_checkpoints.bench.plot import check_plot, draw_plot
from hermes_checkpoints.bench.race import ROUNDS, SLOW_ROUNDS, steps
from hermes_checkpoints.bench.trees import Source
from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.arguments import UsageError
from hermes_checkpoints.cli.figures import Measured, draw, rows
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.contract import CheckpointError, Progress, Scope, silent
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.kit.walk.clock import filesystem_type
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.settings import home_directory
from hermes_checkpoints.wording import counted, harmless, portable, shown, size

MB = 1_000_000
_BIG_MB = 64
# Of the free space: what is left to others meanwhile.
_MAY_TAKE = 0.9


def bench(asked: Namespace, engine: Engine, screen: Screen) -> int:
    """Measure, and say what to use; the directory is only read, and the store's configuration says what belongs."""
    directory = _directory(asked)
    declined = None if asked.files else why_declined(directory, home=home_directory(os.environ), store=engine.base)
    if declined or not directory.is_dir():
        return _declined(screen, directory, declined or "it is not a directory")
    if asked.plot:
        check_plot(Path(asked.plot))
    with _signals_as_ctrl_c(), scratch(directory) as place:
        measured = _measured(asked, directory, place, engine.settings.scope, screen)
    if asked.plot and measured.results.backends:
        draw_plot(measured.results, measured.title, Path(asked.plot))
    if screen.json:
        screen.document(measured.document())
    elif screen.terminal:
        draw(measured, screen)
    else:
        for row in rows(measured):
            screen.columns(*row)
        screen.line(harmless(measured.verdict.sentence))
    return codes.INCOMPLETE if measured.results.failed else codes.DONE


def _declined(screen: Screen, directory: Path, reason: str) -> int:
    if screen.json:
        screen.document({"directory": portable(str(directory)), "declined": reason})
    else:
        screen.note(f"declined {shown(str(directory))}: {harmless(reason)}")
    return codes.DECLINED


def _directory(asked: Namespace) -> Path:
    try:
        return Path(os.path.realpath(asked.dir or Path.cwd()))
    except FileNotFoundError as error:
        raise UsageError("the current directory is gone; say which DIR is meant") from error


def _measured(asked: Namespace, directory: Path, place: Path, scope: Scope, screen: Screen) -> Measured:
    found = candidates(directory, place / "none", asked.backends)
    if not found.usable:
        whys = "; ".join(f"{name}: {why}" for name, why in found.unusable.items())
        raise CheckpointError(f"there is nothing to measure ({whys}).")
    rounds = asked.rounds or ROUNDS
    big = int((_BIG_MB if asked.big_mb is None else asked.big_mb) * MB)
    names, lanes = list(found.usable), place / "lanes"
    lanes.mkdir()
    with (
        _tree(asked, directory, place, scope, found, screen, big) as (lay_out, unread),
        _bar(screen, steps(len(names), rounds=rounds, big=big)) as progress,
    ):
        results = run(lanes, names, lay_out, rounds=rounds, big=big, scope=scope, progress=progress)
    if not results.backends:
        whys = "; ".join(f"{name}: {why}" for name, why in results.failed.items())
        raise CheckpointError(f"no backend could be measured ({whys}).")
    filesystem = filesystem_type(directory)
    told = verdict(results, found.default, filesystem, found.unusable)
    return Measured(directory, filesystem, bool(asked.files), rounds, unread, found, results, told)


@contextmanager
def _tree(
    asked: Namespace, directory: Path, place: Path, scope: Scope, found: Candidates, screen: Screen, big: int
) -> Iterator[tuple[Callable[[Path], object], int]]:
    """What fills a tree to measure, and how many paths of the directory could not be read for it."""
    lanes = len(found.usable)
    disk = os.statvfs(place)
    room = int(disk.f_bavail * disk.f_frsize * _MAY_TAKE)
    if asked.files:
        _check_room(room, lanes, asked.files * 10_000, big)
        yield lambda tree: make_tree(tree, asked.files), 0
        return
    backend = plugins.load(found.default)
    with screen.working(f"Copying {shown(str(directory))}"):
        source = Source.taken(directory, place / "source", backend, scope, room // (1 + 2 * lanes), screen.progress)
    try:
        _check_room(room, lanes, source.snapshot.size, big)
        if source.unread:
            screen.warn(
                f"{counted(source.unread, 'path')} of {directory} cannot be read, and is not in what is measured"
            )
        yield source.lay_out, source.unread
    finally:
        source.close()


def _check_room(room: int, lanes: int, tree: int, big: int) -> None:
    """A tree, and a store that neither compresses nor shares, for each backend."""
    needed = lanes * (2 * tree + (SLOW_ROUNDS + 2) * big)
    if needed > room:
        raise CheckpointError(
            f"this may take {size(needed)} of disk, and {size(room)} can be had. "
            "--files N measures a synthetic tree, --big-mb N a smaller big file (0: none)."
        )


@contextmanager
def _bar(screen: Screen, samples: int) -> Iterator[Progress]:
    """Shows how far it is, where a person looks at it; only between samples, so that none is disturbed by it."""
    if screen.json or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("Measuring", total=samples)
        yield lambda done: bar.update(task, completed=done, refresh=True)


@contextmanager
def _signals_as_ctrl_c() -> Iterator[None]:
    """A ``kill``, or a terminal that is closed, lets the scratch directory be removed."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    wanted = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for one in wanted:
        signal.signal(one, interrupt)
    try:
        yield
    finally:
        for one in wanted:
            signal.signal(one, signal.SIG_DFL)
