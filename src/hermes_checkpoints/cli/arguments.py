"""From the words of a command line to what is asked for.

Positional arguments are told apart from options here and not by argparse, which takes
``restore 3 --yes DIR`` for an error: it gives DIR its default at the first option.
Only the parser of the command that was asked for is built, since a hook runs ``snapshot``
at every tool call.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, NoReturn

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.options import EVERYWHERE, OPTIONS, WORDS

PROGRAM = "hermes-checkpoints"


class UsageError(Exception):
    """The command was not understood; nothing was done."""


class Command(NamedTuple):
    """One command: what it takes, and the function that does it."""

    summary: str
    does: str
    """``module:function`` below ``hermes_checkpoints.cli``, imported when it is asked for."""
    required: tuple[str, ...] = ()
    """The last one may be ``ID...``: as many as there are, at least one."""
    optional: tuple[str, ...] = ("DIR",)
    options: tuple[str, ...] = ()

    @property
    def taken(self) -> tuple[str, ...]:
        """The positional arguments, in their order."""
        return (*self.required, *self.optional)

    def usage(self, name: str) -> str:
        words = [*self.required, *(f"[{word}]" for word in self.optional)]
        return " ".join([PROGRAM, name, "[options]", *words])


COMMANDS: Mapping[str, Command] = {
    "snapshot": Command("save the state of a directory", "taking:snapshot", options=("-m", "--label")),
    "list": Command("the snapshots, newest first, numbered from 1", "taking:list_", options=("--all",)),
    "show": Command("what a snapshot holds, and what it left out and why", "taking:show", ("ID",)),
    "diff": Command(
        "how the directory differs from a snapshot",
        "comparing:diff",
        optional=("ID", "DIR"),
        options=("--stat", "--path"),
    ),
    "restore": Command(
        "put the directory, or paths of it, back as a snapshot has them",
        "restoring:restore",
        ("ID",),
        options=("--path", "--dry-run", "--yes", "--times", "--setuid", "--continue", "--abort"),
    ),
    "undo": Command("take the last restore back", "restoring:undo", options=("--dry-run", "--yes", "--times")),
    "redo": Command("do it again", "restoring:redo", options=("--dry-run", "--yes", "--times")),
    "cat": Command("the content of one file of a snapshot", "comparing:cat", ("ID", "PATH")),
    "export": Command("lay a snapshot out in a new directory", "comparing:export", ("ID", "TARGET")),
    "backends": Command("every backend found, and whether it can serve the directory", "surroundings:backends"),
    "bench": Command(
        "which backend to use on a directory's filesystem, measured",
        "bench:bench",
        options=("--files", "--rounds", "--big-mb", "--plot"),
    ),
    "status": Command("the store, its size and budget, and what holds how much of it", "status:status"),
    "pin": Command("keep a snapshot until it is unpinned", "keeping:pin", ("ID",), options=("--label",)),
    "unpin": Command("let a pinned snapshot go with the others", "keeping:unpin", ("ID",)),
    "forget": Command("remove snapshots for good", "keeping:forget", ("ID...",), optional=(), options=("--dir",)),
    "purge": Command("take a path out of every snapshot, for good", "purging:purge", ("PATH",), options=("--yes",)),
    "prune": Command(
        "forget what is beyond the limits, and give the space back",
        "pruning:prune",
        optional=(),
        options=("--retention-days", "--max-size-mb", "--keep-orphans", "--dry-run", "--yes"),
    ),
    "maintain": Command("give space back, and keep the store below its budget", "maintaining:maintain", optional=()),
    "verify": Command("look for damage in the store", "integrity:verify", options=("--quick",)),
    "repair": Command(
        "save what can be saved of a damaged store",
        "repairing:repair",
        optional=(),
        options=("--absent", "--dry-run", "--yes"),
    ),
    "clear": Command("remove every snapshot of every workspace", "clearing:clear", optional=(), options=("-f",)),
    "clear-legacy": Command(
        "remove the archives of Hermes's old checkpoints", "clearing:clear_legacy", optional=(), options=("-f",)
    ),
    "hermes": Command("Hermes Agent's protection: is it there, switch it on or off", "hermes:hermes", ("ACTION",)),
}


class _Parser(argparse.ArgumentParser):
    """Reads options; whatever else there is comes back as the rest."""

    def __init__(self, usage: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=PROGRAM,
            usage=usage,
            description=description,
            epilog=epilog,
            formatter_class=partial(argparse.HelpFormatter, width=80),  # else each option asks for the terminal's
            allow_abbrev=False,
        )
        for option, settings in EVERYWHERE.items():
            self.add_argument(option, **settings)

    def format_help(self) -> str:
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What is asked for: ``command`` (``None`` for ``--version``), options, and ``id``, ``path``, ``target``, ``dir``.

    ``backends`` are all that were named, ``backend`` is the last of them or ``None``.
    Positional arguments that were not given are ``None``. Raises ``UsageError``;
    ``--help`` prints and raises ``SystemExit``.
    """
    at = _command_at(words)
    if at is None:
        return _without_command(words)
    name = words[at]
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}; there are {', '.join(COMMANDS)}")
    return _with_command(name, [*words[:at], *words[at + 1 :]])


def _command_at(words: Sequence[str]) -> int | None:
    """Where the command stands: the first word that is neither an option nor an option's value."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in ("--store", "--backend") else 1
    return at if at < len(words) else None


def _without_command(words: Sequence[str]) -> argparse.Namespace:
    listed = "\n".join(f"  {name:<14}{command.summary}" for name, command in COMMANDS.items())
    parser = _Parser(
        f"{PROGRAM} [options] COMMAND ...",
        f"Snapshots of a directory, and the way back.\n\ncommands ({PROGRAM} COMMAND --help says more):\n{listed}",
        codes.explained(),
    )
    asked, rest = parser.parse_known_args(words)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if not asked.version:
        parser.error("a command is missing")
    asked.command = None
    return asked


def _with_command(name: str, words: Sequence[str]) -> argparse.Namespace:
    command = COMMANDS[name]
    explained = "".join(f"\n  {word:<10}{_meaning(name, word)}" for word in command.taken)
    arguments = f"\n\narguments:{explained}" if explained else ""
    described = f"{command.summary[0].upper()}{command.summary[1:]}.{arguments}"
    parser = _Parser(command.usage(name), described, codes.explained())
    for option in command.options:
        parser.add_argument(option, **OPTIONS[option])
    end = words.index("--") if "--" in words else len(words)
    asked, rest = parser.parse_known_args(words[:end])
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    asked.backend = asked.backends[-1] if asked.backends else None
    for option in ("store", "backend", "dir"):
        if vars(asked).get(option) == "" or (
            option == "backend" and "" in asked.backends
        ):  # an unset variable in a script, most likely
            parser.error(f"--{option} cannot be empty")
    asked.command = None if asked.version else name
    if asked.command == "restore" and (asked.finish or asked.abort):
        command = _resuming(parser, command, asked)
    if asked.command:
        _positional(parser, command, asked, [*rest, *words[end + 1 :]])
    return asked


def _resuming(parser: _Parser, command: Command, asked: argparse.Namespace) -> Command:
    """``restore --continue`` and ``restore --abort``: what is restored, and how, was said before."""
    if asked.finish and asked.abort:
        parser.error("--continue and --abort exclude each other")
    if asked.paths or asked.times or asked.setuid:
        parser.error("what is restored, and how, was said when the restore was begun")
    return command._replace(required=())


def _meaning(command: str, word: str) -> str:
    if (command, word) == ("status", "DIR"):
        return "a workspace that the store knows: its snapshots are listed, too"
    if (command, word) == ("bench", "DIR"):
        return "what is measured, by a copy of it, on its own filesystem; by default the current directory"
    if (command, word) == ("verify", "DIR"):
        return "a workspace that the store knows: only what its snapshots may lean on is looked at"
    return WORDS[word]


def _positional(parser: _Parser, command: Command, asked: argparse.Namespace, given: list[str]) -> None:
    taken = command.taken
    if len(given) < len(command.required):
        parser.error(f"missing: {', '.join(command.required[len(given) :])}")
    if taken == ("ID...",):
        asked.ids = given
        for word in given:
            _check_id(parser, word)
        return
    if len(given) > len(taken):
        parser.error(f"too many arguments: {' '.join(given[len(taken) :])}")
    # The one argument of `diff` is an id if it can be one, else a directory.
    skipped = command.optional == ("ID", "DIR") and len(given) == 1 and not looks_like_id(given[0])
    values = dict(zip(taken[1:] if skipped else taken, given, strict=False))
    for word in taken:
        value = values.get(word)
        if value == "":
            parser.error(f"{word} cannot be {value!r}")
        if word == "ID" and value:
            _check_id(parser, value)
        setattr(asked, word.lower(), value)


def _check_id(parser: _Parser, word: str) -> None:
    if not word or word.startswith("-"):
        parser.error(f"ID cannot be {word!r}")


def looks_like_id(word: str) -> bool:
    """A number or 4 to 64 hex digits; a directory that is named like that is ``./1234``."""
    return re.fullmatch(r"[0-9]+|[0-9a-fA-F]{4,64}", word) is not None
