"""Which known workspace a directory belongs to."""

from pathlib import Path

from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import read_record


def enclosing(opener: Opener, directory: Path) -> Path:
    """The nearest known workspace at or above a resolved directory, else the directory itself."""
    for candidate in (directory, *directory.parents):
        if read_record(opener.settings.store, opener.place(candidate).workspace_id) is not None:
            return candidate
    return directory
