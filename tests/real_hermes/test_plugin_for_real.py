"""The plugin in the real Hermes: switched on and off by people, looked for anew, asked in a conversation."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from chat import Chat, settled
from hermes_checkpoints import Engine
from hermes_checkpoints.testing.witness import difference, picture
from installation import environment
from model_server import Call, ModelServer

LOOK = """
import json, sys, importlib
from hermes_logging import setup_logging
setup_logging(mode="cli")
from hermes_cli import plugins
from hermes_cli.commands import resolve_command
plugins.discover_plugins()
handler = plugins.get_plugin_command_handler("checkpoints")
from tools.checkpoint_manager import CheckpointManager
import tools
print(json.dumps({
    "manager": CheckpointManager.__module__,
    "attribute": tools.checkpoint_manager.__name__,
    "conflict": resolve_command("checkpoints") is not None,
    "told": plugins.resolve_plugin_command_result(handler("check")) if handler else None,
}))
"""
AGAIN = """
import gc, json, sys
from hermes_cli import plugins
from hermes_cli.config import load_config, save_config

def at_work():
    from tools.checkpoint_manager import CheckpointManager
    return CheckpointManager.__module__.partition(".")[0]

def look_again(*enabled):
    config = load_config()
    config["plugins"]["enabled"] = [*enabled]
    save_config(config)
    plugins.discover_plugins(force=True)
    return at_work(), plugins.get_plugin_command_handler("checkpoints") is not None

if json.load(sys.stdin):
    import tools.checkpoint_manager
plugins.discover_plugins()
first = at_work()
print(json.dumps([first, *map(list, (look_again("hermes-checkpoints"), look_again(), look_again("hermes-checkpoints"),
                                     look_again()))]))
"""
MANAGE = """
import json, sys
from hermes_cli.plugins import discover_plugins
discover_plugins()
from tools.checkpoint_manager import CheckpointManager
given = json.load(sys.stdin)
manager = CheckpointManager(enabled=True)
print(json.dumps([manager.ensure_checkpoint(given, "turn"), len(manager.list_checkpoints(given))]))
"""


@pytest.fixture
def switch(installation):
    """``switch("enable")`` runs ``hermes-checkpoints hermes enable``; its exit code and its document."""

    def run(*words, cwd=None):
        command = [installation.checkpoints, "hermes", *words, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=cwd, timeout=180)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def settings_of(changes):
    return [(one["setting"], one["before"], one["after"]) for one in changes["changes"]]


def agent_log():
    return Path(os.environ["HERMES_HOME"], "logs", "agent.log").read_text()


def test_switched_on_every_process_of_hermes_uses_it_and_says_so_in_its_log(installation, switch, workspace):
    code, status = switch("status", workspace)
    assert (code, status["protected"]) == (6, False)
    assert {one["about"] for one in status["findings"] if one["state"] == "problem"} == {"plugin", "checkpoints"}

    code, changes = switch("enable", "--backend", "shadow-git")
    assert code == 0
    assert settings_of(changes) == [
        ("the plugin", "not enabled", "enabled"),
        ("checkpoints.backend", "not set", "shadow-git"),
        ("checkpoints.enabled", "false", "true"),
    ]
    code, status = switch("status", workspace)
    assert (code, status["protected"]) == (0, True), status
    assert switch("enable", "--backend", "shadow-git") == (0, {"changes": []})

    found = installation.run(LOOK, cwd=workspace)
    assert found["manager"].startswith("hermes_checkpoints.")
    assert found["attribute"] == "hermes_checkpoints.hermes"
    assert not found["conflict"]
    assert "✗" not in found["told"]
    assert found["told"].count("✓") == 9
    told = [line for line in agent_log().splitlines() if "takes the place of tools.checkpoint_manager" in line]
    assert len(told) == 1
    assert " INFO " in told[0]
    assert f"snapshots of {workspace} go to shadow-git: " in told[0]


def test_what_enable_says_takes_each_change_back_does_so(installation, switch):
    before = switch("status")[1]["findings"]
    _, changes = switch("enable", "--backend", "cow")
    for change in changes["changes"]:
        program, *words = change["undo"].split()
        command = {"hermes": installation.hermes, "hermes-checkpoints": installation.checkpoints}[program]
        subprocess.run([command, *words], check=True, capture_output=True, env=environment(), timeout=60)
    after = switch("status")[1]["findings"]
    told = [one["told"].replace(" is disabled ", " is not enabled ") for one in after]
    assert [re.sub("[0-9.]+ GB", "", one) for one in told] == [re.sub("[0-9.]+ GB", "", one["told"]) for one in before]


def test_a_backend_that_there_is_not_is_refused_before_anything_is_changed(switch):
    code, document = switch("enable", "--backend", "none-such")
    assert code == 1
    assert document["error"]["kind"] == "UnknownBackend"
    assert not Path(os.environ["HERMES_HOME"], "config.yaml").exists()


def test_switched_off_hermes_works_with_its_own_checkpoints_and_ours_are_still_there(installation, switch, workspace):
    switch("enable")
    (workspace / "file").write_text("one\n")
    assert installation.run(MANAGE, str(workspace)) == [True, 1]
    before = picture(workspace)
    assert settings_of(switch("disable")[1]) == [("the plugin", "enabled", "disabled")]
    assert switch("disable") == (0, {"changes": []})
    (workspace / "file").write_text("two\n")
    assert installation.run(MANAGE, str(workspace)) == [True, 1]
    assert installation.run(LOOK, cwd=workspace)["manager"] == "tools.checkpoint_manager"
    with Engine() as engine:
        (ours,) = (one for one in engine.list(workspace) if one.backend != "hermes-v2")
        engine.restore(workspace, ours.id)
    assert difference(before, picture(workspace)) == []

    assert settings_of(switch("enable")[1]) == [("the plugin", "disabled", "enabled")]
    assert installation.run(LOOK, cwd=workspace)["attribute"] == "hermes_checkpoints.hermes"


@pytest.mark.parametrize("loaded", [True, False], ids=["stock loaded before", "stock never loaded"])
def test_a_hermes_that_looks_for_plugins_again_uses_what_is_switched_on_by_then(installation, switch, loaded):
    switch("enable")
    ours, stock = "hermes_checkpoints", "tools"
    seen = installation.run(AGAIN, loaded)
    assert seen == [ours, [ours, True], [stock, False], [ours, True], [stock, False]]


def test_a_broken_store_does_not_keep_hermes_from_starting(installation, switch, workspace):
    switch("enable")
    config = Path(os.environ["HERMES_HOME"], "checkpoints", "store", "config.toml")
    config.parent.mkdir(parents=True, mode=0o700)
    config.write_text("backend =")
    found = installation.run(LOOK, cwd=workspace)
    assert found["attribute"] == "hermes_checkpoints.hermes"
    assert "config.toml is not TOML" in found["told"]
    assert re.search("WARNING .*takes the place .*config.toml is not TOML", agent_log())


def test_a_project_cannot_slip_code_of_its_own_into_the_commands_that_switch(switch, workspace):
    slipped = workspace / "slipped"
    (workspace / "utils.py").write_text(f"open({str(slipped)!r}, 'w')\n")
    (workspace / "hermes_constants.py").write_text(f"open({str(slipped)!r}, 'w')\n")
    assert switch("enable", cwd=workspace)[0] == 0
    assert not slipped.exists()


def test_in_a_conversation_a_rollback_can_be_taken_back(installation, fresh_directory, workspace):
    (workspace / "notes").write_text("first\n")
    call = Call("write_file", {"path": "notes", "content": "second\n"})
    with ModelServer({"Change it": [[call], "It is changed."]}) as model:
        env = settled(fresh_directory / "home", model)
        with Chat(installation, workspace, env) as chat:
            chat.ask("Change it", "It is changed.")
            chat.type("/checkpoints")
            shown = chat.wait_for("1 of them, the newest ")
            assert "switched on in this session" in shown
            assert "✗" not in shown
            chat.restore("1")
            assert (workspace / "notes").read_text() == "first\n"
            chat.type("/checkpoints undo")
            chat.wait_for("written: notes")
            assert (workspace / "notes").read_text() == "second\n"
            chat.type("/checkpoints redo")
            chat.wait_for("/checkpoints undo goes back to it")
            assert (workspace / "notes").read_text() == "first\n"
