"""Pruning at start-up, figures and clearing, as Hermes asks for them."""

import json
import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from checkpoints import DAY, MB, NOTHING
from hermes_checkpoints import hermes
from hermes_checkpoints.hermes.maintenance import (
    clear_all,
    clear_legacy,
    maybe_auto_prune_checkpoints,
    prune_checkpoints,
    store_status,
)
from hermes_checkpoints.kit.store.locks import locked
from trees import put, seconds

EMPTY = {
    **dict.fromkeys(("total_size_bytes", "store_size_bytes", "legacy_size_bytes", "project_count"), 0),
    "projects": [],
    "legacy_archives": [],
    "pre_v2_projects": [],
}


def test_a_start_up_forgets_what_is_gone_and_stale_and_leaves_the_reclaiming_to_others(made):
    gone, stale = made.take(made.workspaces / "gone", 2), made.take(made.workspaces / "stale", 2)
    shutil.rmtree(gone)
    made.not_used_for(stale, 8)
    archive = made.archive(days=9)
    assert maybe_auto_prune_checkpoints(checkpoint_base=made.base) == {
        "skipped": False,
        "result": NOTHING | {"scanned": 2, "deleted_orphan": 1, "deleted_stale": 2},
    }
    assert (made.ids(gone), len(made.ids(stale))) == ([], 1)
    assert not archive.exists()
    assert made.size() > MB, "nobody waited for that"
    with made.engine() as engine:
        engine.upkeep.maintain()
    assert made.size() < MB // 2


def test_the_background_gives_the_space_back_and_keeps_to_the_size(made, monkeypatch):
    gone, large = made.take(made.workspaces / "gone", 2), made.take(made.workspaces / "large", 12, size=MB // 2)
    shutil.rmtree(gone)
    archive = made.archive(days=9)
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKGROUND", "1")
    maybe_auto_prune_checkpoints(checkpoint_base=made.base, max_total_size_mb=4)
    with seconds(300):
        while made.size() > 3 * MB:
            time.sleep(0.05)
    with locked(made.base / "store" / "locks" / "upkeep"):  # it is done
        pass
    assert 1 <= len(made.ids(large)) < 8
    assert not archive.exists()
    assert not [*(made.base / "store").glob("cleared-*")]


def test_within_the_interval_nothing_is_looked_at(made):
    made.take(made.workspaces / "mine")
    maybe_auto_prune_checkpoints(checkpoint_base=made.base)
    gone = made.take(made.workspaces / "gone")
    shutil.rmtree(gone)
    assert abs(float(made.marker.read_text()) - time.time()) < 60
    assert maybe_auto_prune_checkpoints(checkpoint_base=made.base) == {"skipped": True}
    assert len(made.ids(gone)) == 1
    made.marker.write_text(str(time.time() - 25 * 3600))
    assert maybe_auto_prune_checkpoints(checkpoint_base=made.base)["result"]["deleted_orphan"] == 1
    assert maybe_auto_prune_checkpoints(min_interval_hours=0, checkpoint_base=made.base)["skipped"] is False


@pytest.mark.parametrize("mark", [b"", b"yesterday", b"\xff\xfe", b"nan", b"inf", b"-inf", b"99999999999", None])
def test_a_mark_that_cannot_be_believed_does_not_keep_the_store_from_being_pruned(old, mark):
    workspace = old.take(old.workspaces / "gone")
    shutil.rmtree(workspace)
    old.marker.mkdir() if mark is None else old.marker.write_bytes(mark)
    answer = maybe_auto_prune_checkpoints(checkpoint_base=old.base)
    assert (answer["skipped"], answer["result"]["deleted_orphan"]) == (False, 1)
    assert "error" not in answer
    assert sorted(path.name for path in old.base.iterdir()) == [".last_prune", "store"]


def test_a_start_up_does_not_wait_for_an_agent_at_work(made, caplog):
    gone = made.take(made.workspaces / "gone", 2)
    shutil.rmtree(gone)
    with locked(made.base / "store" / "locks" / made.workspace_id(gone)), seconds(20):  # a lock is waited for 30
        answer = maybe_auto_prune_checkpoints(checkpoint_base=made.base)
    assert answer["result"] == NOTHING | {"scanned": 1, "errors": 2}
    assert ["somebody is at work in it" in record.message for record in caplog.records] == [True, True]
    assert len(made.ids(gone)) == 2


def test_the_figures_are_those_that_hermes_shows(made):
    live, gone = made.take(made.workspaces / "live", 3), made.take(made.workspaces / "gone")
    shutil.rmtree(gone)
    archive, repository = made.archive(days=3), made.repository(live, days=2)
    told = store_status(made.base)
    assert told.keys() == {"base", *EMPTY}
    assert told["base"] == str(made.base)
    assert told["project_count"] == 2
    projects = {project["workdir"]: project for project in told["projects"]}
    assert projects.keys() == {str(live), str(gone)}
    for workspace, exists, commits in ((live, True, 3), (gone, False, 1)):
        project = projects[str(workspace)]
        assert project.keys() == {"hash", "workdir", "exists", "created_at", "last_touch", "commits"}
        assert project["hash"] == made.workspace_id(workspace)
        assert (project["exists"], project["commits"]) == (exists, commits)
        assert time.time() - 60 < project["created_at"] <= project["last_touch"] <= time.time()
    (listed,) = told["legacy_archives"]
    assert (listed["name"], time.time() - listed["mtime"]) == (archive.name, pytest.approx(3 * DAY, abs=60))
    (standing,) = told["pre_v2_projects"]
    assert (standing["name"], standing["workdir"], standing["exists"]) == (repository.name, str(live), True)
    assert time.time() - standing["mtime"] == pytest.approx(2 * DAY, abs=60)
    assert 100_000 <= listed["size_bytes"] == told["legacy_size_bytes"] <= 150_000
    assert 100_000 <= standing["size_bytes"] <= 150_000
    assert told["store_size_bytes"] >= MB
    assert told["total_size_bytes"] == pytest.approx(made.size(), abs=50_000)
    assert json.loads(json.dumps(told)) == told


def test_a_name_that_is_not_utf_8_can_be_shown(made):
    made.take(made.workspaces / os.fsdecode(b"n\xffme"))
    (project,) = store_status(made.base)["projects"]
    assert project["workdir"].encode() == os.fsencode(made.workspaces) + b"/n\\377me"


# Clearing.


def test_clearing_removes_everything_of_ours_and_of_hermes_and_nothing_else(made):
    workspace = made.take(made.workspaces / "mine", 3)
    with made.engine() as engine:
        engine.upkeep.pin(engine.list(workspace)[0], "pinned")
    made.archive()
    made.repository(workspace)
    put(made.base, "legacy-app/file", "mine")
    put(made.base, "store/config.toml", "max_snapshots = 5\n")
    before = made.size()
    answer = clear_all(made.base)
    assert answer == {"deleted": True, "bytes_freed": pytest.approx(before - made.size(), abs=50_000)}
    assert made.ids(workspace) == []
    assert store_status(made.base)["total_size_bytes"] < 50_000
    assert sorted(path.name for path in made.base.iterdir()) == ["legacy-app", "store"]
    assert (made.base / "store" / "config.toml").is_file()
    made.take(workspace)
    assert len(made.ids(workspace)) == 1


def test_clearing_where_no_store_is_makes_none(old):
    old.archive()
    old.repository(Path("/somewhere"))
    answer = clear_all(old.base)
    assert answer["deleted"] is True
    assert answer["bytes_freed"] >= 200_000
    assert [*old.base.iterdir()] == []


def test_only_archives_go_when_only_they_are_to(made):
    workspace = made.take(made.workspaces / "mine")
    made.archive()
    made.archive("legacy-20210101-000000")
    repository = made.repository(workspace)
    answer = clear_legacy(made.base)
    assert answer == {"deleted": 2, "bytes_freed": answer["bytes_freed"]}
    assert 200_000 <= answer["bytes_freed"] <= 300_000
    assert not [*made.base.glob("legacy-*")]
    assert repository.is_dir()
    assert len(made.ids(workspace)) == 1
    assert clear_legacy(made.base) == {"deleted": 0, "bytes_freed": 0}


# Where there is nothing to do, or it cannot be done.


def test_a_base_that_does_not_exist_is_not_made(tmp_path):
    base = tmp_path / "missing"
    assert prune_checkpoints(checkpoint_base=base, max_total_size_mb=1) == NOTHING
    assert maybe_auto_prune_checkpoints(checkpoint_base=base) == {"skipped": False, "result": NOTHING}
    assert store_status(base) == {"base": str(base)} | EMPTY
    assert clear_all(base) == {"deleted": False, "bytes_freed": 0}
    assert clear_legacy(base) == {"deleted": 0, "bytes_freed": 0}
    assert [*tmp_path.iterdir()] == []


def test_an_empty_base_gets_nothing_but_the_mark(old):
    assert prune_checkpoints(checkpoint_base=old.base, max_total_size_mb=1) == NOTHING
    assert store_status(old.base) == {"base": str(old.base)} | EMPTY
    assert [*old.base.iterdir()] == []
    assert maybe_auto_prune_checkpoints(checkpoint_base=old.base) == {"skipped": False, "result": NOTHING}
    assert [*old.base.iterdir()] == [old.marker]


def test_the_base_of_the_module_is_looked_up_at_each_call_and_may_be_a_string(made, monkeypatch):
    workspace = made.take(made.workspaces / "mine", 3)
    made.not_used_for(workspace, 8)
    monkeypatch.setattr(hermes, "CHECKPOINT_BASE", str(made.base))
    assert store_status()["projects"] == store_status(str(made.base))["projects"] != []
    assert maybe_auto_prune_checkpoints(min_interval_hours=24)["result"]["deleted_stale"] == 1
    assert prune_checkpoints()["scanned"] == 1
    assert clear_legacy()["deleted"] == 0
    assert clear_all()["deleted"] is True
    assert made.ids(workspace) == []


def _all_failing(base):
    """Ask for everything, of which nothing may raise; the answers by name, and what was logged."""
    told = []
    listening = logging.Handler(logging.WARNING)
    listening.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("tools.checkpoint_manager")
    logger.addHandler(listening)
    try:
        calls = (prune_checkpoints, maybe_auto_prune_checkpoints, store_status, clear_all, clear_legacy)
        return {call.__name__: call(checkpoint_base=base) for call in calls} | {"told": told}
    finally:
        logger.removeHandler(listening)


def test_a_broken_configuration_is_told_and_nothing_is_lost(made):
    workspace = made.take(made.workspaces / "mine", 2)
    config = put(made.base, "store/config.toml", "max_snapshots = \n")
    size = made.size()
    answers = _all_failing(made.base)
    assert answers["prune_checkpoints"] == NOTHING | {"errors": 1}
    automatic = answers["maybe_auto_prune_checkpoints"]
    assert automatic["result"] == NOTHING | {"errors": 1}
    assert "config.toml is not TOML" in automatic["error"]
    assert answers["store_status"]["projects"] == []
    assert answers["store_status"]["store_size_bytes"] == pytest.approx(size, abs=20_000), "it is not empty"
    assert answers["clear_all"] == {"deleted": False, "bytes_freed": 0}
    config.unlink()
    assert len(made.ids(workspace)) == 2
    assert sum("config.toml is not TOML" in sentence for sentence in answers["told"]) >= 4


def test_a_file_in_the_place_of_the_base_is_told_and_left(tmp_path):
    base = put(tmp_path, "checkpoints", "mine")
    answers = _all_failing(base)
    assert answers["prune_checkpoints"] == NOTHING | {"errors": 1}
    assert answers["maybe_auto_prune_checkpoints"]["result"] == NOTHING | {"errors": 1}
    assert answers["store_status"] == {"base": str(base)} | EMPTY
    assert answers["clear_all"] == {"deleted": False, "bytes_freed": 0}
    assert answers["clear_legacy"] == {"deleted": 0, "bytes_freed": 0}
    assert base.read_text() == "mine"
    assert len(answers["told"]) >= 5


def test_a_base_that_may_not_be_read_is_told(made, as_user):
    made.take(made.workspaces / "mine")
    as_user.owns(made.base)
    made.base.chmod(0)
    answers = as_user(_all_failing, made.base)
    assert answers["prune_checkpoints"]["errors"] == 1
    assert answers["maybe_auto_prune_checkpoints"]["result"]["errors"] == 1
    assert answers["clear_all"]["deleted"] is False
    made.base.chmod(0o700)
    assert len(as_user(made.ids, made.workspaces / "mine")) == 1


def test_arguments_that_make_no_sense_raise_nothing(old):
    assert prune_checkpoints("soon", checkpoint_base=old.base)["errors"] == 1
    assert prune_checkpoints(checkpoint_base=7)["errors"] == 1
    assert prune_checkpoints(checkpoint_base="nul\0") == NOTHING
    old.marker.write_text(str(time.time()))
    assert "error" in maybe_auto_prune_checkpoints(min_interval_hours="never", checkpoint_base=old.base)
    assert store_status("nul\0")["projects"] == []
    assert clear_all("nul\0") == {"deleted": False, "bytes_freed": 0}
