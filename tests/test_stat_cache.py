"""The stat cache: written a little at a time, believed only when it can be."""

import os

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.memory import Memory, MemoryFile
from hermes_checkpoints.kit.walk.recall import doubt_since
from hermes_checkpoints.kit.walk.seen import Seen
from hermes_checkpoints.results import Unchanged
from trees import BACKENDS, put


def directory(*names, **dirs):
    seen = Seen()
    seen.listing = [(name, 0o100644, 1, 2, 3, 4) for name in names]
    seen.keys = {name: name.encode() for name in names}
    seen.dirs = dict(dirs)
    seen.key = b"node"
    return seen


def flat(tree):
    found = {}
    todo = [("", tree)]
    while todo:
        path, seen = todo.pop()
        found[path] = (seen.listing, seen.keys, seen.key)
        todo.extend((f"{path}/{name}", child) for name, child in seen.dirs.items())
    return found


def memory(tree, latest="a" * 40):
    return Memory(tree, latest, b"{}", 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seen" / "one"


def test_what_changed_is_appended_and_found_again_by_another_process(path):
    file = MemoryFile(path)
    wide = {f"d{number}": directory("a", "b") for number in range(300)}
    file.store(memory(directory("x", **wide)))
    before = path.stat().st_size
    changed = {**wide, "d7": directory("a", "new", deep=directory("z"))}
    del changed["d9"]
    after = memory(directory("x", "y", **changed), "b" * 40)
    file.store(after)
    assert path.stat().st_size - before < before / 10
    found = MemoryFile(path).load()
    assert found.latest == "b" * 40
    assert flat(found.tree) == flat(after.tree)


def test_the_file_does_not_grow_with_the_number_of_turns(path):
    file = MemoryFile(path)
    sizes = []
    for turn in range(3000):
        file.store(memory(directory(f"file{turn}", d=directory("a"))))
        sizes.append(path.stat().st_size)
    assert max(sizes) < 300_000
    assert flat(MemoryFile(path).load().tree).keys() == {"", "/d"}


def test_half_a_record_is_not_believed_and_hides_nothing_that_comes_after(path):
    file = MemoryFile(path)
    file.store(memory(directory("one"), "a" * 40))
    file.store(memory(directory("two"), "b" * 40))
    os.truncate(path, path.stat().st_size - 3)
    again = MemoryFile(path)
    assert again.load().latest == "a" * 40
    again.store(memory(directory("three"), "c" * 40))
    assert MemoryFile(path).load().latest == "c" * 40


@pytest.mark.parametrize("damage", [b"", b"something else", None])
def test_a_damaged_cache_counts_as_lost(path, damage):
    file = MemoryFile(path)
    file.store(memory(directory("one")))
    if damage is None:
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(damage)
    assert MemoryFile(path).load() is None


def test_a_deep_tree_is_kept_without_recursion(path):
    tree = directory("bottom")
    for _ in range(5000):
        tree = directory(d=tree)
    MemoryFile(path).store(memory(tree))
    assert len(flat(MemoryFile(path).load().tree)) == 5001


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_another_boot_files_changed_shortly_before_are_read_again(fresh_directory, monkeypatch, backend):
    """After a power cut a file may have the times of its last change and not its bytes."""
    workspace = fresh_directory / "workspace"
    for number in range(5):
        put(workspace, f"d/{number}", b"content")
    with Engine(store=fresh_directory / "store", backend=backend) as engine:
        engine.snapshot(workspace)
        assert engine.snapshot(workspace).stats.opened == 0
    monkeypatch.setattr(clock, "boot", lambda: "the next one")
    with Engine(store=fresh_directory / "store", backend=backend) as engine:
        again = engine.snapshot(workspace)
        assert isinstance(again, Unchanged)
        assert again.stats.opened == 5
        assert engine.snapshot(workspace).stats.opened == 0


def test_files_that_were_changed_long_before_another_boot_are_believed():
    tree = directory("old", d=directory("new", "old"))
    tree.dirs["d"].listing[0] = ("new", 0o100644, 1, 2, 1000, 4)
    doubt_since(tree, 1000)
    assert (tree.racy, tree.dirs["d"].racy) == (set(), {"new"})


@pytest.mark.parametrize("backend", BACKENDS)
def test_names_that_are_left_out_keep_no_turn_and_no_restore_from_being_told(fresh_directory, backend):
    """The cache is written anew after some turns, and by a restore of many files."""
    workspace = fresh_directory / "workspace"
    put(workspace, ".gitignore", b"*.log\n")
    put(workspace, "quiet/left out.log", b"")
    for number in range(300):
        put(workspace, f"busy/a file with a long name {number}", b"")
    with Engine(store=fresh_directory / "store", backend=backend) as engine:
        engine.snapshot(workspace)
        for turn in range(12):
            put(workspace, f"busy/new {turn}", b"")
            outcome = engine.snapshot(workspace)
            assert [left.path for left in outcome.left_out] == ["quiet/left out.log"]
        for path in (workspace / "busy").iterdir():
            path.unlink()
        engine.snapshot(workspace)
        assert len(engine.restore(workspace, "2").written) == 312
        assert engine.snapshot(workspace).stats.opened == 0, "what was restored is known"
