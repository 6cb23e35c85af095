"""Where a bench works: a hidden directory on the filesystem that is measured, and nothing of it stays."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.bench.lane import remove
from hermes_checkpoints.contract import CheckpointError, StoreError
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.upkeep import background

PREFIX = ".hermes-checkpoints-bench-"
_LOCK = "lock"
# So long after it was made, a directory's owner has locked it.
_LOCKED_BY_THEN = 60.0
# What would have engines work elsewhere, or have processes beside them.
_SETTINGS = {"HERMES_CHECKPOINT_COW_DIR": None, background.VARIABLE: "0"}


@contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory, mode 0700, on the filesystem of another one; removed at the end, whatever happens.

    It stands beside that one, or among temporary files, or, when neither is on
    that filesystem (at the top of a mount), inside. One that a killed bench
    left there goes first. Until the end no engine of this process starts
    others or works where the environment says. Raises ``CheckpointError``.
    """
    parent = _parent(directory)
    _sweep(parent)
    try:
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise CheckpointError(f"cannot make a scratch directory in {parent}: {error.strerror}.") from error
    try:
        with locked(made / _LOCK, wait=0), _own_settings():
            (made / ".gitignore").write_text("*\n")  # whoever takes snapshots around here leaves it out
            yield made
    finally:
        remove(made)


def _parent(directory: Path) -> Path:
    device = directory.stat().st_dev
    for parent in (directory.parent, Path(os.path.realpath(tempfile.gettempdir())), directory):
        # A parent of the same device may be another mount of it, between which nothing can be cloned (Linux < 5.18).
        if parent.stat().st_dev == device and os.access(parent, os.W_OK | os.X_OK):
            return parent
    raise CheckpointError(
        f"there is nowhere to write on the filesystem of {directory}: not beside it and not in it. Nothing was changed."
    )


def _sweep(parent: Path) -> None:
    for left in parent.glob(f"{PREFIX}*"):
        with suppress(OSError, StoreError):  # somebody else's, or still in use
            status = left.lstat()
            young = time.time() - status.st_mtime < _LOCKED_BY_THEN
            if status.st_uid != os.geteuid() or left.is_symlink() or young or not (left / _LOCK).is_file():
                continue
            with locked(left / _LOCK, wait=0):
                remove(left)


@contextmanager
def _own_settings() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SETTINGS}
    _set(_SETTINGS)
    try:
        yield
    finally:
        _set(before)


def _set(settings: dict[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
