"""What stock Hermes 0.19.0 does to its store. `--stock` shows it on Hermes's own module."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from faults import paused_in_a_snapshot
from stores import MB, stored, usual_base
from trees import put


def test_ids_and_times_of_snapshots_stay_what_they_were(agent, workspace):
    """At the limit every snapshot was made anew at each turn: an id read a minute ago was worth nothing."""
    hermes = agent(max_snapshots=3)
    for number in range(3):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace, f"{number}")
    before = {entry["reason"]: (entry["hash"], entry["timestamp"]) for entry in hermes.snapshots(workspace)}
    time.sleep(1.1)  # the times are in whole seconds
    put(workspace, "a", "one more")
    assert hermes.take(workspace, "one more")
    after = {entry["reason"]: (entry["hash"], entry["timestamp"]) for entry in hermes.snapshots(workspace)}
    assert {reason: after[reason] for reason in "12"} == {reason: before[reason] for reason in "12"}


def test_one_turn_over_the_cap_does_not_cost_nearly_all_snapshots(agent, workspace):
    """Up to twenty rounds of dropping went by before the size was measured again."""
    hermes = agent(max_total_size_mb=10)
    for number in range(8):
        put(workspace, "large", os.urandom(MB * 13 // 10))
        assert hermes.take(workspace, f"{number}")
    assert stored() < 11 * MB
    assert len(hermes.ids(workspace)) >= 4


def test_many_workspaces_do_not_make_the_store_outgrow_its_cap(agent, fresh_directory):
    """hermes 83036, 109074: 24 and 27 GB with a cap of 500 MB."""
    hermes = agent(max_total_size_mb=4)
    for number in range(8):
        put(fresh_directory, f"{number}/large", os.urandom(MB))
        assert hermes.take(fresh_directory / f"{number}")
    hermes.call("prune_checkpoints", max_total_size_mb=4)
    assert stored() < 4.5 * MB
    assert hermes.ids(fresh_directory / "7")


def test_killed_turns_at_the_limit_do_not_leave_a_copy_of_the_store_each(agent, workspace):
    """hermes 115410: temporary packs of killed gc."""
    hermes = agent(max_snapshots=2)
    for number in range(20):
        put(workspace, f"large{number}", os.urandom(MB))
    for number in range(4):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace)
    size = stored()
    for number in range(3):
        put(workspace, "a", f"killed {number}")
        before = stored()
        hermes.call("new_turn")
        hermes.begin("ensure_checkpoint", working_dir=str(workspace))
        try:
            hermes.kill_when(lambda before=before: stored() > before + 4 * MB)
        except TimeoutError:  # it has no copy of the store to make
            hermes.answer()
        else:
            hermes = agent(max_snapshots=2)
    assert stored() < size + 2 * MB


def test_a_store_copied_without_its_empty_directories_is_not_dead(agent, workspace):
    """hermes 110392: gc takes them away, and then git takes the store for none at all."""
    hermes = agent(max_snapshots=2)
    for number in range(4):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace)
    for directory, _, _ in os.walk(usual_base(), topdown=False):
        if not os.listdir(directory):
            os.rmdir(directory)
    hermes = agent(max_snapshots=2)
    put(workspace, "a", "one more")
    assert hermes.take(workspace)
    answer = hermes.restore(workspace, hermes.ids(workspace)[1])
    assert answer["success"], answer
    assert (workspace / "a").read_text() == "3"


def test_agents_that_start_together_all_get_their_first_snapshot(agent, fresh_directory):
    """One makes the store, and the others find half of it."""
    workspaces = [fresh_directory / f"{number}" for number in range(4)]
    agents = [agent() for _ in workspaces]
    for hermes, workspace in zip(agents, workspaces, strict=True):
        put(workspace, "a", f"{workspace}")
        hermes.begin("ensure_checkpoint", working_dir=str(workspace))
    assert [hermes.answer() for hermes in agents] == [True] * 4


def test_agents_in_several_workspaces_do_not_destroy_each_others_snapshots(agent, fresh_directory):
    """hermes 65349: a gc of one deletes what another has stored and not yet named."""
    paused = fresh_directory / "paused"
    slow = paused_in_a_snapshot(lambda: agent(max_snapshots=6), paused, first=True)
    agents = {fresh_directory / f"{number}": agent(max_snapshots=6) for number in range(3)}
    with ThreadPoolExecutor() as at_once:
        outcomes = [*at_once.map(_work, agents.values(), agents)]
    slow.go_on()
    assert slow.answer(), "what was in the making is lost"
    agents[paused] = slow
    with ThreadPoolExecutor() as at_once:
        outcomes += at_once.map(_work, agents.values(), agents)
    assert outcomes == ["all came back"] * 7
    slow.call("prune_checkpoints")
    size = stored()
    for _ in range(16):
        put(paused, "large", os.urandom(MB))
        assert slow.take(paused)
    slow.call("prune_checkpoints")
    assert stored() < size + 8 * MB, "what is forgotten is never given back"


def _work(hermes, workspace):
    """Turns beyond the limit of 6, and back to the newest three, as each restore takes one too; what came of it."""
    for turn in range(8):
        put(workspace, "a", f"{workspace} {turn}" * 100)
        if not hermes.take(workspace, f"{turn}"):
            return f"turn {turn} was not saved"
    for entry, turn in zip(hermes.snapshots(workspace), (7, 6, 5), strict=False):
        answer = hermes.restore(workspace, entry["hash"])
        if not answer["success"]:
            return answer["error"]
        if (workspace / "a").read_text() != f"{workspace} {turn}" * 100:
            return f"not the state of turn {turn}"
    return "all came back"


def test_an_unmounted_volume_is_not_taken_for_a_deleted_workspace(agent, fresh_directory, volume):
    """hermes 69063: the history of everything on it was deleted."""
    hermes = agent()
    mounted = fresh_directory / "volume"
    mounted.mkdir()
    volume.mount(mounted)
    put(mounted, "project/a", "1")
    assert hermes.take(mounted / "project")
    volume.unmount(mounted)
    pruned = hermes.call("prune_checkpoints", retention_days=7, delete_orphans=True)
    assert pruned["deleted_orphan"] == 0
    volume.mount(mounted)
    (mounted / "project").mkdir()
    assert len(hermes.ids(mounted / "project")) == 1


def test_a_disk_that_was_full_once_does_not_cost_the_snapshots_that_were_there(
    agent, workspace, small_filesystem, monkeypatch
):
    """What the failed try has written stays, and no restore gets by without room of its own."""
    with small_filesystem("ext4", 8) as small:
        monkeypatch.setenv("HERMES_HOME", str(small.root / "home"))
        hermes = agent()
        put(workspace, "a", "1")
        assert hermes.take(workspace)
        for number in range(12):
            put(workspace, f"large{number}", os.urandom(900_000))
        assert not hermes.take(workspace)
        for number in range(12):
            (workspace / f"large{number}").unlink()
        put(workspace, "a", "2")
        answer = hermes.restore(workspace, hermes.ids(workspace)[-1])
        hermes.end()
    assert answer["success"], answer
    assert (workspace / "a").read_text() == "1"
