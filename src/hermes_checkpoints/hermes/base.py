"""Where the store is, and an engine on it with Hermes's settings."""

import os
from dataclasses import replace
from pathlib import Path

from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.config import backend_asked_for
from hermes_checkpoints.settings import read_settings

_MB = 1 << 20
PathLike = str | os.PathLike[str]


def base_directory(given: PathLike | None = None) -> Path:
    """The directory given, else ``CHECKPOINT_BASE`` as it is now: callers replace it in the module."""
    from hermes_checkpoints import hermes

    return Path(given if given is not None else hermes.CHECKPOINT_BASE)


def open_engine(
    base: Path,
    *,
    max_snapshots: int | None = None,
    max_total_size_mb: int | None = None,
    max_file_size_mb: int | None = None,
) -> Engine:
    """An engine on the store in ``base``; what is not given is for the store's ``config.toml`` to say.

    Sizes in MB, 0 for no limit. Raises ``CheckpointError``.
    """
    settings = read_settings(base)
    limits, scope = settings.limits, settings.scope
    if max_snapshots is not None:
        limits = replace(limits, max_snapshots=max_snapshots)
    if max_total_size_mb is not None:
        limits = replace(limits, max_total_size=max_total_size_mb * _MB)
    if max_file_size_mb is not None:
        scope = replace(scope, max_file_size=max_file_size_mb * _MB)
    return Engine(store=base, backend=backend_asked_for(), scope=scope, limits=limits)
