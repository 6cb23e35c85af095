"""Where the clones lie: in the store, or on the workspace's filesystem where the store is on another one."""

import os
from pathlib import Path

from hermes_checkpoints.contract import Place, StoreError
from hermes_checkpoints.kit import private_directory, publish

VARIABLE = "HERMES_CHECKPOINT_COW_DIR"


def find_home(place: Place, name: str) -> Path:
    """The directory for clones: what the environment says, else where they were put before, else the store."""
    asked = os.environ.get(VARIABLE)
    if asked:
        return Path(os.path.realpath(asked)) / name
    try:
        noted = _note(place, name).read_bytes()
    except FileNotFoundError:
        return place.store / name
    except OSError as error:
        raise StoreError(f"cannot read {_note(place, name)}: {error.strerror}. Nothing was changed.") from error
    return Path(os.fsdecode(noted))


def remember_home(place: Place, name: str, home: Path) -> None:
    """Note a home outside the store, so that its snapshots are found when the variable is not set."""
    note = _note(place, name)
    if home == place.store / name or note.exists():
        return
    private_directory(place.store / name)
    directory = private_directory(note.parent)
    publish(note, os.fsencode(home), scratch=directory)


def _note(place: Place, name: str) -> Path:
    return place.store / name / "elsewhere" / place.workspace_id
