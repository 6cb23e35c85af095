"""What the arguments and options of a command line mean, and how their values are read."""

import argparse
import re
from collections.abc import Mapping
from typing import Any

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


def _count(word: str) -> int:
    """How many; at least one."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", word):
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1 to 999999999")
    return int(word)


def _picture(word: str) -> str:
    """The name of a file in a format that plots are drawn in."""
    if not word.lower().endswith((".png", ".svg")):
        raise argparse.ArgumentTypeError(
            f"{word!r} is neither a PNG nor an SVG file: name one that ends in .png or .svg"
        )
    return word


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
    "--files": {"metavar": "N", "type": _count, "help": "measure a synthetic tree of so many files of 10 kB instead"},
    "--rounds": {"metavar": "N", "type": _count, "help": "how often each thing is measured (default: 7; slow ones 3)"},
    "--big-mb": {"metavar": "N", "type": _number, "help": "how large the big binary is (default: 64; 0: none)"},
    "--plot": {"metavar": "FILE", "type": _picture, "help": "draw what was measured, as PNG or SVG"},
}
EVERYWHERE: Mapping[str, Mapping[str, Any]] = {
    "--json": {**FLAG, "help": "print one JSON document"},
    "--store": {"metavar": "PATH", "help": "where snapshots live (default: $HERMES_HOME/checkpoints)"},
    "--backend": {
        "action": "append",
        "dest": "backends",
        "metavar": "NAME",
        "default": [],
        "help": "the backend that new snapshots go to; may be repeated for bench",
    },
    "--version": {**FLAG, "help": "print the version"},
}
