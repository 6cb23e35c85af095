"""Which directory is protected when Hermes is about to write a file."""

from pathlib import Path

from hermes_checkpoints.contract import Place
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.records import read_record

MARKERS = (".git", "pyproject.toml", "package.json", "Cargo.toml", "go.mod", "Makefile", "pom.xml", ".hg", "Gemfile")
"""What the top directory of a project holds."""


def directory_for(path: Path, engine: Engine, home: Path) -> Path:
    """The workspace of a resolved path.

    A known workspace around it; else the nearest directory above that looks
    like a project, below the home directory; else the directory that it is in,
    or where that is not there yet, the nearest one that is.
    """
    start = path if path.is_dir() else path.parent
    too_wide = {home, *home.parents}
    known = engine.enclosing(start)
    place = Place(engine.settings.store, known)
    if known not in too_wide and read_record(place.store, place.workspace_id) is not None:
        return known
    for directory in (start, *start.parents):
        if directory in too_wide:
            break
        if any((directory / marker).exists() for marker in MARKERS):
            return directory
    there = nearest_directory(start)
    return start if there in too_wide else there


def nearest_directory(path: Path) -> Path:
    """The path, or the nearest directory above it that is there."""
    return next(directory for directory in (path, *path.parents) if directory.is_dir())
