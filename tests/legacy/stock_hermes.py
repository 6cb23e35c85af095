"""Hermes Agent's own checkpoint manager, the real one, run in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

VERSION = "0.19.0"
_CALL = """
import json, sys
from tools import checkpoint_manager
name, given = json.load(sys.stdin)
manager = checkpoint_manager.CheckpointManager(enabled=True, **given.pop("manager", {}))
called = getattr(manager, name, None) or getattr(checkpoint_manager, name)
print(json.dumps(called(**given)))
"""


def install(directory: Path) -> None:
    """Put Hermes and the one library that its module needs into a directory, or raise ``CalledProcessError``."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", directory]
    subprocess.run([*command, f"hermes-agent=={VERSION}", "pyyaml"], check=True, capture_output=True, timeout=300)


class StockHermes:
    """Calls the real module; where it keeps its store is for ``HERMES_HOME`` to say."""

    def __init__(self, installed: Path) -> None:
        self.installed = installed

    @property
    def base(self) -> Path:
        return Path(os.environ["HERMES_HOME"]) / "checkpoints"

    def call(self, name, **given):
        environment = os.environ | {"PYTHONPATH": str(self.installed), "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            [sys.executable, "-c", _CALL],
            input=json.dumps([name, given]),
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def take(self, workspace, reason="turn", **manager):
        assert self.call("ensure_checkpoint", working_dir=str(workspace), reason=reason, manager=manager)

    def ids(self, workspace):
        """Newest first."""
        return [row["hash"] for row in self.call("list_checkpoints", working_dir=str(workspace))]

    def restore(self, workspace, commit):
        answer = self.call("restore", working_dir=str(workspace), commit_hash=commit)
        assert answer["success"], answer
