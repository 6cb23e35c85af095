"""Where a backend's files lie: in the store, or elsewhere when the workspace's filesystem matters to it."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from hermes_checkpoints.contract import Place, StoreError, StoreRefused
from hermes_checkpoints.kit.store.format import FORMAT_FILE
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish

_NOTES = "elsewhere"


def find_home(place: Place, name: str, asked: str | None) -> Path:
    """The directory for a backend's files.

    Where this workspace's were put before; else, for a workspace that has none
    in the store, the directory ``asked`` for; else the store. Raises
    ``StoreRefused`` when they were put on a filesystem that is not there now.
    """
    usual = place.store / name
    try:
        noted = Path(os.fsdecode(read_plain(_note(usual, place))))
    except FileNotFoundError:
        if not asked or (usual / "snapshots" / place.workspace_id).is_dir():
            return usual
        store = hashlib.sha256(os.fsencode(place.store)).hexdigest()[:16]  # several stores may name one directory
        return Path(os.path.realpath(asked)) / name / store
    except OSError as error:
        raise StoreError(f"cannot read {_note(usual, place)}: {error.strerror}. Nothing was changed.") from error
    if not (noted / FORMAT_FILE).is_file():
        raise StoreRefused(
            f"the snapshots of {place.workspace} are in {noted}, which is not there now. Nothing was changed; "
            f"mount it, or remove {_note(usual, place)} to give them up."
        )
    return noted


def remember_home(place: Place, name: str, home: Path) -> None:
    """Note a home outside the store, so that its snapshots are found whatever is asked for later."""
    usual = place.store / name
    note = _note(usual, place)
    if home == usual or note.exists():
        return
    private_directory(usual)
    publish(note, os.fsencode(home), scratch=private_directory(note.parent))


def noted_homes(place: Place) -> Iterator[Path]:
    """The homes outside the store of every backend that serves this workspace."""
    try:
        for note in place.store.glob(f"*/{_NOTES}/{place.workspace_id}"):
            yield Path(os.fsdecode(read_plain(note)))
    except OSError as error:
        raise StoreError(f"cannot read {place.store}: {error.strerror}. Nothing was changed.") from error


def _note(usual: Path, place: Place) -> Path:
    return usual / _NOTES / place.workspace_id
