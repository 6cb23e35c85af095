"""Hermes's own callers of checkpoints, asked from a test.

Run by Hermes's Python, this file answers calls over standard input and output
as Hermes's ``tui_gateway.entry`` does: JSON-RPC, a line each. ``Conversation``
speaks with either.
"""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = "callers"
_LONGEST = 300  # seconds for a whole conversation: what hangs must fail


class Conversation:
    """A process that answers one question after the other; it runs in the workspace, as an agent does."""

    def __init__(self, python: Path, module: str, workspace: Path, env: dict[str, str]) -> None:
        words = ["-P", __file__] if module == HERE else ["-m", module]
        self._process = subprocess.Popen(
            [python, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=workspace
        )
        self._asked = 0
        self._late = threading.Timer(_LONGEST, self._process.kill)
        self._late.start()

    def answer(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole answer, with ``result`` or ``error``; events in between are passed over."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        question = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params}
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            said = json.loads(line)
            if said.get("id") == self._asked:
                return said
        raise AssertionError(f"{method} {params} ended the process with status {self._process.wait()}")

    def ask(self, method: str, **params: Any) -> Any:
        """The result, of what must not end in an error."""
        answer = self.answer(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=30)  # it ends when there is no more to read
        finally:
            self._late.cancel()
            self._process.kill()
            self._process.wait()


class Callers:
    """What Hermes calls, called as Hermes calls it."""

    def load_plugins(self) -> None:
        """What ``hermes`` does before every command that runs an agent."""
        from hermes_cli.plugins import discover_plugins

        discover_plugins()

    @cached_property
    def _cli(self) -> Any:
        return self._interactive(enabled=True)

    def _interactive(self, *, enabled: bool) -> Any:
        """The interactive command line without its screen, and with a chat of one turn."""
        from tools.checkpoint_manager import CheckpointManager

        import cli

        made = object.__new__(cli.HermesCLI)
        made.agent = SimpleNamespace(_checkpoint_mgr=CheckpointManager(enabled=enabled))
        made.conversation_history = [
            {"role": "user", "content": "please"},
            {"role": "assistant", "content": "done"},
        ]
        made.session_id = made._session_db = None
        return made

    def serving(self) -> str:
        """The module that Hermes gets."""
        from tools import checkpoint_manager

        return checkpoint_manager.__name__

    def take(self, reason: str, workspace: str = ".") -> bool:
        """A snapshot, in a turn of its own."""
        manager = self._cli.agent._checkpoint_mgr
        manager.new_turn()
        return manager.ensure_checkpoint(os.path.abspath(workspace), reason)

    def hashes(self) -> list[str]:
        """Of the snapshots that Hermes lists, newest first."""
        return [row["hash"] for row in self._cli.agent._checkpoint_mgr.list_checkpoints(str(Path.cwd()))]

    def typed(self, command: str) -> str:
        """What ``/rollback …`` shows in the interactive command line."""
        return self._shown(self._cli, command)

    def typed_while_disabled(self, command: str) -> str:
        return self._shown(self._interactive(enabled=False), command)

    def _shown(self, interactive: Any, command: str) -> str:
        with redirect_stdout(io.StringIO()) as shown:
            interactive._handle_rollback_command(command)
        return shown.getvalue()

    def chat(self) -> int:
        """How many messages the chat in the command line has."""
        return len(self._cli.conversation_history)

    def sent(self, message: str) -> str:
        """What the gateway replies to ``/rollback …`` from a messenger."""
        from gateway.platforms.base import MessageEvent
        from gateway.slash_commands import GatewaySlashCommandsMixin

        event = MessageEvent(text=message)
        return asyncio.run(GatewaySlashCommandsMixin()._handle_rollback_command(event))

    def start_cli(self) -> list[str]:
        """The maintenance that the command line does when it starts; what is logged about it."""
        import cli

        with _logged() as said:
            cli._run_checkpoint_auto_maintenance()
        return said

    def start_gateway(self) -> list[str]:
        """Start the gateway as far as its maintenance goes; it loads plugins by itself. What is logged about it."""
        from gateway.run import GatewayRunner

        with _logged() as said:
            GatewayRunner()
        return said


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged about maintenance meanwhile: Hermes swallows what it raises, and says so at DEBUG."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage()) if "checkpoint" in record.getMessage() else None
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield said
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def serve(callers: Any, write: Callable[[str], object]) -> None:
    """Answer until there is no more to read; what raises ends the process."""
    for line in sys.stdin:
        question = json.loads(line)
        result = getattr(callers, question["method"])(**question["params"])
        write(json.dumps({"id": question["id"], "result": result}) + "\n")


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # Hermes prints
    serve(Callers(), answers.write)
