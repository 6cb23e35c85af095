"""Profiles of Hermes: the command looks where the agent's snapshots are."""

import os
from pathlib import Path

from commandline import in_a_process


def listed(workspace):
    done = in_a_process("list", workspace)
    assert done.returncode == 0, done.stderr
    return len(done.stdout.splitlines())


def test_the_profile_that_hermes_uses_is_the_one_that_is_looked_into(tmp_path, monkeypatch):
    """`hermes profile use` notes it in a file, and says nothing to other programs."""
    root, workspace = Path(os.environ["HERMES_HOME"]), tmp_path / "workspace"
    profile = root / "profiles" / "work"
    profile.mkdir(parents=True)
    workspace.mkdir()
    with monkeypatch.context() as inside:
        inside.setenv("HERMES_HOME", str(profile))
        assert in_a_process("snapshot", workspace).returncode == 0
    assert listed(workspace) == 0
    (root / "active_profile").write_text("work\n")
    assert listed(workspace) == 1
    for name in ("default", "gone", "../profiles/work", "", "\0"):
        (root / "active_profile").write_text(name)
        assert listed(workspace) == 0
