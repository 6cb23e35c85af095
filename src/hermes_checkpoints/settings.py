"""Where the store is and what its owner wants: arguments, then environment, then ``store/config.toml``."""

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, Scope
from hermes_checkpoints.policy.retention import Limits

AUTO = "auto"
MB = 1 << 20
_KEYS = frozenset(
    "backend exclude max_file_size_mb max_snapshots keep_hourly keep_daily max_total_size_mb min_free_disk "
    "retention_days".split()
)
log = logging.getLogger("hermes_checkpoints")


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one engine."""

    base: Path
    """The directory that ``--store`` names; everything of ours is under ``store`` in it."""
    backend: str = AUTO
    """The backend asked for, or ``auto``."""
    asked_by: str = ""
    """Who asked for it, for people to read."""
    scope: Scope = field(default=Scope())
    limits: Limits = field(default=Limits())

    @property
    def store(self) -> Path:
        return self.base / "store"


def home_directory(environ: Mapping[str, str]) -> Path:
    """The user's home, resolved."""
    return Path(os.path.realpath(environ.get("HOME") or os.path.expanduser("~")))


def hermes_home(environ: Mapping[str, str]) -> Path:
    """Hermes's own directory: ``HERMES_HOME``, else ``~/.hermes``."""
    return Path(environ.get("HERMES_HOME", "").strip() or home_directory(environ) / ".hermes")


def read_settings(
    store: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    scope: Scope | None = None,
    limits: Limits | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings that hold. Raises ``CheckpointError`` for a configuration file that cannot be understood."""
    if store is None:
        store = hermes_home(environ) / "checkpoints"
    try:
        base = Path(os.path.realpath(store))
        os.fsencode(base)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{os.fspath(store)!r} cannot be a store: {error}. Nothing was changed.") from error
    config = _read_config(base / "store" / "config.toml")
    asked = [
        (backend, "asked for by the caller"),
        (environ.get("HERMES_CHECKPOINT_BACKEND"), "HERMES_CHECKPOINT_BACKEND says so"),
        (config.get("backend"), "the store's config.toml says so"),
    ]
    # "auto" at one level is an answer too: it overrides the levels below.
    name, by = next(((str(name), by) for name, by in asked if name), (AUTO, ""))
    if scope is None:
        scope = _scope(config)
    return Settings(base, name, by, scope, limits or _limits(config))


def _read_config(path: Path) -> Mapping[str, object]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}. Nothing was changed.") from error
    import tomllib

    try:
        config = tomllib.loads(text.decode())
    except ValueError as error:
        raise CheckpointError(f"{path} is not TOML: {error}. Nothing was changed; mend or remove it.") from error
    if unknown := sorted(config.keys() - _KEYS):
        log.warning("%s: %s means nothing here; known are %s", path, ", ".join(unknown), ", ".join(sorted(_KEYS)))
    return config


def _number(config: Mapping[str, object], key: str, usual: float, least: float = 0, most: float = 1 << 40) -> float:
    value = config.get(key, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise CheckpointError(
            f"{key} in config.toml must be a number from {least} to {most}, and not {value!r}. Nothing was changed."
        )
    return value


def _limits(config: Mapping[str, object]) -> Limits:
    usual = Limits()
    return Limits(
        max_snapshots=int(_number(config, "max_snapshots", usual.max_snapshots, least=1)),
        keep_hourly=int(_number(config, "keep_hourly", usual.keep_hourly)),
        keep_daily=int(_number(config, "keep_daily", usual.keep_daily)),
        max_total_size=math.ceil(_number(config, "max_total_size_mb", usual.max_total_size / MB) * MB),
        min_free_disk=_number(config, "min_free_disk", usual.min_free_disk, most=1),
        retention_days=_number(config, "retention_days", usual.retention_days),
    )


def _scope(config: Mapping[str, object]) -> Scope:
    usual = Scope()
    megabytes = _number(config, "max_file_size_mb", usual.max_file_size / MB)
    more = config.get("exclude", [])
    if not isinstance(more, list) or not all(isinstance(pattern, str) for pattern in more):
        raise CheckpointError("exclude in config.toml must be a list of patterns. Nothing was changed.")
    return Scope((*usual.excludes, *more), int(megabytes * MB))
