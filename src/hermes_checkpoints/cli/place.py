"""Which workspace, and which paths of it, a command is about."""

import os
from argparse import Namespace
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.cli.arguments import UsageError
from hermes_checkpoints.settings import hermes_home

if TYPE_CHECKING:
    from hermes_checkpoints.engine import Engine


def follow_profile(environ: MutableMapping[str, str]) -> None:
    """Go to the home of the profile that `hermes profile use` made the usual one, as `hermes` itself does."""
    root = hermes_home(environ)
    if root.parent.name == "profiles":
        return
    try:
        name = (root / "active_profile").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return
    if name not in ("", "default") and os.path.basename(name) == name and (root / "profiles" / name).is_dir():
        environ["HERMES_HOME"] = str(root / "profiles" / name)


def workspace_of(asked: Namespace, engine: "Engine") -> Path:
    """DIR if it was given, else the known workspace around the current directory, else that directory."""
    if asked.dir is not None:
        return Path(os.path.realpath(asked.dir))
    try:
        here = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the current directory is gone; say which DIR is meant") from error
    return engine.enclosing(here)


def inside(workspace: Path, path: str) -> str:
    """A literal path relative to the workspace; an absolute one is made relative, a slash at the end is dropped.

    Whether the rest is a path that can be is for the engine to say.
    """
    given = path
    if path.startswith("/"):
        # The last component is not resolved: it may be a symlink that is itself what is meant.
        parent, name = os.path.split(path.rstrip("/"))
        path = os.path.relpath(os.path.join(os.path.realpath(parent or "/"), name), workspace)
        if path == ".." or path.startswith("../"):
            raise UsageError(f"{given!r} is outside the workspace {str(workspace)!r}")
        if path == ".":
            raise UsageError(f"{given!r} is the workspace itself; a path inside it is wanted")
        return path
    return path.rstrip("/")


def selection(workspace: Path, paths: Sequence[str]) -> list[str]:
    """What ``--path`` selects."""
    return [inside(workspace, path) for path in paths]
