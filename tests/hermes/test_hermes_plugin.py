"""The plugin with a stand-in for Hermes around it: being in the place, what it says, requests, ``/checkpoints``."""

import asyncio
import gc
import importlib
import logging
import os
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from fake_distributions import installed, write_distribution
from hermes_checkpoints import Engine, hermes
from hermes_checkpoints.hermes import command, plugin, requests
from hermes_checkpoints.hermes.examination import State, examine, is_protected
from hermes_checkpoints.hermes.trial import try_out
from hermes_checkpoints.testing.witness import difference, picture

PLACE = "tools.checkpoint_manager"


class Hermes:
    """What holds on to what a plugin registers."""

    def __init__(self):
        self.hooks, self.commands = {}, {}

    def register_hook(self, hook_name, callback):
        self.hooks.setdefault(hook_name, []).append(callback)

    def register_command(self, name, handler, description="", args_hint=""):
        self.commands[name] = handler

    def invoke(self, hook, **given):
        return [callback(**given) for callback in self.hooks[hook]]

    def forget_plugins(self):
        self.hooks.clear()
        self.commands.clear()
        gc.collect()


class Deaf(Hermes):
    """One that has a command of the name already."""

    def register_command(self, name, handler, description="", args_hint=""):
        return None


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
    """The configuration that Hermes would read: the section about checkpoints may be changed."""
    section = {"enabled": True}
    package, module = ModuleType("hermes_cli"), ModuleType("hermes_cli.config")
    package.__spec__ = ModuleSpec("hermes_cli", None)
    module.load_config = lambda: {"checkpoints": section}
    monkeypatch.setitem(sys.modules, "hermes_cli", package)
    monkeypatch.setitem(sys.modules, "hermes_cli.config", module)
    return section


@pytest.fixture
def log(monkeypatch, caplog):
    """What a process that has just started puts into its log."""
    monkeypatch.setattr(plugin, "_announced", [])
    caplog.set_level(logging.INFO, logger=PLACE)
    return caplog


@pytest.fixture
def base(clean_environment, monkeypatch):
    """Where the module looks for the store; made when there is something to keep."""
    base = clean_environment / ".hermes" / "checkpoints"
    base.parent.mkdir()
    monkeypatch.setattr(hermes, "CHECKPOINT_BASE", base)
    return base


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    workspace = tmp_path / "project"
    workspace.mkdir()
    (workspace / "notes").write_text("first\n")
    monkeypatch.setenv("TERMINAL_CWD", str(workspace))
    return workspace


def ask(words=""):
    return asyncio.run(command.answer(words))


# Being in the place.


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


# Requests.


class Agent:
    """As far as requests see it."""

    def __init__(self):
        self.ended = []
        self.last_outcome = {"taken": True, "why": "taken", "message": "", "directory": ""}

    def request_ended(self):
        self.ended.append(threading.current_thread())


@pytest.fixture
def there(stock):
    there = Hermes()
    plugin.register(there)
    yield there
    requests.end_request()


def test_what_is_done_for_one_request_has_one_name_and_nothing_afterwards_has(there):
    there.invoke("pre_llm_call", session_id="a", turn_id="a:1", user_message="do it", conversation_history=[])
    assert [requests.current_request(), requests.current_request()] == ["a:1", "a:1"]
    there.invoke("on_session_end", session_id="a", turn_id="a:1", interrupted=True)
    assert requests.current_request() is None


def test_requests_of_a_hermes_that_names_none_are_told_apart(there):
    names = set()
    for _ in range(2):
        there.invoke("pre_llm_call", session_id="a")
        names.add(requests.current_request())
    assert len(names - {None}) == 2


def test_no_hook_puts_anything_into_the_prompt(there):
    answers = [there.invoke(hook, session_id="a", child_session_id="b", parent_turn_id="c") for hook in there.hooks]
    assert answers == [[None]] * 4


def test_a_manager_hears_of_the_end_of_its_own_request_only_and_once(there):
    mine, other = Agent(), Agent()

    def elsewhere():
        there.invoke("pre_llm_call", session_id="b")
        requests.join(other)

    there.invoke("pre_llm_call", session_id="a")
    requests.join(mine)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    there.invoke("on_session_end", session_id="a")
    there.invoke("on_session_end", session_id="a")
    assert mine.ended == [threading.current_thread()]
    assert other.ended == []


def test_a_request_that_broke_off_ends_before_the_next_one_begins(there):
    agent = Agent()
    there.invoke("pre_llm_call", session_id="a")
    requests.join(agent)
    there.invoke("pre_llm_call", session_id="a")
    assert len(agent.ended) == 1


def test_an_agent_is_not_kept_alive_by_its_request(there):
    there.invoke("pre_llm_call", session_id="a")
    agents = [Agent()]
    requests.join(agents[0])
    assert agents[0] in requests.managers()
    before = len(requests.managers())
    agents.clear()
    gc.collect()
    assert len(requests.managers()) == before - 1


def test_what_subagents_of_subagents_do_belongs_to_the_request_of_the_person(there):
    names = []

    def child(session, turn, then=lambda: None):
        def work():
            there.invoke("pre_llm_call", session_id=session, turn_id=turn)
            names.append(requests.current_request())
            then()
            there.invoke("on_session_end", session_id=session)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def delegate():
        there.invoke("subagent_start", parent_session_id="b", parent_turn_id="b:1", child_session_id="c")
        child("c", "c:1")

    there.invoke("pre_llm_call", session_id="a", turn_id="a:1")
    there.invoke("subagent_start", parent_session_id="a", parent_turn_id="a:1", child_session_id="b")
    child("b", "b:1", delegate)
    there.invoke("subagent_stop", parent_session_id="a", child_session_id="b")
    assert requests.current_request() == "a:1"
    child("b", "b:2")  # a session of its own by now
    assert names == ["a:1", "a:1", "b:2"]


# /checkpoints


def test_the_status_names_backend_newest_snapshot_and_store(config, base, workspace):
    with Engine(store=base) as engine:
        taken = engine.snapshot(workspace, "before write_file").snapshot
    told = ask()
    assert f"Checkpoints of {workspace}\n" in told
    assert f"go to {taken.backend}: " in told
    assert f"1 of them, the newest {taken.short_id} of " in told
    assert "before write_file" in told
    assert f"in {base}" in told
    assert "✗" not in told


def test_the_status_says_when_the_protection_is_off_and_how_to_switch_it_on(config, base, workspace):
    config["enabled"] = False
    told = ask("status")
    assert "✗ checkpoints: switched off" in told
    assert "hermes-checkpoints hermes enable" in told


def test_the_status_tells_of_a_save_that_failed(config, base, workspace):
    agent = Agent()
    agent.last_outcome = {"taken": False, "why": "failed", "message": "the disk is full", "directory": "/work"}
    requests.join(agent)
    assert "✗ /work could not be saved when it was tried last: the disk is full" in ask()


def test_undo_and_redo_say_what_they_wrote_deleted_and_kept(config, base, workspace):
    with Engine(store=base) as engine:
        first = engine.snapshot(workspace, "first").snapshot
        (workspace / "notes").write_text("second\n")
        (workspace / "new").write_text("new\n")
        after = picture(workspace)
        engine.restore(workspace, first.id)
    (workspace / "mine").write_text("edited since\n")
    told = ask("undo")
    assert "again as it was before the last rollback" in told
    assert "written: new, notes" in told or "written: notes, new" in told
    assert "/checkpoints redo" in told
    assert "kept as it is: mine" in told
    (workspace / "mine").unlink()
    assert difference(after, picture(workspace)) == []
    assert "deleted: new" in ask("redo")
    assert (workspace / "notes").read_text() == "first\n"


def test_what_cannot_be_undone_is_said_and_nothing_is_changed(config, base, workspace):
    before = picture(workspace)
    assert "has nothing to undo" in ask("undo")
    assert difference(before, picture(workspace)) == []


def test_a_word_that_is_not_understood_restores_nothing_and_gets_help(config, base, workspace):
    assert ask("undo everything") == ask("help")
    assert "/checkpoints undo" in ask("help")


def test_names_and_reasons_in_the_answers_cannot_act_on_a_terminal(config, base, workspace, monkeypatch):
    hostile = workspace / "\x1b[2Jdirectory"
    hostile.mkdir()
    monkeypatch.setenv("TERMINAL_CWD", str(hostile))
    with Engine(store=base) as engine:
        (hostile / "x").write_text("x")
        first = engine.snapshot(hostile, "\x1b]0;title\x07").snapshot
        told = [ask("status")]
        (hostile / "\x1b[31mred").write_text("red")
        engine.restore(hostile, first.id)
    told += [ask(word) for word in ("status", "check", "undo", "redo")]
    assert "\x1b" not in "".join(told)
    assert [word for word in told if "failed" in word] == []


# The self check.


def about(found, what):
    (one,) = (one for one in found if one.about == what)
    return one


def test_the_check_says_that_without_hermes_nothing_is_protected(base, workspace):
    found = examine(workspace, base, inside=False)
    assert not is_protected(found)
    assert about(found, "hermes").state is State.PROBLEM
    assert "pip install hermes-checkpoints" in about(found, "hermes").remedy


def test_the_check_tries_a_backend_out_and_leaves_nothing_behind(base, workspace, tmp_path, monkeypatch):
    elsewhere = tmp_path / "clones"
    elsewhere.mkdir()
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(elsewhere))
    for backend in ("shadow-git", "cow"):
        monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", backend)
        trial = about(examine(workspace, base, inside=False), "trial")
        assert trial.state is State.OK, trial
        assert trial.told.startswith(backend)
    assert os.listdir(base.parent) == []
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == []
    assert os.listdir(workspace) == ["notes"]


FORGETFUL = """
    import os
    from hermes_checkpoints.contract import Fitness, Suitability
    from hermes_checkpoints.contract.hooks import hookimpl
    from hermes_checkpoints.testing.memory import MemoryBackend

    class Forgetful(MemoryBackend):
        name = {name!r}

        def materialise(self, entry, dir_fd, name):
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=dir_fd)
            os.write(fd, b"something else")
            return fd

    @hookimpl
    def hermes_checkpoints_backend():
        return Forgetful
"""


def test_a_backend_that_brings_something_else_back_is_found_out(tmp_path):
    packages = write_distribution(tmp_path / "packages", "forgetful", "forgetful_backend", FORGETFUL)
    with installed(packages):
        assert try_out("forgetful", tmp_path) == ("forgetful", False)


def test_the_check_finds_a_store_that_others_may_look_into(base, workspace):
    with Engine(store=base) as engine:
        engine.snapshot(workspace)
    (base / "store").chmod(0o755)
    store = about(examine(workspace, base, inside=False), "store")
    assert store.state is State.PROBLEM
    assert f"chmod 700 {base}/store" in store.remedy


def test_the_check_tells_where_the_two_configurations_differ(config, base, workspace):
    (base / "store").mkdir(parents=True, mode=0o700)
    (base / "store" / "config.toml").write_text("max_snapshots = 7\nbackend = 'cow'\n")
    config |= {"max_snapshots": 20, "max_total_size_mb": 500, "max_file_size_mb": 10, "backend": "shadow-git"}
    limits = about(examine(workspace, base, inside=False), "limits")
    assert limits.state is State.NOTE
    assert limits.told.endswith("max_snapshots 20 and 7, backend shadow-git and cow")


def test_the_check_goes_on_with_a_store_that_cannot_be_used(base, workspace):
    (base / "store").mkdir(parents=True)
    (base / "store" / "config.toml").write_text("max_snapshots = 0\n")
    found = examine(workspace, base, inside=False)
    assert "max_snapshots in config.toml must be" in about(found, "store").told
