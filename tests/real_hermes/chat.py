"""A chat with the real Hermes in its own command line, with a scripted model behind it."""

import re
from pathlib import Path

from installation import Installation, configure, environment
from model_server import NAME, ModelServer
from terminal import Terminal

_IDLE = "(?<!⚕ )❯ "  # while it works the prompt has something before it
_ENTRY = re.compile(r"^ +(\d+)\. +([0-9a-f]{7,}) ", re.MULTILINE)


def settled(home: Path, model: ModelServer) -> dict[str, str]:
    """A new Hermes in ``home`` that asks this model; the environment to start it in, with a proxy that is nowhere.

    Its configuration leaves checkpoints off: a ``Chat`` has them switched on by ``--checkpoints``.
    """
    hermes_home = home / ".hermes"
    configure(hermes_home, enabled=False, model={"default": NAME, "base_url": model.url})
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    alone = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return environment({"HOME": str(home), "HERMES_HOME": str(hermes_home)} | nowhere | alone)


class Chat(Terminal):
    """``hermes chat`` in a workspace, ready for the first prompt."""

    def __init__(self, installation: Installation, workspace: Path, env: dict[str, str], *words: str) -> None:
        command = (installation.hermes, "chat", "--checkpoints", "--toolsets", "file,terminal", *words)
        super().__init__(*command, env=env, cwd=workspace)
        try:
            self.wait_for(_IDLE, 90)
        except AssertionError:
            self.__exit__()
            raise

    def ask(self, prompt: str, answer: str) -> None:
        """Ask, and wait until the answer is there and Hermes at rest."""
        self.type(prompt)
        self.wait_for(re.escape(answer), 60)
        self.wait_for(_IDLE)

    def rollback(self, words: str, shows: str) -> str:
        """``/rollback WORDS``, until a pattern is shown and Hermes is at rest; what it showed."""
        self.type(f"/rollback {words}".rstrip())
        shown = self.wait_for(shows)
        return shown + self.wait_for(_IDLE)

    def restore(self, words: str) -> str:
        """A ``/rollback`` that must succeed; what it showed."""
        return self.rollback(words, "A pre-rollback snapshot was saved automatically")

    def checkpoints(self) -> list[str]:
        """The ids that ``/rollback`` lists, the newest first, which has the number 1."""
        found = _ENTRY.findall(self.rollback("", "/rollback <N> <file>"))
        assert [int(number) for number, _ in found] == list(range(1, len(found) + 1)), found
        return [short for _, short in found]

    def leave(self) -> None:
        """``/exit``, and wait until it is gone."""
        self.type("/exit")
        self.wait_for_the_end()
