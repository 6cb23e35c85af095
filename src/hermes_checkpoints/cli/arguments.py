"""From the words of a command line to what is asked for.

Positional arguments are told apart from options here and not by argparse, which takes
``restore 3 --yes DIR`` for an error: it gives DIR its default at the first option.
Only the parser of the command that was asked for is built, since a hook runs ``snapshot``
at every tool call.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from hermes_checkpoints.cli import codes

PROGRAM = "hermes-checkpoints"


class UsageError(Exception):
    """The command was not understood; nothing was done."""


class Command(NamedTuple):
    """One command: what it takes, and the function that does it."""

    summary: str
    does: str
    """``module:function`` below ``hermes_checkpoints.cli``, imported when it is asked for."""
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("DIR",)
    options: tuple[str, ...] = ()

    def usage(self, name: str) -> str:
        words = [*self.required, *(f"[{word}]" for word in self.optional)]
        return " ".join([PROGRAM, name, "[options]", *words])


COMMANDS: Mapping[str, Command] = {
    "snapshot": Command("save the state of a directory", "taking:snapshot", options=("-m",)),
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
        options=("--path", "--dry-run", "--yes", "--times", "--setuid"),
    ),
    "undo": Command("take the last restore back", "restoring:undo", options=("--dry-run", "--yes", "--times")),
    "redo": Command("do it again", "restoring:redo", options=("--dry-run", "--yes", "--times")),
    "cat": Command("the content of one file of a snapshot", "comparing:cat", ("ID", "PATH")),
    "export": Command("lay a snapshot out in a new directory", "comparing:export", ("ID", "TARGET")),
    "backends": Command("every backend found, and whether it can serve the directory", "surroundings:backends"),
    "status": Command("the store, its size, and the workspaces it knows", "surroundings:status", optional=()),
}

WORDS: Mapping[str, str] = {
    "ID": "a number from the list, a whole id or an unambiguous beginning of one",
    "PATH": "a path relative to the workspace, taken literally",
    "TARGET": "a directory that is empty or not there yet",
    "DIR": "the workspace; by default the known one around the current directory, else the current directory",
}

FLAG: Mapping[str, Any] = {"action": "store_true"}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "-m": {"dest": "reason", "metavar": "REASON", "default": "", "help": "why it is taken; shown in the list"},
    "--all": {**FLAG, "help": "of every workspace that the store knows"},
    "--stat": {**FLAG, "help": "only figures: lines added and removed"},
    "--path": {
        "action": "append",
        "dest": "paths",
        "metavar": "PATH",
        "default": [],
        "help": "only this path and what is below it; literal, relative to the workspace; may be repeated",
    },
    "--dry-run": {**FLAG, "help": "print what would be done, and do nothing"},
    "--yes": {**FLAG, "help": "do not ask"},
    "--times": {**FLAG, "help": "bring recorded modification times back as well"},
    "--setuid": {**FLAG, "help": "bring setuid and setgid bits back as well"},
}
EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "--json": {**FLAG, "help": "print one JSON document"},
    "--store": {"metavar": "PATH", "help": "where snapshots live (default: $HERMES_HOME/checkpoints)"},
    "--backend": {"metavar": "NAME", "help": "the backend that new snapshots go to"},
    "--version": {**FLAG, "help": "print the version"},
}


class _Parser(argparse.ArgumentParser):
    """Reads options; whatever else there is comes back as the rest."""

    def __init__(self, usage: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=PROGRAM,
            usage=usage,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for option, settings in EVERYWHERE.items():
            self.add_argument(option, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().rstrip()}")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What is asked for: ``command`` (``None`` for ``--version``), options, and ``id``, ``path``, ``target``, ``dir``.

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
    listed = "\n".join(f"  {name:<10}{command.summary}" for name, command in COMMANDS.items())
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
    taken = (*command.required, *command.optional)
    explained = "".join(f"\n  {word:<10}{WORDS[word]}" for word in taken)
    described = f"{command.summary[0].upper()}{command.summary[1:]}." + ("\n\narguments:" if taken else "") + explained
    parser = _Parser(command.usage(name), described, codes.explained())
    for option in command.options:
        parser.add_argument(option, **OPTIONS[option])
    end = words.index("--") if "--" in words else len(words)
    asked, rest = parser.parse_known_args(words[:end])
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if "" in (asked.store, asked.backend):  # an unset variable in a script, most likely
        parser.error("--store and --backend cannot be empty")
    asked.command = None if asked.version else name
    if asked.command:
        _positional(parser, command, asked, [*rest, *words[end + 1 :]])
    return asked


def _positional(parser: _Parser, command: Command, asked: argparse.Namespace, given: list[str]) -> None:
    taken = (*command.required, *command.optional)
    if len(given) < len(command.required):
        parser.error(f"missing: {', '.join(command.required[len(given) :])}")
    if len(given) > len(taken):
        parser.error(f"too many arguments: {' '.join(given[len(taken) :])}")
    # The one argument of `diff` is an id if it can be one, else a directory.
    skipped = command.optional == ("ID", "DIR") and len(given) == 1 and not looks_like_id(given[0])
    values = dict(zip(taken[1:] if skipped else taken, given, strict=False))
    for word in taken:
        value = values.get(word)
        if value == "" or (word == "ID" and value and value.startswith("-")):
            parser.error(f"{word} cannot be {value!r}")
        setattr(asked, word.lower(), value)


def looks_like_id(word: str) -> bool:
    """A number or 4 to 64 hex digits; a directory that is named like that is ``./1234``."""
    return re.fullmatch(r"[0-9]+|[0-9a-fA-F]{4,64}", word) is not None
