"""Where the store is, and what Hermes's ``config.yaml`` says about checkpoints."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.guarding import log
from hermes_checkpoints.kit.store.locks import DEFAULT_WAIT
from hermes_checkpoints.settings import MB, Settings, read_settings

PathLike = str | os.PathLike[str]


def checkpoints_section() -> Mapping[str, object]:
    """``checkpoints`` of ``config.yaml`` with Hermes's defaults; empty where there is no Hermes, or it cannot read it.

    ``checkpoints: true`` is short for ``enabled``, as in Hermes's gateway.
    """
    try:
        from hermes_cli.config import load_config

        section = load_config().get("checkpoints")
    except ImportError:
        return {}
    except Exception as error:  # somebody else's code, and a file that people edit
        log.warning("Hermes's config.yaml could not be read (%s); checkpoints go by their defaults", error)
        return {}
    if isinstance(section, bool):
        return {"enabled": section}
    return section if isinstance(section, Mapping) else {}


def backend_asked_for() -> str | None:
    """``checkpoints.backend``, when it says something. It goes before ``HERMES_CHECKPOINT_BACKEND``."""
    name = checkpoints_section().get("backend")
    return str(name).strip().lower() or None if name else None


def working_directory() -> Path:
    """Where Hermes's agent works, as ``/rollback`` has it."""
    return Path(os.path.realpath(os.path.expanduser(os.environ.get("TERMINAL_CWD", "").strip() or os.getcwd())))


def base_directory(given: PathLike | None = None) -> Path:
    """The directory given, else ``CHECKPOINT_BASE`` as it is now: callers replace it in the module."""
    from hermes_checkpoints import hermes

    return Path(given or hermes.CHECKPOINT_BASE)


def settings_for(
    base: Path,
    *,
    max_snapshots: int | None = None,
    max_total_size_mb: int | None = None,
    max_file_size_mb: int | None = None,
) -> Settings:
    """What holds for the store in ``base``; what is not given is for its ``config.toml`` to say.

    Sizes in MB, 0 for no limit. Raises ``CheckpointError``.
    """
    backend = backend_asked_for()
    settings = read_settings(base, backend)
    if backend is not None:
        settings = replace(settings, asked_by="checkpoints.backend in Hermes's config.yaml says so")
    limits, scope = settings.limits, settings.scope
    if max_snapshots is not None:
        limits = replace(limits, max_snapshots=max_snapshots)
    if max_total_size_mb is not None:
        limits = replace(limits, max_total_size=max_total_size_mb * MB)
    if max_file_size_mb is not None:
        scope = scope._replace(max_file_size=max_file_size_mb * MB)
    return replace(settings, limits=limits, scope=scope)


def open_engine(settings: Settings) -> Engine:
    """An engine with these settings, that waits for other processes as long as ``HERMES_CHECKPOINT_TIMEOUT`` says."""
    return Engine(settings=settings, wait=_seconds())


def _seconds() -> float:
    """From 10 to 60, as in Hermes."""
    try:
        return min(max(float(os.environ["HERMES_CHECKPOINT_TIMEOUT"]), 10), 60)
    except (KeyError, ValueError):
        return DEFAULT_WAIT
