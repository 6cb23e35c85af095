"""Which user request the agent in this thread is at work on: what it does until the end of that belongs together."""

import threading
import uuid
from typing import Any, Protocol
from weakref import WeakKeyDictionary


class Working(Protocol):
    """What takes part in a request: a checkpoint manager."""

    enabled: bool

    @property
    def last_outcome(self) -> dict[str, Any]:
        """What came of its last attempt to save a state."""

    def turn_ended(self) -> None:
        """Told at the end of the request, in its thread."""

    def broken_off(self) -> None:
        """Told when the next request begins, and nobody said that this one had ended."""


class _Request:
    """One conversation's work for one request; that of a subagent has the name of the request it is for."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Here(threading.local):
    request: _Request | None = None


# Hermes works at a request in one thread from its beginning to its end, and gives each subagent a thread of its own.
_here = _Here()
_lock = threading.Lock()
_managers: WeakKeyDictionary[Working, _Request | None] = WeakKeyDictionary()
"""Every one that began a turn and is still there, with the request that it did so for."""
_subagents: dict[str, str] = {}
"""By the session of a subagent: the request that it works for."""


def begin_request(session: str = "", name: str = "") -> None:
    """From here on this thread is at work on a request."""
    for manager in _leave():
        manager.broken_off()
    _here.request = _Request(_subagents.get(session) or name or uuid.uuid4().hex)


def current_request() -> str | None:
    """The name of the request that this thread is at work on."""
    return _here.request.name if _here.request is not None else None


def join(manager: Working) -> None:
    """Have a manager told of the end of this thread's request; it is not kept alive for that."""
    with _lock:
        before, _managers[manager] = _managers.get(manager), _here.request
    if before is not None and before is not _here.request:
        manager.broken_off()  # in another thread, perhaps; nothing, where its end was told


def managers() -> list[Working]:
    """Those that joined, whether their request has ended or not."""
    with _lock:
        return list(_managers)


def end_request() -> None:
    """Tell those who joined; without a request, nothing."""
    for manager in _leave():
        manager.turn_ended()


def _leave() -> list[Working]:
    """Those who joined this thread's request, which is over."""
    request, _here.request = _here.request, None
    with _lock:
        return [manager for manager, of in _managers.items() if request is not None and of is request]


def subagent_started(session: str, parent_session: str, parent_request: str) -> None:
    """What a subagent does is part of the request that its parent works for."""
    _subagents[session] = _subagents.get(parent_session) or parent_request


def subagent_stopped(session: str) -> None:
    """Nothing more comes of it."""
    _subagents.pop(session, None)
