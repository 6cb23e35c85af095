"""The plugin with a stand-in for Hermes around it: being in the place, and what the log says of it."""

import gc
import importlib
import logging
import sys
from types import ModuleType

import pytest

from hermes_checkpoints import hermes
from hermes_checkpoints.hermes import plugin, requests
from hermes_stand_in import PLACE, Agent, Deaf, Hermes


@pytest.fixture
def log(monkeypatch, caplog):
    """What a process that has just started puts into its log."""
    monkeypatch.setattr(plugin, "_announced", set())
    caplog.set_level(logging.INFO, logger=PLACE)
    return caplog


def test_an_agent_gets_our_checkpoints_however_it_imports_them(stock):
    there = Hermes()
    plugin.register(there)
    assert importlib.import_module(PLACE) is hermes
    from tools import checkpoint_manager

    assert checkpoint_manager is hermes


def test_switching_the_plugin_off_in_a_running_process_gives_hermes_its_own_back(stock):
    there = Hermes()
    plugin.register(there)
    there.forget_plugins()
    assert sys.modules[PLACE] is stock
    assert sys.modules["tools"].checkpoint_manager is stock


def test_a_module_that_was_not_imported_before_is_left_for_hermes_to_import(stock, monkeypatch):
    monkeypatch.delitem(sys.modules, PLACE)
    del sys.modules["tools"].checkpoint_manager
    there = Hermes()
    plugin.register(there)
    assert sys.modules["tools"].checkpoint_manager is hermes
    there.forget_plugins()
    assert PLACE not in sys.modules
    assert not hasattr(sys.modules["tools"], "checkpoint_manager")


def test_looking_for_plugins_again_does_not_take_the_protection_away(stock):
    first, second = Hermes(), Hermes()
    plugin.register(first)
    plugin.register(second)
    first.forget_plugins()
    assert sys.modules[PLACE] is hermes
    second.forget_plugins()
    assert sys.modules[PLACE] is stock


def test_somebody_elses_replacement_is_not_taken_away_by_our_end(stock):
    there, theirs = Hermes(), ModuleType(PLACE)
    plugin.register(there)
    sys.modules[PLACE] = theirs
    there.forget_plugins()
    assert sys.modules[PLACE] is theirs


def test_a_hermes_with_a_command_of_that_name_is_protected_all_the_same(stock):
    there = Deaf()
    plugin.register(there)
    gc.collect()
    assert sys.modules[PLACE] is hermes


# What the log says.


def test_the_log_says_once_where_snapshots_go(stock, config, log, base, workspace):
    there = Hermes()
    plugin.register(there)
    plugin.register(there)
    there.invoke("pre_llm_call", session_id="a")
    (told,) = log.records
    assert told.levelno == logging.INFO
    assert told.name == PLACE
    assert f"snapshots of {workspace} go to shadow-git: " in told.getMessage()
    assert not base.exists()


def test_a_log_that_is_set_up_after_the_plugins_is_told_at_the_first_request(stock, config, log, base, workspace):
    log.set_level(logging.WARNING, logger=PLACE)
    there = Hermes()
    plugin.register(there)
    log.set_level(logging.INFO, logger=PLACE)
    assert log.records == []
    there.invoke("pre_llm_call", session_id="a")
    assert "go to shadow-git" in log.text


def test_what_a_conversation_switches_on_is_told_where_the_configuration_has_it_off(
    stock, config, log, base, workspace
):
    config["enabled"] = False
    there, agent = Hermes(), Agent()
    plugin.register(there)
    requests.join(agent)
    for _ in range(2):
        there.invoke("pre_llm_call", session_id="a")
    requests.end_request()
    off, on = (record.getMessage() for record in log.records)
    assert "switched off" in off
    assert "go to shadow-git" in on


@pytest.mark.parametrize(
    ("enabled", "level", "words"),
    [
        (True, logging.WARNING, "No installed package offers a backend"),
        (False, logging.INFO, "switched off"),
    ],
)
def test_what_keeps_snapshots_from_being_taken_is_a_warning_only_where_they_are_wanted(
    stock, config, log, base, workspace, enabled, level, words
):
    config |= {"enabled": enabled, "backend": "none-such"}
    plugin.register(Hermes())
    (told,) = log.records
    assert told.levelno == level
    assert words in told.getMessage()
    assert "none-such" in told.getMessage()


def test_a_broken_configuration_does_not_keep_hermes_from_starting(stock, config, log, base, workspace):
    (base / "store").mkdir(parents=True)
    (base / "store" / "config.toml").write_text("backend =")
    there = Hermes()
    plugin.register(there)
    assert sys.modules[PLACE] is hermes
    assert log.records[0].levelno == logging.WARNING
    assert "config.toml is not TOML" in log.text


def test_a_home_directory_is_not_said_to_be_protected(stock, config, log, base, clean_environment, monkeypatch):
    monkeypatch.setenv("TERMINAL_CWD", str(clean_environment))
    plugin.register(Hermes())
    assert log.records[0].levelno == logging.WARNING
    assert f"{clean_environment} is not protected: it is your home directory" in log.text
