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

WORDS: Mapping[str, str] = {
    "ACTION": "status, enable or disable",
    "ID": "a number from the list, a whole id or an unambiguous beginning of one",
    "ID...": "one or more of them, of one workspace",
    "PATH": "a path relative to the workspace, taken literally",
    "TARGET": "a directory that is empty or not there yet",
    "DIR": "the workspace; by default the known one around the current directory, else the current directory",
}


def _number(word: str) -> float:
    """A size or a time; no sign, no infinity."""
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number from 0 to 999999999999, like 250 or 0.5")
    return float(word)


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
    "--continue": {**FLAG, "dest": "finish", "help": "finish a restore that was interrupted (without an ID)"},
    "--abort": {**FLAG, "help": "take an interrupted restore back (without an ID)"},
    "--label": {"metavar": "TEXT", "help": "pin the snapshot under this name"},
    "--dir": {"metavar": "DIR", "help": WORDS["DIR"]},
    "--retention-days": {
        "metavar": "N",
        "type": _number,
        "help": "workspaces not used for so many days are stale (0: never); instead of what config.toml says",
    },
    "--max-size-mb": {
        "metavar": "N",
        "type": _number,
        "help": "how large the store may be (0: as it likes); instead of what config.toml says",
    },
    "--keep-orphans": {**FLAG, "help": "keep what belongs to workspaces that are gone"},
    "--absent": {**FLAG, "help": "give up what is lost to workspaces that are not there, too"},
    "--quick": {**FLAG, "help": "do not read contents; look only whether they are there"},
    "-f": {**FLAG, "dest": "force", "help": "do not ask"},
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
    for option in ("store", "backend", "dir"):
        if vars(asked).get(option) == "":  # an unset variable in a script, most likely
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
