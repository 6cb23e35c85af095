"""Every failure that a caller may meet, drawn once.

::

    CheckpointError                 anything this package raises on purpose
    ├── StoreError                  the store is the matter
    │   ├── StoreRefused            not ours to use: other owner, open to others, unknown format version
    │   ├── StoreDamaged            something that was stored is missing or has other bytes
    │   └── StoreBusy               another process held the lock longer than we wait
    ├── BackendError                a backend is the matter
    │   ├── UnknownBackend          no installed package offers that name
    │   ├── BrokenBackend           installed, and does not load: duplicate, import error, misspelt hook, wrong name
    │   └── BackendUnusable         loads, and cannot serve this directory
    ├── SnapshotNotFound            no snapshot of this workspace has that id
    │   └── AmbiguousId             several have
    ├── PathNotFound                the snapshot holds nothing under that path
    ├── InvalidPath                 not a relative path inside the workspace
    ├── WorkspaceError              the workspace could not be read or written
    └── RestoreRefused              nothing was changed, and why

A message says what happened, what was left untouched, and what to do. Foreign
errors (``OSError``, a git failure) cross into this tree where a backend or the
kit meets them, with the cause chained.
"""


class CheckpointError(Exception):
    """Anything this package raises on purpose."""


class StoreError(CheckpointError):
    """The store could not be used."""


class StoreRefused(StoreError):
    """The store is not ours to use; nothing in it was touched."""


class StoreDamaged(StoreError):
    """Something stored is missing or differs from what was stored."""


class StoreBusy(StoreError):
    """Another process held a lock for longer than we wait; trying again is safe."""


class BackendError(CheckpointError):
    """A backend could not be chosen, loaded or used."""


class UnknownBackend(BackendError):
    """No installed package offers a backend of that name."""


class BrokenBackend(BackendError):
    """A backend is installed but cannot be loaded."""


class BackendUnusable(BackendError):
    """The backend loads but cannot serve this directory."""


class SnapshotNotFound(CheckpointError):
    """No snapshot of this workspace has that id."""


class AmbiguousId(SnapshotNotFound):
    """The abbreviated id fits more than one snapshot of this workspace."""


class PathNotFound(CheckpointError):
    """The snapshot holds nothing under that path."""


class InvalidPath(CheckpointError):
    """The path is not a relative path inside the workspace."""


class WorkspaceError(CheckpointError):
    """The workspace could not be read or written."""


class RestoreRefused(CheckpointError):
    """A restore was not begun; the workspace is as it was."""
