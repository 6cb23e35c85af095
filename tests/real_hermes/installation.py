"""The real Hermes Agent with this package beside it, in a venv of its own, as a user has them."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

VERSION = "0.19.0"
ROOT = Path(__file__).resolve().parents[2]


class Installation:
    """A venv with hermes-agent and hermes-checkpoints in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "bin" / "python"
        self.hermes = directory / "bin" / "hermes"
        self.checkpoints = directory / "bin" / "hermes-checkpoints"

    def run(self, code: str, given: Any = None, **more: Any) -> Any:
        """Run Python code in it; ``given`` is JSON on its standard input, the answer the last line that it prints."""
        return json.loads(self._output([self.python, "-c", code], json.dumps(given), **more).splitlines()[-1])

    def command(self, *words: str, **more: Any) -> str:
        """What ``hermes WORDS`` prints."""
        return self._output([self.hermes, *words], "", **more)

    def _output(
        self, command: list[str | Path], given: str, *, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            env=environment(env),
            cwd=cwd,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def configure(
    hermes_home: Path | None = None, *, plugin: bool = True, model: dict[str, Any] | None = None, **checkpoints: Any
) -> None:
    """Write ``config.yaml``: the plugin on or off, the section about us, a model (by default one that nobody reaches).

    Nothing is asked, looked up, downloaded or installed: what would be is switched off.
    """
    hermes_home = hermes_home or Path(os.environ["HERMES_HOME"])
    hermes_home.mkdir(parents=True, exist_ok=True)
    nobody = {"default": "none", "base_url": "http://127.0.0.1:9/v1"}
    settings = {
        "plugins": {"enabled": ["hermes-checkpoints"] if plugin else []},
        "model": {"provider": "custom", "api_key": "none", "context_length": 128_000} | (model or nobody),
        "checkpoints": {"enabled": True} | checkpoints,
        "approvals": {"mode": "off"},
        "model_catalog": {"enabled": False},
        "curator": {"enabled": False},
        "security": {"allow_lazy_installs": False, "tirith_enabled": False},
    }
    (hermes_home / "config.yaml").write_text(json.dumps(settings))  # JSON is YAML


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """The test's own environment (a home of its own), and what is added to it."""
    return os.environ | {"PYTHONWARNINGS": "ignore"} | (more or {})


def install(parent: Path) -> Installation:
    """The installation in ``parent``, made when it is not there yet or metadata of ours has changed since."""
    metadata = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    found, mark = Installation(parent / VERSION), parent / f"{VERSION}.made-of"
    if not mark.is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", found.directory], check=True, timeout=120)
    if not mark.is_file() or mark.read_text() != metadata:
        pip = [found.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"hermes-agent=={VERSION}", "--editable", ROOT], check=True, timeout=600)
        mark.write_text(metadata)
    return found
