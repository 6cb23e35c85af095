"""Hermes's checkpoint module driven in a process of its own: calls go in as JSON, answers come back as JSON.

What is wrong with the driving raises no ``AssertionError``: that is what a fault of the module raises.
"""

import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hermes_checkpoints.testing.witness import picture
from installation import Installation, environment
from stores import MB, stored, usual_base
from trees import put

STOCK = "stock"

_PROCESS = """
import json, sys

started = []
sys.addaudithook(lambda event, arguments: started.append(event) if event in {
    "subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system"} else None)
given = json.loads(sys.stdin.readline())
if given["ours"]:
    from hermes_checkpoints.hermes import plugin
    plugin.install()
from tools import checkpoint_manager as module
assert ("hermes_checkpoints" in module.__file__) == given["ours"], module.__file__
manager = module.CheckpointManager(enabled=True, **given["limits"])
print(json.dumps(None), flush=True)
for line in sys.stdin:
    name, given = json.loads(line)
    if name == "has":
        answer = hasattr(manager, given["name"])
    elif name == "started":
        answer = len(started)
    else:
        answer = (getattr(manager, name, None) or getattr(module, name))(**given)
    print(json.dumps(answer), flush=True)
"""


class Agent:
    """One agent: a process with Hermes's module or ours behind ``tools.checkpoint_manager``, and one manager in it.

    ``behind`` is ``STOCK`` or the backend that ours is to use, ``started_with``
    a command that starts the process, ``limits`` the manager's arguments.
    """

    def __init__(
        self, installation: Installation, behind: str, *, started_with: Sequence[str] = (), **limits: int
    ) -> None:
        backend = {} if behind == STOCK else {"HERMES_CHECKPOINT_BACKEND": behind}
        self._process = subprocess.Popen(
            [*started_with, installation.python, "-c", _PROCESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(backend),
            start_new_session=True,  # a killed agent takes along what it started, as with a closed terminal
        )
        self._send({"ours": behind != STOCK, "limits": limits})
        self.answer()

    def begin(self, name: str, /, **given: Any) -> None:
        """Send a call, of the manager or else of the module, and do not wait for it."""
        self._send([name, given])

    def answer(self) -> Any:
        """The answer to the call that was begun."""
        line = self._process.stdout.readline()
        if not line:
            raise EOFError(f"the agent ended with status {self._process.wait()}")
        return json.loads(line)

    def call(self, name: str, /, **given: Any) -> Any:
        self.begin(name, **given)
        return self.answer()

    def has(self, name: str) -> bool:
        """Whether the manager has such a call."""
        return self.call("has", name=name)

    def started(self) -> int:
        """Processes that it has started so far."""
        return self.call("started")

    def take(self, workspace: Path, reason: str = "turn") -> bool:
        """The first write of a new turn."""
        self.call("new_turn")
        return self.call("ensure_checkpoint", working_dir=str(workspace), reason=reason)

    def snapshots(self, workspace: Path) -> list[dict[str, Any]]:
        """Newest first."""
        return self.call("list_checkpoints", working_dir=str(workspace))

    def ids(self, workspace: Path) -> list[str]:
        return [entry["hash"] for entry in self.snapshots(workspace)]

    def restore(self, workspace: Path, wanted: str, path: str | None = None) -> dict[str, Any]:
        return self.call("restore", working_dir=str(workspace), commit_hash=wanted, file_path=path)

    def kill_when(self, moment: Callable[[], bool]) -> None:
        """``kill -9`` it and all that it started at that moment of the call begun; ``TimeoutError`` if it is done."""
        self.pause_when(moment)
        self.end()

    def pause_when(self, moment: Callable[[], bool]) -> None:
        """Have it stand still at that moment of the call begun, until ``go_on``; ``TimeoutError`` if it is done."""
        while not moment():
            if select.select([self._process.stdout], [], [], 0.0005)[0]:
                raise TimeoutError("it answered before it could be caught")
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _send(self, value: Any) -> None:
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


def paused_in_a_snapshot(start: Callable[[], Agent], workspace: Path, *, first: bool = False) -> Agent:
    """An agent amid a snapshot of many new files; with ``first``, of the first that there ever was."""
    for files in (2000, 4000, 8000):
        for number in range(files):
            put(workspace, f"new/{number}", os.urandom(10_000))
        hermes, size = start(), stored()
        hermes.begin("ensure_checkpoint", working_dir=str(workspace))
        try:
            hermes.pause_when(lambda size=size: stored() > size + MB)
        except TimeoutError:  # a fast machine
            hermes.end()
            if first:
                shutil.rmtree(usual_base())
        else:
            return hermes
    pytest.fail("8000 files were saved before anybody could look")


def contents(workspace: Path) -> dict[str, bytes]:
    """What every file holds (its sha256) and where every link leads: all that stock Hermes means to keep."""
    found = picture(workspace).items()
    return {os.fsdecode(path): seen.content for path, seen in found if seen.kind in ("file", "link")}
