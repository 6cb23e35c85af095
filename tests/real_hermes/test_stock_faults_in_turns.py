"""What stock Hermes 0.19.0 gets wrong when a snapshot is taken. `--stock` shows it on Hermes's own module."""

import os
import shutil
import sys

import pytest

from faults import contents, paused_in_a_snapshot
from filesystems import remove_tree
from stores import MB, stored, usual_base
from trees import put


@pytest.fixture
def refused_things():
    """What to start an agent with so that it may read only what modes allow: root may read everything."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("without setpriv, root cannot be refused anything")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def test_a_killed_first_snapshot_does_not_end_all_snapshots(agent, workspace):
    """A lock file stays behind that nobody ever removes. hermes 107149: 1,666 failures in five weeks."""
    paused_in_a_snapshot(agent, workspace, first=True).end()
    hermes = agent()
    assert hermes.take(workspace)
    before = contents(workspace)
    put(workspace, "new/0", "edited")
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert contents(workspace) == before


def test_a_killed_turn_does_not_cost_the_snapshots_before_and_after_it(agent, workspace):
    put(workspace, "a", "1")
    assert agent().take(workspace)
    before = contents(workspace)
    paused_in_a_snapshot(agent, workspace).end()
    hermes = agent()
    assert hermes.take(workspace)
    answer = hermes.restore(workspace, hermes.ids(workspace)[-1])
    assert answer["success"], answer
    assert contents(workspace) == before


def test_one_unreadable_file_does_not_keep_the_whole_workspace_from_being_saved(agent, workspace, refused_things):
    """hermes 78888: a file that a container left behind, and no snapshot at all."""
    hermes = agent(started_with=refused_things)
    put(workspace, "a", "1")
    put(workspace, "secret", "not for you").chmod(0)
    assert hermes.take(workspace)
    put(workspace, "a", "2")
    hermes.restore(workspace, hermes.ids(workspace)[0])
    assert (workspace / "a").read_text() == "1"


def test_excluded_directories_do_not_count_towards_a_limit(agent, workspace):
    """hermes 56606: with 50,001 paths in node_modules the workspace is unprotected, and nobody is told."""
    put(workspace, "a", "1")
    modules = workspace / "node_modules"
    modules.mkdir()
    for number in range(50_001):
        os.symlink("nowhere", modules / f"{number}")
    try:
        assert agent().take(workspace)
    finally:
        remove_tree(modules)


def test_one_odd_name_does_not_switch_the_size_limit_off(agent, workspace):
    """The list of names is not UTF-8, so none of them is weighed."""
    if sys.platform == "darwin":
        pytest.skip("macOS refuses names that are not UTF-8")
    hermes = agent(max_file_size_mb=1)
    put(workspace, "a", "1")
    put(workspace, "model.weights", os.urandom(3 * MB))
    with open(os.fsencode(workspace) + b"/\xff", "wb"):
        pass
    assert hermes.take(workspace)
    assert stored() < 2 * MB


def test_a_large_file_whose_name_is_a_pattern_does_not_unprotect_small_ones(agent, workspace):
    """``report[1].csv`` is what a browser calls the second download; it was taken out together with ``report1.csv``."""
    hermes = agent(max_file_size_mb=1)
    put(workspace, "report1.csv", "small")
    put(workspace, "report[1].csv", os.urandom(2 * MB))
    put(workspace, "a", "1")
    assert hermes.take(workspace)
    (workspace / "report1.csv").unlink()
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert (workspace / "report1.csv").exists()


def test_a_turn_at_the_limit_starts_no_processes(agent, workspace):
    """At the limit of 20 each turn of 0.19.0 starts 74, and at 40 twice as many."""
    hermes = agent()
    for number in range(21):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace)
    before = hermes.started()
    put(workspace, "a", "one more")
    assert hermes.take(workspace)
    assert hermes.started() - before == 0


def test_a_turn_at_the_limit_does_not_write_the_whole_store_anew(agent, workspace):
    """hermes 112063, 109074: gc in the tool call, 20 to 28 s each time."""
    hermes = agent(max_snapshots=2)
    put(workspace, "large", os.urandom(5 * MB))
    for number in range(4):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace)
    before = _inodes()
    put(workspace, "a", "one more")
    assert hermes.take(workspace)
    written = sum(size for inode, size in _inodes().items() if inode not in before)
    assert written < MB


def _inodes():
    """Every file of the store by what makes it another one when it is written anew, with its size."""
    found = [path.lstat() for path in usual_base().rglob("*") if path.is_file()]
    return {(status.st_ino, status.st_ctime_ns): status.st_size for status in found}


def test_the_terminal_interface_has_a_label_for_each_snapshot(agent, workspace):
    """hermes 101743: it reads ``message``, which was not there."""
    hermes = agent()
    put(workspace, "a", "1")
    assert hermes.take(workspace, "before write_file")
    (entry,) = hermes.snapshots(workspace)
    assert entry.get("message") == "before write_file"
