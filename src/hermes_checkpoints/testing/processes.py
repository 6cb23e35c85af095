"""Other processes: several at once, and killed at a chosen moment.

By ``fork``, so that a backend class need not be importable. A child must open
what it uses: a backend opened before the fork is the parent's.
"""

import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Seconds after which a child counts as hung.
_PATIENCE = 60.0
# What the interpreter tells of touching files: each is a step at which a process may be killed.
_STEPS = ("open", "os.", "fcntl.", "shutil.", "sqlite3.", "subprocess.")


@dataclass(frozen=True, slots=True)
class Child:
    """A forked process and the pipe that brings its answer."""

    pid: int
    answer: int


def start(function: Callable[[], Any], *, before: Callable[[], object] = lambda: None) -> Child:
    """Call a function in a child; ``before`` runs first, in the child."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; none holds a lock here
        pid = os.fork()
    if pid:
        os.close(writing)
        return Child(pid, reading)
    status = 1
    try:
        before()
        answer: tuple[Any, str] = (function(), "")
        status = 0
    except BaseException:
        answer = (None, traceback.format_exc())
    finally:
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(answer, pipe)
        os._exit(status)


def finish(child: Child) -> tuple[int, Any]:
    """Wait for a child: its exit code (negative: the signal that ended it) and its result.

    Raises ``AssertionError`` with the child's traceback when the function raised.
    """
    blocks = []
    deadline = time.monotonic() + _PATIENCE
    while True:
        ready, _, _ = select.select([child.answer], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            os.kill(child.pid, signal.SIGKILL)
        block = os.read(child.answer, 65_536)
        if not block:
            break
        blocks.append(block)
    os.close(child.answer)
    _, status = os.waitpid(child.pid, 0)
    if time.monotonic() >= deadline:
        raise AssertionError(f"a process had not finished after {_PATIENCE:g} s")
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return code, None
    result, error = pickle.loads(b"".join(blocks))  # noqa: S301  (from our own child)
    if error:
        raise AssertionError(f"a process that was to succeed failed:\n{error}")
    return code, result


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Call each function in a process of its own, all released at the same moment; their results."""
    waiting, go = os.pipe()

    def wait() -> None:
        os.close(go)
        os.read(waiting, 1)

    children = [start(function, before=wait) for function in functions]
    os.close(go)  # the last writer: every read returns
    os.close(waiting)
    return [finish(child)[1] for child in children]


def steps_of(function: Callable[[], Any]) -> int:
    """How many steps a function takes when nobody kills it."""
    return len(asked_at_steps(function, lambda: True))


def asked_at_steps(function: Callable[[], Any], question: Callable[[], bool]) -> list[bool]:
    """The answers to a question, asked as the function begins each step; asking must not be one."""
    answers: list[bool] = []

    def ask(event: str, _arguments: object) -> None:
        if event.startswith(_STEPS):
            answers.append(question())

    def asked() -> list[bool]:
        function()
        return answers

    result = finish(start(asked, before=lambda: sys.addaudithook(ask)))[1]
    assert isinstance(result, list)
    return result


def killed_at(step: int, function: Callable[[], Any]) -> bool:
    """Call a function in a process that is killed as it begins its n-th step; whether it came to that."""
    steps = 0

    def die(event: str, _arguments: object) -> None:
        nonlocal steps
        steps += event.startswith(_STEPS)
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)

    code, _ = finish(start(function, before=lambda: sys.addaudithook(die)))
    return code == -signal.SIGKILL


def killed_after(seconds: float, function: Callable[[], Any]) -> bool:
    """Call a function in a process that is killed after a time; whether it had not finished by then."""
    child = start(function)
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)  # a zombie until it is waited for: never somebody else's number
    return finish(child)[0] == -signal.SIGKILL
