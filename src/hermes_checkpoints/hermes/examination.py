"""The self check: is what an agent of Hermes changes protected, and if not, what is to be done."""

import os
import shutil
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.hermes.configuration import checkpoints_section, open_engine, settings_for
from hermes_checkpoints.hermes.guarding import PLACE
from hermes_checkpoints.hermes.requests import managers
from hermes_checkpoints.hermes.switching import PLUGIN, hermes_version, how_to_install, is_offered, plugin_state
from hermes_checkpoints.hermes.trial import try_out
from hermes_checkpoints.hermes.workspaces import nearest_directory
from hermes_checkpoints.policy.guards import why_declined
from hermes_checkpoints.settings import AUTO, MB, home_directory, read_settings
from hermes_checkpoints.wording import harmless, size

_ENABLE = "`hermes-checkpoints hermes enable` does that, from Hermes's next start on"


class State(StrEnum):
    """What a finding means for the protection."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing need be done."""
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: str
    state: State
    told: str
    remedy: str = ""


def examine(workspace: Path, base: Path, *, inside: bool) -> list[Finding]:
    """Everything, in the order in which it is to be put right. Takes no snapshot but of a scratch directory of its own.

    ``inside``: this is Hermes's own process.
    """
    found = [_hermes()]
    if found[0].state is State.OK:
        found += [_checked("plugin", _plugin), *([_in_place()] if inside else []), _checked("checkpoints", switched_on)]
    try:
        engine = open_engine(settings_for(base))
    except CheckpointError as error:
        return [*found, _problem("store", str(error))]
    with engine:
        found += [
            _checked("backend", lambda: backend_of(engine, workspace)),
            _checked("store", lambda: _store(engine, workspace)),
            _checked("room", lambda: _room(engine)),
            _checked("limits", lambda: _limits(base)),
            _checked("trial", lambda: _trial(engine, workspace, base)),
        ]
    return found


def is_protected(found: Sequence[Finding]) -> bool:
    """Whether nothing stands in the way."""
    return all(one.state is not State.PROBLEM for one in found)


def _checked(about: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:  # a finding, whatever it is
        return _problem(about, str(error) or repr(error))


def _problem(about: str, told: str, remedy: str = "") -> Finding:
    return Finding(about, State.PROBLEM, harmless(told), remedy)


def _hermes() -> Finding:
    version = hermes_version()
    if version is None:
        return _problem("hermes", f"there is no Hermes Agent in {sys.prefix}", how_to_install())
    return Finding("hermes", State.OK, f"Hermes Agent {version} in {harmless(sys.prefix)}")


def _plugin() -> Finding:
    if not is_offered():
        return _problem("plugin", f"{PLUGIN} is not installed as a plugin of Hermes", how_to_install())
    if os.environ.get("HERMES_SAFE_MODE", "").strip().lower() in ("1", "true", "yes", "on"):
        return _problem("plugin", "HERMES_SAFE_MODE keeps Hermes from loading plugins", "start Hermes without it")
    state = plugin_state()
    if state != "enabled":
        return _problem("plugin", f"{PLUGIN} is {state} in Hermes's config.yaml", f"enable it; {_ENABLE}")
    return Finding("plugin", State.OK, f"{PLUGIN} is installed and enabled")


def _in_place() -> Finding:
    if sys.modules.get(PLACE) is sys.modules.get("hermes_checkpoints.hermes"):
        return Finding("module", State.OK, "this process uses it in the place of Hermes's own")
    return _problem("module", "this process uses Hermes's own checkpoints", "start Hermes anew")


def switched_on() -> Finding:
    """Whether Hermes takes checkpoints at all: its agents in this process know, else its configuration."""
    if here := managers():
        if any(manager.enabled for manager in here):
            return Finding("checkpoints", State.OK, "switched on in this session")
        return _problem("checkpoints", "switched off in this session", f"start Hermes with --checkpoints, or {_ENABLE}")
    if checkpoints_section().get("enabled"):
        told = "switched on (checkpoints.enabled); in the TUI with `hermes --tui --checkpoints` only"
        return Finding("checkpoints", State.OK, told)
    return _problem("checkpoints", "switched off (checkpoints.enabled in config.yaml)", f"switch them on; {_ENABLE}")


def backend_of(engine: Engine, workspace: Path) -> Finding:
    """Where snapshots of a directory go, and why, or why there are none."""
    declined = why_declined(workspace, home=home_directory(os.environ), store=engine.settings.base)
    if declined is not None:
        return _problem("backend", f"{workspace} is not protected: {declined}", "work in another directory")
    try:
        choice = engine.choose(workspace)
    except CheckpointError as error:
        remedy = "name another one: `hermes config set checkpoints.backend auto` lets the best one be taken"
        return _problem("backend", str(error), remedy)
    told = harmless(f"snapshots of {workspace} go to {choice.name}: {choice.why}")
    return Finding("backend", State.NOTE if choice.notice else State.OK, told, harmless(choice.notice))


def _store(engine: Engine, workspace: Path) -> Finding:
    """Whether it can be used, as far as can be seen without writing to it: the newest snapshot there is read."""
    base = engine.settings.base
    held, shown = nearest_directory(base), harmless(str(base))
    if not os.access(held, os.W_OK | os.X_OK):
        return _problem("store", f"{held} cannot be written to", "give yourself the right to, or mount it for writing")
    store = engine.settings.store
    if not store.is_dir():
        return Finding("store", State.OK, f"{shown} will be made by the first snapshot")
    status = store.stat()
    if status.st_uid != os.geteuid():
        return _problem("store", f"{store} belongs to another user", "use a HERMES_HOME of your own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        return Finding("store", State.NOTE, harmless(f"others may look into {store}"), "the next use of it closes it")
    engine.upkeep.refuse_others()
    for snapshot in engine.list(workspace)[:1]:
        engine.show(workspace, snapshot.id)
    return Finding("store", State.OK, f"{shown} is private and can be written to")


def _room(engine: Engine) -> Finding:
    limits, base = engine.settings.limits, engine.settings.base
    disk, used = shutil.disk_usage(nearest_directory(base)), engine.upkeep.status().real
    budget = checkpoints_section().get("max_total_size_mb", limits.max_total_size // MB)
    allowed = f" of {budget} MB (max_total_size_mb)" if budget else ""
    told = f"{size(used)}{allowed} used; {size(disk.free)} of the disk are free"
    if disk.free < disk.total * limits.min_free_disk:
        share = f"{limits.min_free_disk:.0%} of the disk"
        return _problem("room", f"{told}, and {share} are to stay free", "make room, or no snapshot can be taken")
    if isinstance(budget, int | float) and 0 < budget * MB < used:
        return Finding("room", State.NOTE, told, "`hermes-checkpoints maintain` brings it below that now")
    return Finding("room", State.OK, told)


def _limits(base: Path) -> Finding:
    """Hermes passes its own limits on; whoever uses our command line meets those of the store."""
    section, settings = checkpoints_section(), read_settings(base, environ={})
    ours: dict[str, object] = {
        "max_snapshots": settings.limits.max_snapshots,
        "max_total_size_mb": settings.limits.max_total_size / MB,  # may be fractions of one
        "max_file_size_mb": settings.scope.max_file_size / MB,
    }
    if settings.backend != AUTO:  # which lets the command go on where Hermes's snapshots are
        ours["backend"] = settings.backend
    theirs = {name: section[name] for name in ours if name in section}
    for name, value in theirs.items():
        if name != "backend" and not _is_number(value):
            told = harmless(f"checkpoints.{name} is {value!r}, which is no number: the usual one holds")
            return Finding("limits", State.NOTE, told, f"`hermes config set checkpoints.{name} N` sets it")
    differing = [f"{name} {value} and {ours[name]}" for name, value in theirs.items() if not _alike(value, ours[name])]
    if not differing:
        return Finding("limits", State.OK, "config.yaml and the store's config.toml agree")
    remedy = f"Hermes goes by the first, the command {PLUGIN} by the second, in {harmless(str(base))}/store/config.toml"
    return Finding("limits", State.NOTE, f"config.yaml and config.toml differ: {', '.join(differing)}", remedy)


def _is_number(value: object) -> bool:
    try:
        int(float(str(value)))
    except (ValueError, OverflowError):
        return False
    return True


def _alike(theirs: object, ours: object) -> bool:
    return float(str(theirs)) == ours if isinstance(ours, int | float) else theirs == ours


def _trial(engine: Engine, workspace: Path, base: Path) -> Finding:
    used, held = try_out(engine.choose(workspace).name, nearest_directory(base.parent))
    if not held:
        return _problem("trial", f"{used} did not bring a scratch directory back", "do not rely on it, and report this")
    return Finding("trial", State.OK, f"{used} took a scratch directory and brought it back, exactly")
