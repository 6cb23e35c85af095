"""The demonstration, and that it can fail."""

import os
import subprocess
import sys

from hermes_checkpoints.cli import codes, demo
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Restored
from hermes_checkpoints.testing.witness import difference, picture


def test_the_demonstration_proves_that_everything_is_back(workspace, capfdbinary):
    for number in range(12):
        (workspace / "src" / f"{number}.txt").write_text(f"{number}\n")
    before = picture(workspace.parent)
    assert demo.main([str(workspace)]) == 0
    told = capfdbinary.readouterr().out
    assert b"Proved" in told
    assert b"is chosen" in told
    assert difference(before, picture(workspace.parent)) == []  # nothing of it stays behind


def test_the_demonstration_may_be_piped_into_a_pager_that_is_closed(workspace):
    words = [sys.executable, "-m", "hermes_checkpoints.cli.demo", str(workspace)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), complaint) == (codes.BROKEN_PIPE, b"")
    assert os.listdir(workspace.parent) == [workspace.name]


def test_the_demonstration_fails_when_the_tree_is_not_back(workspace, monkeypatch, capfdbinary):
    def only_claims(engine, workspace, ref, *_, **__):
        snapshot = engine.find(workspace, ref)
        return Restored(snapshot, snapshot)

    monkeypatch.setattr(Engine, "restore", only_claims)
    assert demo.main([str(workspace)]) == 1
    assert b"NOT back" in capfdbinary.readouterr().out
