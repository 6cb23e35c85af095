"""Fixtures of the command line's tests."""

import json
from typing import NamedTuple

import pytest

from commandline import add_snapshots
from hermes_checkpoints.cli.program import main


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str

    @property
    def json(self):
        assert self.out.isascii()
        assert self.out.endswith(b"}\n")
        return json.loads(self.out)

    @property
    def rows(self):
        return [line.split("\t") for line in self.out.decode().splitlines()]


@pytest.fixture
def run(capfdbinary):
    """Runs the command in this process, as in a pipe."""

    def run(*words):
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capfdbinary.readouterr()
        return Ran(code, out, err.decode())

    return run


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A tree that the current directory is in."""
    workspace = tmp_path / "work"
    (workspace / "src").mkdir(parents=True)
    (workspace / "src" / "main.py").write_text("print('one')\n")
    (workspace / "notes.txt").write_text("first\n")
    (workspace / "link").symlink_to("notes.txt")
    monkeypatch.chdir(workspace)
    return workspace


@pytest.fixture
def base(clean_environment):
    """Where the store is by default."""
    return clean_environment / ".hermes" / "checkpoints"


@pytest.fixture
def other(run, tmp_path):
    """Another workspace, with one snapshot that is older than all else."""
    other = tmp_path / "other"
    other.mkdir()
    add_snapshots(run, other, 1)
    return other
