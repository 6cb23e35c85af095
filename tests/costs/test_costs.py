"""What each piece of work may cost, in system calls and bytes: bounded by what changed and by the tree, not by a clock.

F files in D directories. What has no F or D in its bound does not grow with the tree: every test runs for a small
tree and for one four times as large. The constants are room for the store's own files and no more.
"""

import os
import shutil

import pytest

from counting import count
from workload import FILE_SIZE

ENTRY = 256
"""More bytes than one entry of a directory takes in a node, in git's tree and in the stat cache together."""
PUBLISHING = 16_384
"""A snapshot's header, its names and the records about it."""


def test_a_first_snapshot_does_not_look_at_a_file_more_often_than_it_must(cost, backend):
    spent = cost("first")
    did, files, directories = spent.did, spent.files, spent.directories
    assert len(did.opened) <= files + 1, "each once, and one to try a clone of"
    assert did.of("open", "workspace") <= files + 2 * directories + 8
    looks = 3 if backend == "cow" else 2  # as opened, and after it was read; of a clone also whether it was young
    assert did.of("stat", "workspace") <= looks * files + 2 * directories + 24
    assert did.of("read", "workspace") <= 2 * files, "its bytes, and that there are no more"


def test_a_first_snapshot_does_not_sync_or_publish_file_by_file(cost):
    did = cost("first").did
    assert did.of("sync") <= 16
    assert did.of("rename", "store") <= 12


def test_a_first_snapshot_writes_no_more_than_the_files_and_their_directories(cost):
    spent = cost("first")
    assert spent.did.written["store"] <= spent.size + spent.files * ENTRY + PUBLISHING
    assert spent.did.written["workspace"] == 0


def test_a_first_snapshot_does_not_look_at_the_store_for_each_file(cost, backend):
    if backend != "shadow-git":
        pytest.skip("cow keeps a file for each file")
    assert cost("first").did.of("stat", "store") <= 256


def test_contents_are_packed_and_not_stored_one_by_one_in_shadow_git(cost, backend):
    if backend != "shadow-git":
        pytest.skip("cow keeps a file for each file")
    spent = cost("first")
    assert spent.did.of("open", "store") <= 100
    assert spent.did.written["store"] < 0.65 * spent.size, "source text that was not compressed"


def test_an_unchanged_tree_is_walked_once_and_nothing_else(cost):
    spent = cost("unchanged")
    did, files, directories = spent.did, spent.files, spent.directories
    assert did.opened == []
    assert did.of("open", "workspace") <= directories + 2
    assert did.of("stat", "workspace") <= files + 2 * directories + 16, "a directory: as listed and as opened"
    assert did.of("list", "workspace") <= 2 * directories, "the names, and that there are no more"
    assert did.of("read", "workspace") == 0
    assert did.of("open", "store") <= 32
    assert did.of("stat", "store") <= 64


def test_an_unchanged_tree_costs_no_write_no_sync_and_no_new_name(cost):
    did = cost("unchanged").did
    assert sum(did.written.values()) == 0
    assert [did.of(kind) for kind in ("sync", "rename", "remove", "start")] == [0, 0, 0, 0]


def test_one_changed_file_is_the_only_one_that_is_opened(cost):
    spent = cost("one file")
    did, files, directories = spent.did, spent.files, spent.directories
    assert len(did.opened) == 1
    assert did.of("open", "workspace") <= directories + 4
    assert did.of("stat", "workspace") <= files + 2 * directories + 50 + 16, "those beside the edited one twice"
    assert did.of("read", "workspace") <= 2


def test_one_changed_file_costs_what_it_and_the_directories_above_it_take(cost):
    did = cost("one file").did
    entries = 50 + 12 + 10  # beside it, beside its directory, at the top
    assert did.written["store"] <= FILE_SIZE + 4 + entries * ENTRY + PUBLISHING
    assert did.written["workspace"] == 0
    assert did.of("sync") <= 6
    assert did.of("rename") <= 5
    assert did.of("open", "store") <= 48


@pytest.mark.parametrize("work", ["unchanged", "one file", "list", "diff", "restore of one", "restore of all"])
def test_no_process_is_started_where_nobody_waits_for_one(cost, work):
    assert cost(work).did.of("start") == 0


def test_a_list_does_not_look_at_the_workspace(cost):
    did = cost("list").did
    assert did.of("open", "workspace") + did.of("list", "workspace") == 0
    assert did.of("stat", "workspace") <= 2
    assert did.of("open", "store") <= 2 + 4, "one for each snapshot"
    assert sum(did.written.values()) + did.of("sync") == 0


def test_a_diff_reads_what_differs_and_writes_nothing(cost):
    spent = cost("diff")
    did, files, directories = spent.did, spent.files, spent.directories
    assert len(did.opened) <= 2, "the edited one: for its digest and for its lines"
    assert did.of("stat", "workspace") <= files + 2 * directories + 32
    assert did.of("read", "workspace") <= 4
    assert did.of("open", "store") <= 24
    assert sum(did.written.values()) + did.of("sync") + did.of("rename") == 0


def test_a_restore_of_one_file_walks_the_tree_once_and_writes_that_file(cost):
    spent = cost("restore of one")
    did, files, directories = spent.did, spent.files, spent.directories
    assert len(did.opened) <= 4, "the edited one, twice; the new one; what came out"
    assert did.of("stat", "workspace") <= files + 2 * directories + 64
    assert did.of("open", "workspace") <= directories + 16
    assert did.written["workspace"] <= FILE_SIZE + 16
    assert did.of("sync") <= 12
    assert did.of("rename", "workspace") <= 1


def test_what_a_restore_brought_back_is_not_read_again(cost):
    did = cost("after the restore").did
    assert did.opened == []
    assert did.written["store"] <= 72 * ENTRY + PUBLISHING


def test_a_restore_of_all_makes_each_file_once(cost):
    spent = cost("restore of all")
    did, files, directories = spent.did, spent.files, spent.directories
    assert did.written["workspace"] <= spent.size + 16
    assert did.of("rename", "workspace") <= files
    assert did.of("sync") <= 16, "one for many files"
    assert did.of("open", "workspace") <= 2 * files + 6 * directories, "the new one, and at most one look at it"
    assert did.of("stat", "workspace") <= 3 * files + 12 * directories + 64


def test_a_restore_of_all_reads_each_content_from_the_store_once(cost, backend):
    spent = cost("restore of all")
    files_of_the_store = spent.files if backend == "cow" else 0  # packs are opened once for all
    assert spent.did.of("open", "store") <= files_of_the_store + 96
    assert spent.did.of("stat", "store") <= files_of_the_store + 160
    assert spent.did.of("read", "store") <= 2 * spent.files + 64


def test_a_large_file_that_changed_a_little_is_neither_read_nor_copied_where_it_can_be_cloned(
    filesystem, on_filesystem, tmp_path
):
    if not filesystem.clones:
        pytest.skip(f"{filesystem.name} has no clones")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    workspace = on_filesystem / "workspace"
    workspace.mkdir()
    (workspace / "large").write_bytes(os.urandom(32 << 20))
    edit = "open(os.path.join(workspace, 'large'), 'r+b').write(b'4 kB' * 1024)"
    take = "engine.snapshot(workspace)"
    work = {"first": ("pass", take), "edited": (edit, take)}
    for name, did in count(tmp_path / "trace", workspace, on_filesystem / "store", "cow", work).items():
        assert did.opened[-1] == "large", name
        assert did.of("read", "workspace") == 0, name
        assert sum(did.written.values()) <= PUBLISHING, name
