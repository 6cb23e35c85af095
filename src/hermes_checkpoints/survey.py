"""The store as a whole: which workspaces it knows, and what they take."""

from pathlib import Path

from hermes_checkpoints.contract import Usage
from hermes_checkpoints.opening import Opener
from hermes_checkpoints.records import read_record, records
from hermes_checkpoints.results import Status, WorkspaceStatus


def survey(opener: Opener) -> Status:
    """Disk usage by backend, and every workspace on record."""
    usage: dict[str, Usage] = {}
    known = []
    for record in records(opener.settings.store):
        backends = list(opener.holders(opener.place(record.workspace)))
        usage |= {backend.name: backend.usage() for backend in backends if backend.name not in usage}
        count = sum(1 for backend in backends for _ in backend.snapshots())
        exists = record.workspace.is_dir()
        known.append(WorkspaceStatus(record.workspace, exists, record.backends, count, record.last_touch))
    return Status(opener.settings.base, usage, known)


def enclosing(opener: Opener, directory: Path) -> Path:
    """The nearest known workspace at or above a resolved directory, else the directory itself."""
    for candidate in (directory, *directory.parents):
        if read_record(opener.settings.store, opener.place(candidate).workspace_id) is not None:
            return candidate
    return directory
