"""What is put back is what was there, byte for byte, on every filesystem and with every backend."""

import os
import shutil
import stat
from pathlib import Path

import pytest

import trees
from damages import DAMAGES, delete_everything, overwrite_keeping_size_and_time, rotate_contents
from filesystems import remove_tree
from hermes_checkpoints import Engine
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import BACKENDS, REPOSITORIES, Ground, chain, ground, put, rich


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def _restored(at: Ground, ref: str) -> None:
    done = at.engine.restore(at.workspace, ref)
    assert done.failed == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_whatever_was_done_to_a_tree_is_taken_back(here, damage):
    rich(here.workspace)
    taken = here.take()
    before = picture(here.workspace, skip=REPOSITORIES)
    damage(here.workspace)
    assert difference(before, _picture_or_nothing(here.workspace)), "the damage did nothing"

    _restored(here, taken.snapshot.id)

    assert difference(before, _without_remains(here.workspace)) == []


def _picture_or_nothing(workspace: Path):
    return picture(workspace, skip=REPOSITORIES) if workspace.exists() else {}


def _without_remains(workspace: Path):
    """What is there, but for renamed repositories: no snapshot holds those, so they stay."""
    remains = [child for child in workspace.iterdir() if child.name.startswith("renamed ")]
    skip = {os.fsencode(child.name) for child in remains if list(child.iterdir()) == [child / ".git"]}
    return picture(workspace, skip=REPOSITORIES | skip)


def test_an_ordinary_user_gets_everything_back_too(on_filesystem, as_user):
    for backend in BACKENDS:
        directory = on_filesystem / backend
        directory.mkdir()
        as_user.owns(on_filesystem)
        assert as_user(_each_damage_taken_back, directory, backend) == {}


def _each_damage_taken_back(directory: Path, backend: str) -> dict[str, list[str]]:
    wrong = {}
    with ground(directory, backend) as at:
        rich(at.workspace)
        taken = at.take()
        before = picture(at.workspace, skip=REPOSITORIES)
        for damage in DAMAGES:
            damage(at.workspace)
            done = at.engine.restore(at.workspace, taken.snapshot.id)
            found = [f"{failure.path!r}: {failure.reason}" for failure in done.failed]
            found += difference(before, _without_remains(at.workspace))
            if found:
                wrong[damage.__name__] = found[:10]
                remove_tree(at.workspace)
                at.engine.restore(at.workspace, taken.snapshot.id)
    return wrong


def test_what_an_ordinary_user_cannot_read_costs_only_itself(on_filesystem, as_user):
    as_user.owns(on_filesystem)
    for backend in BACKENDS:
        directory = on_filesystem / backend
        directory.mkdir()
        as_user.owns(directory)
        left_out, differs, kept = as_user(_with_unreadable_things, directory, backend)
        assert left_out == {"secret": "unreadable", "closed": "unreadable", "unsearchable/a": "unreadable"}
        assert differs == []
        assert kept == {"secret", "closed"}


def _with_unreadable_things(directory: Path, backend: str):
    with ground(directory, backend) as at:
        put(at.workspace, "fine/file", b"fine")
        put(at.workspace, "unsearchable/a", b"a")
        put(at.workspace, "secret", b"secret").chmod(0)
        put(at.workspace, "closed/inside", b"inside")
        (at.workspace / "closed").chmod(0)
        (at.workspace / "unsearchable").chmod(0o600)
        taken = at.take()
        shutil.rmtree(at.workspace / "fine")
        put(at.workspace, "more", b"more")
        done = at.engine.restore(at.workspace, taken.snapshot.id)
        assert done.failed == []
        kept = {path for path in ("secret", "closed") if os.path.lexists(at.workspace / path)}
        (at.workspace / "closed").chmod(0o700)
        (at.workspace / "secret").chmod(0o600)
        (at.workspace / "unsearchable").chmod(0o700)
        found = {path: entry.content for path, entry in picture(at.workspace).items() if entry.kind == "file"}
        expected = {b"fine/file", b"secret", b"closed/inside", b"unsearchable/a"}
        differs = sorted(found.keys() ^ expected)
        return {left.path: str(left.reason) for left in taken.left_out}, differs, kept


def test_untouched_files_keep_inode_and_time(here):
    rich(here.workspace)
    taken = here.take()
    before = stamps(here.workspace)
    put(here.workspace, "src/package/deep/er/module.py", b"other")
    (here.workspace / "attributed/one-byte").unlink()
    put(here.workspace, "added", b"")

    _restored(here, taken.snapshot.id)

    touched = {b"src/package/deep/er/module.py", b"attributed/one-byte"}
    files = {path for path in before if not stat.S_ISDIR(os.lstat(os.fsencode(here.workspace) + b"/" + path).st_mode)}
    after = stamps(here.workspace)
    assert {path for path in files if before[path] != after[path]} == touched


def test_paths_deeper_than_path_max_come_back(here):
    chain(here.workspace, 40, name="n" * 200)
    taken = here.take()
    before = picture(here.workspace)
    for child in here.workspace.iterdir():
        remove_tree(child)
    _restored(here, taken.snapshot.id)
    assert difference(before, picture(here.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chain_of_three_thousand_directories_comes_back(fresh_directory, backend):
    with ground(fresh_directory, backend) as here:
        chain(here.workspace, 3000)
        taken = here.take()
        before = picture(here.workspace)
        remove_tree(here.workspace / "d")
        _restored(here, taken.snapshot.id)
        assert difference(before, picture(here.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_file_deeper_than_path_max_comes_back_by_its_path(fresh_directory, backend):
    with ground(fresh_directory, backend) as here:
        chain(here.workspace, 600, "n" * 20, b"right")
        taken = here.take()
        before = picture(here.workspace)
        remove_tree(here.workspace / ("n" * 20))
        chain(here.workspace, 600, "n" * 20, b"wrong")
        path = ("n" * 20 + "/") * 600 + "bottom"
        done = here.engine.restore(here.workspace, taken.snapshot.id, [path])
        assert (len(done.written), done.failed) == (1, [])
        assert difference(before, picture(here.workspace)) == []


def test_setuid_and_setgid_of_files_come_back_only_when_asked_for(here):
    for name, mode in (("suid", 0o4755), ("sgid", 0o2755), ("both", 0o6711), ("sticky", 0o1644)):
        put(here.workspace, name, name).chmod(mode)
    (here.workspace / "sgid-directory").mkdir()
    (here.workspace / "sgid-directory").chmod(0o2775)
    taken = here.take()
    before = picture(here.workspace)
    delete_everything(here.workspace)

    _restored(here, taken.snapshot.id)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in here.workspace.iterdir()}
    assert modes == {"suid": 0o755, "sgid": 0o755, "both": 0o711, "sticky": 0o1644, "sgid-directory": 0o2775}

    assert here.engine.restore(here.workspace, taken.snapshot.id, setuid=True).failed == []
    assert difference(before, picture(here.workspace)) == []


def test_a_setuid_bit_given_to_other_content_does_not_survive_a_restore(here):
    target = put(here.workspace, "tool", b"good")
    taken = here.take()
    target.write_bytes(b"evil")
    target.chmod(0o4755)
    _restored(here, taken.snapshot.id)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"good", 0o644)


def test_recorded_times_come_back_when_asked_for(here):
    put(here.workspace, "dir/old", b"old")
    os.utime(here.workspace / "dir/old", ns=(1, 1_000_000_000_123_456_789))
    os.utime(here.workspace / "dir", ns=(1, 1_100_000_000_987_654_321))
    taken = here.take()
    before = stamps(here.workspace)
    shutil.rmtree(here.workspace / "dir")
    here.engine.restore(here.workspace, taken.snapshot.id, times=True)
    after = stamps(here.workspace)
    for path in (b"dir", b"dir/old"):
        assert after[path].mtime_ns == before[path].mtime_ns


def test_without_being_asked_rewritten_files_are_new_for_make(here):
    target = put(here.workspace, "old", b"old")
    os.utime(target, ns=(1, 1_000_000_000_000_000_000))
    taken = here.take()
    target.write_bytes(b"new")
    written = target.stat().st_mtime_ns
    _restored(here, taken.snapshot.id)
    assert target.stat().st_mtime_ns >= written


def test_a_file_whose_time_alone_moved_is_not_rewritten(here):
    target = put(here.workspace, "file", b"same")
    taken = here.take()
    os.utime(target, ns=(1, 1_000_000_000_000_000_000))
    inode = target.stat().st_ino
    done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert (done.written, target.stat().st_ino) == ([], inode)


def test_settings_of_the_person_do_not_change_the_bytes(here, monkeypatch, tmp_path):
    (tmp_path / "attributes").write_bytes(trees.ATTRIBUTES)
    (Path.home() / ".gitconfig").write_text(
        f"[core]\n autocrlf = true\n attributesFile = {tmp_path / 'attributes'}\n fileMode = false\n symlinks = false\n"
    )
    monkeypatch.setenv("LC_ALL", "C")
    old = os.umask(0o077)
    try:
        rich(here.workspace)
        os.umask(0)
        taken = here.take()
        before = picture(here.workspace, skip=REPOSITORIES)
        os.umask(0o777)
        delete_everything(here.workspace)
        _restored(here, taken.snapshot.id)
    finally:
        os.umask(old)
    assert difference(before, picture(here.workspace, skip=REPOSITORIES)) == []


def test_a_snapshot_taken_by_one_process_is_restored_by_another_with_the_cache_lost(here):
    rich(here.workspace)
    taken = here.take()
    before = picture(here.workspace, skip=REPOSITORIES)
    rotate_contents(here.workspace)
    here.engine.close()
    for cache in here.store.rglob("seen"):
        shutil.rmtree(cache)
    with Engine(store=here.store) as other:
        assert other.restore(here.workspace, taken.snapshot.id).failed == []
    assert difference(before, picture(here.workspace, skip=REPOSITORIES)) == []


def test_a_damaged_cache_changes_nothing_about_the_outcome(here):
    rich(here.workspace)
    taken = here.take()
    before = picture(here.workspace, skip=REPOSITORIES)
    overwrite_keeping_size_and_time(here.workspace)
    here.engine.close()
    for cache in here.store.rglob("seen/*"):
        data = bytearray(cache.read_bytes())
        data[len(data) // 2] ^= 0xFF
        cache.write_bytes(data)
    with Engine(store=here.store) as other:
        assert other.restore(here.workspace, taken.snapshot.id).failed == []
    assert difference(before, picture(here.workspace, skip=REPOSITORIES)) == []


def test_later_edits_of_the_workspace_do_not_reach_a_snapshot(here):
    target = put(here.workspace, "file", b"x" * 200_000)
    taken = here.take()
    with target.open("r+b") as file:
        file.write(b"y" * 200_000)
    with here.engine.read(here.workspace, taken.snapshot.id, "file") as content:
        assert content.read() == b"x" * 200_000
