"""Switching the plugin on and off, by Hermes's own commands."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hermes_checkpoints import plugins
from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.hermes.configuration import backend_asked_for, checkpoints_section
from hermes_checkpoints.settings import AUTO, hermes_home

PLUGIN = "hermes-checkpoints"
ENTRY_POINT_GROUP = "hermes_agent.plugins"
_SECONDS = 120  # a cold start of Hermes on a slow disk takes ten


@dataclass(frozen=True, slots=True)
class Change:
    """A setting in Hermes's ``config.yaml`` that is another one now."""

    setting: str
    before: str
    after: str
    undo: str
    """The command that takes it back."""


def hermes_version() -> str | None:
    """Of the Hermes Agent in this Python environment; ``None`` when there is none."""
    if importlib.util.find_spec("hermes_cli") is None:
        return None
    try:
        return metadata.version("hermes-agent")
    except metadata.PackageNotFoundError:  # a checkout that was put on the path
        return "of unknown version"


def how_to_install() -> str:
    """What to do where there is no Hermes in this environment."""
    found = shutil.which("hermes")
    which = f"the first line of {found} names it" if found else "the first line of the command `hermes` names it"
    return f"install {PLUGIN} with the Python that runs Hermes ({which}): PYTHON -m pip install {PLUGIN}"


def is_offered() -> bool:
    """Whether Hermes finds the plugin among the installed packages."""
    return any(point.name == PLUGIN for point in metadata.entry_points(group=ENTRY_POINT_GROUP))


def plugin_state() -> str:
    """What ``config.yaml`` says: ``enabled``, ``disabled`` or ``not enabled``. Raises ``CheckpointError``."""
    require_readable(hermes_home(os.environ) / "config.yaml")
    try:
        from hermes_cli.config import load_config

        section = load_config().get("plugins")
    except Exception as error:  # somebody else's code, and a file that people edit
        raise CheckpointError(f"Hermes's config.yaml could not be read: {error}. Nothing was changed.") from error
    if PLUGIN in _names(section, "disabled"):
        return "disabled"
    return "enabled" if PLUGIN in _names(section, "enabled") else "not enabled"


def _names(section: object, key: str) -> Collection[object]:
    names = section.get(key) if isinstance(section, Mapping) else None
    return names if isinstance(names, list) else ()


def enable(backend: str | None = None) -> list[Change]:
    """Switch the plugin and checkpoints on, and ask for a backend if one is given; what changed.

    What is so already is left alone. Raises ``CheckpointError``, of it
    ``UnknownBackend`` with nothing changed.
    """
    _require_hermes()
    if backend not in (None, AUTO):
        plugins.load(str(backend))
    changes = [
        _changed("the plugin", plugin_state, "enabled", "hermes-checkpoints hermes disable", _PLUGINS_ENABLE),
    ]
    if backend is not None:
        before = backend_asked_for()
        undo = (
            f"hermes config set checkpoints.backend {before}" if before else "hermes config unset checkpoints.backend"
        )
        setting = ("config", "set", "checkpoints.backend", backend)
        changes.append(
            _changed("checkpoints.backend", lambda: backend_asked_for() or "not set", backend, undo, setting)
        )
    undo = "hermes config set checkpoints.enabled false"
    changes.append(_changed("checkpoints.enabled", _enabled, "true", undo, _CHECKPOINTS_ON))
    return [change for change in changes if change is not None]


def disable() -> list[Change]:
    """Switch the plugin off; snapshots and ``checkpoints.enabled`` stay as they are. Raises ``CheckpointError``."""
    _require_hermes()
    if plugin_state() == "not enabled":
        return []
    undo = "hermes-checkpoints hermes enable"
    change = _changed("the plugin", plugin_state, "disabled", undo, ("plugins", "disable", PLUGIN))
    return [change] if change is not None else []


# Hermes would ask whether the plugin may replace tools. It replaces none.
_PLUGINS_ENABLE = ("plugins", "enable", PLUGIN, "--no-allow-tool-override")
_CHECKPOINTS_ON = ("config", "set", "checkpoints.enabled", "true")


def _enabled() -> str:
    return str(bool(checkpoints_section().get("enabled"))).lower()


def _require_hermes() -> None:
    if hermes_version() is None:
        raise CheckpointError(f"there is no Hermes in {sys.prefix}. Nothing was changed; {how_to_install()}")
    require_readable(hermes_home(os.environ) / "config.yaml")


def require_readable(config: Path) -> None:
    """Raise ``CheckpointError`` for a ``config.yaml`` that Hermes would take for an empty one, and then write anew."""
    import yaml  # Hermes's own; nothing else here needs it

    try:
        found = yaml.safe_load(config.read_text("utf-8"))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(f"Hermes cannot read {config}: {error}. Nothing was changed; mend it first.") from error
    if found is not None and not isinstance(found, dict):
        raise CheckpointError(f"{config} is not what Hermes can use. Nothing was changed; mend it first.")


def _changed(setting: str, read: Callable[[], str], wanted: str, undo: str, words: tuple[str, ...]) -> Change | None:
    """Have Hermes change a setting that is not as wanted, and see that it has."""
    before = read()
    if before == wanted:
        return None
    # Not with the current directory on the path, as -m has it: a project's utils.py is not Hermes's.
    told = _run([sys.executable, "-P", "-m", "hermes_cli.main", *words])
    if (after := read()) != wanted:
        said = f" It said: {told}" if told else ""
        raise CheckpointError(f"`hermes {' '.join(words)}` left {setting} {after} instead of {wanted}.{said}")
    return Change(setting, before, after, undo)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckpointError(f"Hermes could not be started: {error}") from error
    return " ".join(done.stdout.split())
