"""Pruning as `hermes checkpoints prune` asks for it: what goes, and what never does."""

import multiprocessing
import os
import shutil
import time
from pathlib import Path

import pytest

from checkpoints import MB, NOTHING, counts
from hermes_checkpoints.hermes.maintenance import maybe_auto_prune_checkpoints, prune_checkpoints, store_status
from trees import put


def test_a_workspace_that_is_gone_is_forgotten_and_its_space_comes_back(made):
    gone, kept = made.take(made.workspaces / "gone", 3), made.take(made.workspaces / "kept", 2)
    held = made.ids(kept)
    shutil.rmtree(gone)
    before = made.size()
    result = prune_checkpoints(checkpoint_base=made.base)
    assert result == NOTHING | {"scanned": 2, "deleted_orphan": 1, "bytes_freed": result["bytes_freed"]}
    assert result["bytes_freed"] == pytest.approx(before - made.size(), abs=100_000)
    assert result["bytes_freed"] > 700_000
    assert (made.ids(gone), made.ids(kept)) == ([], held)
    assert prune_checkpoints(checkpoint_base=made.base)["scanned"] == 1


def test_orphans_stay_when_they_are_to_be_kept(made):
    gone = made.take(made.workspaces / "gone", 2)
    shutil.rmtree(gone)
    assert counts(prune_checkpoints(delete_orphans=False, checkpoint_base=made.base)) == NOTHING | {"scanned": 1}
    assert len(made.ids(gone)) == 2


@pytest.mark.parametrize("named", ["directory", "digits", "symlink"])
def test_an_orphan_on_the_list_of_those_to_spare_loses_nothing(made, named):
    gone, other = made.take(made.workspaces / "gone", 2), made.take(made.workspaces / "other")
    link = made.workspaces.with_name("link")
    link.symlink_to(made.workspaces)
    names = {"directory": gone, "digits": made.workspace_id(gone), "symlink": str(link / "gone")}
    for workspace in (gone, other):
        shutil.rmtree(workspace)
    result = prune_checkpoints(checkpoint_base=made.base, orphan_allowlist={names[named]})
    assert (result["deleted_orphan"], result["deleted_stale"]) == (1, 0)
    assert (len(made.ids(gone)), made.ids(other)) == (2, [])


def test_a_live_workspace_on_that_list_still_goes_stale(made):
    workspace = made.take(made.workspaces / "mine", 3)
    made.not_used_for(workspace, 30)
    assert prune_checkpoints(checkpoint_base=made.base, orphan_allowlist={workspace})["deleted_stale"] == 1


@pytest.mark.parametrize("prune", [prune_checkpoints, maybe_auto_prune_checkpoints])
def test_a_workspace_on_a_volume_that_is_not_mounted_loses_nothing(made, volume, prune):
    """hermes 69063: its history was deleted."""
    disk = made.workspaces / "disk"
    disk.mkdir(parents=True)
    volume.mount(disk)
    away = made.take(disk / "mine", 3)
    held = made.ids(away)
    volume.unmount(disk)
    made.not_used_for(away, 400)
    answer = prune(checkpoint_base=made.base, max_total_size_mb=500)
    assert counts(answer.get("result", answer)) == NOTHING | {"scanned": 1}
    (project,) = store_status(made.base)["projects"]
    assert (project["exists"], project["commits"]) == (False, 3)
    volume.mount(disk)
    assert made.ids(away) == held


def test_a_pinned_snapshot_outlives_its_workspace(made):
    gone = made.take(made.workspaces / "gone", 3)
    with made.engine() as engine:
        kept = engine.list(gone)[1]
        engine.upkeep.pin(kept, "precious")
    shutil.rmtree(gone)
    assert prune_checkpoints(checkpoint_base=made.base)["errors"] == 0
    assert made.ids(gone) == [kept.id]


# Stale ones, and sizes.


def test_a_stale_workspace_keeps_its_newest_snapshot(made):
    stale, fresh = made.take(made.workspaces / "stale", 3), made.take(made.workspaces / "fresh", 2)
    newest, held = made.ids(stale)[0], made.ids(fresh)
    made.not_used_for(stale, 8)
    result = prune_checkpoints(7, True, made.base)
    assert (result["scanned"], result["deleted_stale"], result["deleted_orphan"]) == (2, 1, 0)
    assert (made.ids(stale), made.ids(fresh)) == ([newest], held)
    assert prune_checkpoints(7, True, made.base)["deleted_stale"] == 0


@pytest.mark.parametrize("days", [0, -1, 9])
def test_what_is_not_old_enough_or_never_is_stays(made, days):
    workspace = made.take(made.workspaces / "mine", 3)
    made.not_used_for(workspace, 8)
    assert counts(prune_checkpoints(days, checkpoint_base=made.base)) == NOTHING | {"scanned": 1}
    assert len(made.ids(workspace)) == 3


def test_what_hermes_keeps_of_a_workspace_is_not_cut_down_to_the_stores_own_limit(made):
    workspace = made.take(made.workspaces / "mine", 25, size=100)
    put(made.base, "store/config.toml", "max_snapshots = 5\n")
    assert counts(prune_checkpoints(checkpoint_base=made.base, max_total_size_mb=500)) == NOTHING | {"scanned": 1}
    assert len(made.ids(workspace)) == 25


def test_the_oldest_go_for_a_size_and_no_workspace_loses_its_last_snapshot(made):
    """hermes: one turn over the cap left one of eight."""
    large, small = made.take(made.workspaces / "large", 12, size=MB // 2), made.take(made.workspaces / "small")
    held = made.ids(large)
    result = prune_checkpoints(checkpoint_base=made.base, max_total_size_mb=4)
    assert result == NOTHING | {"scanned": 2, "bytes_freed": result["bytes_freed"]}
    assert result["bytes_freed"] > MB
    left = made.ids(large)
    assert left == held[: len(left)]
    assert 4 <= len(left) < 9
    assert made.size() <= 4 * MB
    tiny = [made.take(made.workspaces / f"{number}", size=MB) for number in range(3)]
    assert prune_checkpoints(checkpoint_base=made.base, max_total_size_mb=1)["errors"] == 0
    assert [len(made.ids(workspace)) for workspace in (large, small, *tiny)] == [1] * 5


# What older formats left.


def test_old_repositories_and_archives_go_by_age_and_what_is_nobodys_stays(old):
    live, other = (put(old.workspaces, f"{name}/a").parent for name in ("live", "other"))
    fresh, away = old.repository(live), old.repository(Path("/away/mine"), days=9)
    old.repository(other, days=9)
    old.archive(days=9)
    kept = old.archive("legacy-20210101-000000", days=5)
    nameless = old.repository(Path("/away/nameless"), days=400)
    (nameless / "HERMES_WORKDIR").unlink()
    theirs = put(old.base, "legacy-app/file", "mine").parent
    os.utime(theirs, (0, 0))
    result = prune_checkpoints(checkpoint_base=old.base)
    assert result == NOTHING | {"scanned": 3, "deleted_stale": 2, "bytes_freed": result["bytes_freed"]}
    assert 200_000 <= result["bytes_freed"] <= 400_000
    assert {*old.base.iterdir()} == {fresh, away, kept, nameless, theirs}


def test_an_old_repository_is_an_orphan_only_when_our_record_says_where_its_workspace_was(made):
    known, unknown = made.take(made.workspaces / "known"), made.workspaces / "unknown"
    first, second = made.repository(known), made.repository(unknown)
    shutil.rmtree(known)
    result = prune_checkpoints(checkpoint_base=made.base)
    assert (result["scanned"], result["deleted_orphan"], result["errors"]) == (3, 2, 0)
    assert result["bytes_freed"] >= 100_000 + MB // 4
    assert not first.exists()
    assert second.is_dir()
    assert not [*(made.base / "store").glob("cleared-*")]


def test_an_old_repository_in_which_something_was_written_lately_stays(old):
    repository = old.repository(put(old.workspaces, "mine/a").parent, days=9)
    put(repository, "objects/new", "").touch()
    os.utime(repository / "objects", (0, 0))
    assert prune_checkpoints(checkpoint_base=old.base) == NOTHING | {"scanned": 1}
    assert repository.is_dir()


def _prune(base, go, answers):
    while not go.exists():
        time.sleep(0.001)
    answers.put(prune_checkpoints(checkpoint_base=base, max_total_size_mb=2))


def test_processes_that_prune_at_once_lose_nothing_that_is_to_stay(made):
    gone = [made.take(made.workspaces / f"gone-{number}", 3) for number in range(4)]
    kept = made.take(made.workspaces / "kept", 3)
    held = made.ids(kept)
    for workspace in gone:
        shutil.rmtree(workspace)
        made.repository(workspace)
    context, go = multiprocessing.get_context("fork"), made.base.parent / "go"
    answers = context.SimpleQueue()
    processes = [context.Process(target=_prune, args=(made.base, go, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    go.touch()
    results = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    assert [result["errors"] for result in results] == [0, 0, 0]
    assert sum(result["deleted_orphan"] for result in results) >= 8  # four workspaces, and a repository of each
    assert [made.ids(workspace) for workspace in gone] == [[]] * 4
    assert made.ids(kept) == held
    assert not [*made.base.glob("[0-9a-f]" * 16)]
    with made.engine() as engine:
        engine.restore(kept, held[-1])
