"""The self check: what stands in the way of protection is found, and said with what is to be done."""

import os
import sys

import pytest

from fake_distributions import installed, write_distribution
from hermes_checkpoints import Engine, hermes
from hermes_checkpoints.hermes.examination import State, examine, is_protected
from hermes_stand_in import PLACE
from trees import put

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


@pytest.fixture
def look(base, workspace):
    """``look(about)`` is what the self check finds about one thing."""

    def find(what, *, inside=False):
        (one,) = (one for one in examine(workspace, base, inside=inside) if one.about == what)
        return one

    return find


def test_the_check_says_that_without_hermes_nothing_is_protected(base, workspace, look):
    assert not is_protected(examine(workspace, base, inside=False))
    assert look("hermes").state is State.PROBLEM
    assert "pip install hermes-checkpoints" in look("hermes").remedy


def test_where_nothing_stands_in_the_way_the_check_says_so(config, base, workspace):
    found = examine(workspace, base, inside=False)
    assert is_protected(found), found
    assert {one.about for one in found} >= {"hermes", "plugin", "checkpoints", "backend", "store", "room", "trial"}


def test_a_hermes_that_finds_no_plugin_of_ours_is_told_to_install_it(config, look):
    with installed():
        plugin = look("plugin")
    assert plugin.state is State.PROBLEM
    assert "pip install hermes-checkpoints" in plugin.remedy


def test_a_hermes_that_loads_no_plugins_is_not_said_to_be_protected(config, look, monkeypatch):
    assert look("plugin").state is State.OK
    monkeypatch.setenv("HERMES_SAFE_MODE", "1")
    assert look("plugin").state is State.PROBLEM
    assert "HERMES_SAFE_MODE" in look("plugin").told


def test_a_process_that_still_uses_hermes_own_checkpoints_is_found(config, stock, look, monkeypatch):
    assert look("module", inside=True).state is State.PROBLEM
    monkeypatch.setitem(sys.modules, PLACE, hermes)
    assert look("module", inside=True).state is State.OK


def test_the_check_finds_a_store_that_others_may_look_into(base, workspace, look):
    with Engine(store=base) as engine:
        engine.snapshot(workspace)
    (base / "store").chmod(0o755)
    store = look("store")
    assert store.state is State.NOTE
    assert str(base) in store.told


def test_the_check_finds_a_store_of_somebody_else(base, look):
    if os.geteuid() != 0:
        pytest.skip("only root can give something away")
    (base / "store").mkdir(parents=True, mode=0o700)
    os.chown(base / "store", 12345, -1)
    assert look("store").state is State.PROBLEM
    assert "belongs to another user" in look("store").told


def test_a_disk_without_the_room_that_is_to_stay_free_is_a_problem_before_the_first_snapshot(base, look):
    assert look("room").state is State.OK
    put(base, "store/config.toml", "min_free_disk = 1\n")
    assert look("room").state is State.PROBLEM
    assert "100% of the disk" in look("room").told


def test_a_store_that_outgrew_its_budget_is_told_with_the_way_to_shrink_it(config, base, workspace, look):
    put(workspace, "large", os.urandom(3 << 19))
    with Engine(store=base) as engine:
        engine.snapshot(workspace)
    config["max_total_size_mb"] = 1
    assert look("room").state is State.NOTE
    assert "hermes-checkpoints maintain" in look("room").remedy
    config["max_total_size_mb"] = 0  # no limit
    assert look("room").state is State.OK


def test_the_check_tells_where_the_two_configurations_differ(config, base, look):
    put(base, "store/config.toml", "max_snapshots = 7\nbackend = 'cow'\n")
    config |= {"max_snapshots": 20, "max_total_size_mb": 500, "max_file_size_mb": 10, "backend": "shadow-git"}
    assert look("limits").state is State.NOTE
    assert look("limits").told.endswith("max_snapshots 20 and 7, backend shadow-git and cow")


def test_the_check_goes_on_with_a_store_that_cannot_be_used(base, look):
    put(base, "store/config.toml", "max_snapshots = 0\n")
    assert "max_snapshots in config.toml must be" in look("store").told


def test_the_check_tries_a_backend_out_and_leaves_nothing_behind(base, workspace, look, tmp_path, monkeypatch):
    elsewhere = tmp_path / "clones"
    elsewhere.mkdir()
    base.parent.mkdir()
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(elsewhere))
    for backend in ("shadow-git", "cow"):
        monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", backend)
        trial = look("trial")
        assert trial.state is State.OK, trial
        assert trial.told.startswith(backend)
    assert os.listdir(base.parent) == []
    assert [path for path in elsewhere.rglob("*") if path.is_file()] == []
    assert os.listdir(workspace) == ["notes"]


def test_a_backend_that_brings_something_else_back_is_found_out(look, tmp_path, monkeypatch):
    packages = write_distribution(tmp_path / "packages", "forgetful", "forgetful_backend", FORGETFUL)
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", "forgetful")
    with installed(packages):
        trial = look("trial")
    assert trial.state is State.PROBLEM
    assert trial.told.startswith("forgetful did not bring a scratch directory back")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_snapshots": "20", "max_total_size_mb": 500, "max_file_size_mb": 10}, "agree"),
        ({"max_snapshots": 50}, "max_snapshots 50 and 20"),
        ({"max_snapshots": None}, "no number"),
    ],
)
def test_the_check_compares_the_limits_of_hermes_with_those_of_the_command_line(config, look, limits, told):
    config.update(limits)
    assert told in look("limits").told
