"""``hermes-checkpoints``: understand, do, and say in the exit code how it went."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.arguments import COMMANDS, PROGRAM, UsageError, parse
from hermes_checkpoints.cli.place import follow_profile
from hermes_checkpoints.cli.screen import Screen, leave_stdout
from hermes_checkpoints.wording import harmless

if TYPE_CHECKING:
    from hermes_checkpoints.engine import Engine

    Run = Callable[[argparse.Namespace, Engine, Screen], int]

INTERRUPTED = {
    "restore": "no file is half written; `restore --continue` finishes what was begun, `restore --abort` takes it back",
    "export": "what was laid out so far stays in the target, and no file in it is half written",
    "forget": "a snapshot is forgotten whole or not at all; `list` shows what is left",
    "purge": "no snapshot is lost; repeat the command, for the content may still be there",
    "prune": "what was forgotten is gone, all else is as it was; `maintain` gives the space back",
    "maintain": "nothing is lost; the next one goes on from here",
    "verify": "nothing was changed; the next one begins anew",
    "repair": "what was mended is mended, all else is as it was; repeat the command",
    "hermes": "each setting is as it was or as it should be; repeat the command",
    "bench": "its scratch directory is gone, and nothing else was touched",
    "clear": "what was removed so far is gone for good; repeat the command for the rest",
}
INTERRUPTED["clear-legacy"] = INTERRUPTED["clear"]
INTERRUPTED |= dict.fromkeys(("undo", "redo"), INTERRUPTED["restore"])


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (see ``codes``). Prints, and never raises what a user can cause."""
    words = sys.argv[1:] if words is None else words
    screen = Screen(json="--json" in words[: words.index("--") if "--" in words else None])
    try:
        code = _run(words, screen)
        sys.stdout.flush()  # here, where a full disk is still an error of ours
    except UsageError as error:
        return _failed(screen, codes.USAGE, "UsageError", str(error))
    except BrokenPipeError:
        leave_stdout()
        return codes.BROKEN_PIPE
    except KeyboardInterrupt:
        command = next((word for word in words if word in COMMANDS), "")
        screen.note(f"\n{PROGRAM}: interrupted; {INTERRUPTED.get(command, 'nothing was left half done')}")
        return codes.INTERRUPTED
    except OSError as error:
        return _failed(screen, codes.FAILED, type(error).__name__, str(error))
    return code


def _run(words: Sequence[str], screen: Screen) -> int:
    try:
        asked = parse(words)
    except SystemExit:  # argparse has printed --help
        return codes.DONE
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a locale that lacks a letter must not end the command
            stream.reconfigure(errors="backslashreplace")
    if asked.command is None:
        from importlib.metadata import version

        screen.line(f"{PROGRAM} {version(PROGRAM)}")
        return codes.DONE
    follow_profile(os.environ)
    module, _, function = COMMANDS[asked.command].does.partition(":")
    run: Run = getattr(import_module(f"hermes_checkpoints.cli.{module}"), function)
    from hermes_checkpoints.contract import CheckpointError
    from hermes_checkpoints.engine import Engine

    try:
        with (
            _warnings_told(screen),
            Engine(store=asked.store, backend=asked.backend, progress=screen.progress) as engine,
        ):
            return run(asked, engine, screen)
    except CheckpointError as error:
        return _failed(screen, _code(error), type(error).__name__, str(error))


@contextmanager
def _warnings_told(screen: Screen) -> Iterator[None]:
    """Have what the engine warns of told on standard error, names in it made harmless."""
    import logging

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            screen.warn(record.getMessage())

    log, told = logging.getLogger("hermes_checkpoints"), Told(logging.WARNING)
    log.addHandler(told)
    try:
        yield
    finally:
        log.removeHandler(told)


def _code(error: Exception) -> int:
    from hermes_checkpoints.contract import InvalidPath, PathNotFound, SnapshotNotFound, StoreBusy

    if isinstance(error, StoreBusy):
        return codes.BUSY
    if isinstance(error, SnapshotNotFound | PathNotFound):
        return codes.NOT_FOUND
    if isinstance(error, InvalidPath):
        return codes.USAGE
    return codes.FAILED


def _failed(screen: Screen, code: int, kind: str, message: str) -> int:
    """Tell what went wrong: on standard error for people, and as the document for programs."""
    told = "\n".join(harmless(line) for line in message.splitlines())
    with suppress(OSError):  # nobody can be told; the code still says it
        screen.note(f"{PROGRAM}: {told}")
    with suppress(OSError):
        if screen.json:
            screen.document({"error": {"kind": kind, "message": message}})
    return code
