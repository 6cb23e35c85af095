"""The drop-in for Hermes in our own process; there is no Hermes in it."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from weakref import WeakKeyDictionary

import pytest

from checkpoints import Checkpoints
from hermes_checkpoints import hermes
from hermes_checkpoints.hermes import plugin, requests
from hermes_stand_in import PLACE
from trees import BACKENDS


@pytest.fixture(autouse=True)
def base(clean_environment, monkeypatch):
    """Where the checkpoints of a test go: the module has looked for a home when it was imported, long ago."""
    directory = clean_environment / ".hermes" / "checkpoints"
    monkeypatch.setattr(hermes, "CHECKPOINT_BASE", directory)
    return directory


@pytest.fixture(autouse=True)
def no_other_agents(monkeypatch):
    """The agents of earlier tests are not of this process, for whoever asks which there are."""
    monkeypatch.setattr(requests, "_managers", WeakKeyDictionary())


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    """Each backend of ours in turn, chosen as users do."""
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", request.param)
    return request.param


@pytest.fixture
def project(tmp_path):
    """A small workspace with what projects have."""
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "pyproject.toml").write_text("[project]\n")
    (directory / "src" / "main.py").write_text("first\n")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    return directory


@pytest.fixture
def manager(backend):
    """An agent's manager, switched on."""
    made = hermes.CheckpointManager(enabled=True)
    yield made
    made.close()


@pytest.fixture
def turn(manager, project):
    """``turn(reason)``: a turn begins and saves the project; the hash of the checkpoint."""

    def begin(reason="before write_file"):
        manager.new_turn()
        assert manager.ensure_checkpoint(str(project), reason), manager.last_outcome
        return manager.last_outcome["hash"]

    return begin


@pytest.fixture(params=BACKENDS)
def made(request, fresh_directory):
    """A base and workspaces for maintenance, with each backend."""
    return Checkpoints(fresh_directory, request.param)


@pytest.fixture
def old(fresh_directory):
    """Likewise, for what no backend has a part in."""
    checkpoints = Checkpoints(fresh_directory, "shadow-git")
    checkpoints.base.mkdir()
    return checkpoints


@pytest.fixture
def stock(monkeypatch):
    """Hermes's own module, imported already, in its package."""
    tools, own = ModuleType("tools"), ModuleType(PLACE)
    tools.__path__, tools.checkpoint_manager = [], own
    monkeypatch.setitem(sys.modules, "tools", tools)
    monkeypatch.setitem(sys.modules, PLACE, own)
    yield own
    plugin.uninstall()


@pytest.fixture
def config(monkeypatch):
    """The configuration that Hermes would read, with the plugin enabled; the section about checkpoints."""
    section = {"enabled": True}
    package, module = ModuleType("hermes_cli"), ModuleType("hermes_cli.config")
    package.__spec__ = ModuleSpec("hermes_cli", None)
    module.load_config = lambda: {"checkpoints": section, "plugins": {"enabled": ["hermes-checkpoints"]}}
    monkeypatch.setitem(sys.modules, "hermes_cli", package)
    monkeypatch.setitem(sys.modules, "hermes_cli.config", module)
    return section


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Where a conversation with Hermes is held."""
    workspace = tmp_path / "project"
    workspace.mkdir()
    (workspace / "notes").write_text("first\n")
    monkeypatch.setenv("TERMINAL_CWD", str(workspace))
    return workspace
