"""The Hermes plugin: puts this package in the place of ``tools.checkpoint_manager``."""

import importlib
import logging
import sys
import weakref
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Protocol

from hermes_checkpoints.hermes import command, requests
from hermes_checkpoints.hermes.configuration import (
    backend_asked_for,
    base_directory,
    open_engine,
    settings_for,
    working_directory,
)
from hermes_checkpoints.hermes.examination import State, backend_of, switched_on
from hermes_checkpoints.hermes.guarding import PLACE, log
from hermes_checkpoints.hermes.switching import PLUGIN, plugin_state


class Context(Protocol):
    """What Hermes gives a plugin, as far as it is used here."""

    def register_hook(self, hook_name: str, callback: Callable[..., object]) -> None: ...

    def register_command(
        self, name: str, handler: Callable[[str], object], description: str = "", args_hint: str = ""
    ) -> None: ...


def register(context: Context) -> None:
    """Called by Hermes at its start, and again whenever it looks for plugins anew."""
    presence = Hooks()
    for hook in ("pre_llm_call", "on_session_end", "subagent_start", "subagent_stop"):
        context.register_hook(hook, getattr(presence, hook))
    context.register_command("checkpoints", command.answer, command.SUMMARY, command.WORDS)
    _announce()


class Hooks:
    """This package in Hermes, for as long as Hermes holds the hooks.

    Hermes tells no plugin that it was switched off in a running process: it
    only lets go of what was registered. That is then the end of this object,
    and of the replacement, unless a later one has taken over.
    """

    def __init__(self) -> None:
        # Not at exit: modules that close late may still ask for Hermes's module.
        weakref.finalize(self, _let_go, install()).atexit = False

    def pre_llm_call(self, *, session_id: str = "", turn_id: str = "", **_: object) -> None:
        """Once a user request, before the first call of the model."""
        _announce(again=True)
        requests.begin_request(session_id or "", turn_id or "")

    def on_session_end(self, **_: object) -> None:
        """At the end of every request, also of one that was interrupted, which ``post_llm_call`` is not told of."""
        requests.end_request()

    def subagent_start(
        self, *, child_session_id: str = "", parent_session_id: str = "", parent_turn_id: str = "", **_: object
    ) -> None:
        if child_session_id and parent_turn_id:
            requests.subagent_started(child_session_id, parent_session_id or "", parent_turn_id)

    def subagent_stop(self, *, child_session_id: str = "", **_: object) -> None:
        requests.subagent_stopped(child_session_id or "")


def _let_go(installation: int) -> None:
    """Uninstall, unless Hermes only looks for its plugins anew: agents that are made meanwhile shall have ours."""
    try:
        stays = plugin_state() == "enabled"
    except Exception:
        stays = False
    if not stays:
        uninstall(installation)


class _Replaced:
    """What our module stands in for, and since which installation."""

    module: ModuleType | None = None
    installation = 0


def install() -> int:
    """Put our module where Hermes looks for its own; the number of this installation.

    Also where it is already: the new number is then the one to be taken back.
    """
    ours, before = _ours(), sys.modules.get(PLACE)
    if before is not ours:
        _Replaced.module = before
    _put(ours)
    _Replaced.installation += 1
    return _Replaced.installation


def uninstall(installation: int | None = None) -> None:
    """Put back what was there, or leave the place to Hermes's own module; with a number, unless a later one holds.

    Managers that agents have go on as they are.
    """
    if installation in (None, _Replaced.installation) and sys.modules.get(PLACE) is _ours():
        _put(_Replaced.module)
        _Replaced.module = None


def _ours() -> ModuleType:
    return importlib.import_module("hermes_checkpoints.hermes")


def _put(module: ModuleType | None) -> None:
    """Have ``tools.checkpoint_manager`` mean a module, or be imported anew."""
    parent, _, name = PLACE.partition(".")
    package = sys.modules.get(parent)
    if module is not None:
        sys.modules[PLACE] = module
        if package is not None:
            setattr(package, name, module)
        return
    sys.modules.pop(PLACE, None)
    if package is not None:
        vars(package).pop(name, None)


_announced: set[bool] = set()


def _announce(*, again: bool = False) -> None:
    """Say in the log, once a process, that we are there and where snapshots go, and why. Never raises.

    At Hermes's start checkpoints may be off by its configuration, and on when
    an agent is made; and the log may not be set up yet: hence ``again``.
    """
    try:
        on = switched_on().state is not State.PROBLEM
        if on in _announced:
            return
        level, told = _situation() if on else (logging.INFO, _switched_off())
    except Exception as error:  # nothing that is wrong here may keep Hermes from starting
        on, level, told = True, logging.WARNING, f"where snapshots go is not known: {error}"
    if again or log.isEnabledFor(level):
        _announced.add(on)
        log.log(level, "%s %s takes the place of %s; %s", PLUGIN, version(PLUGIN), PLACE, told)


def _situation() -> tuple[int, str]:
    with open_engine(settings_for(base_directory())) as engine:
        found = backend_of(engine, working_directory())
    level = logging.WARNING if found.state is State.PROBLEM else logging.INFO
    return level, f"{found.about}: {found.told}"


def _switched_off() -> str:
    """Nothing is probed then."""
    return f"checkpoints are switched off; backend asked for: {backend_asked_for() or 'none in particular'}"
