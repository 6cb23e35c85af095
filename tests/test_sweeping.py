"""What a killed restore leaves in a workspace, and that it goes."""

import os
import stat

import pytest

from hermes_checkpoints.contract import Stamp
from hermes_checkpoints.kit.walk.reading import is_scratch, scratch_name
from hermes_checkpoints.kit.write.sweeping import sweep
from hermes_checkpoints.kit.write.writing import TreeWriter
from hermes_checkpoints.planned import scratch_directories
from trees import BACKENDS, ground, put

TOKEN = "0badcafe"


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def test_a_scratch_name_is_known_as_one_and_nobody_elses_is():
    assert is_scratch(scratch_name(TOKEN, 0))
    assert is_scratch(scratch_name(TOKEN, 2**32 - 1))
    assert not is_scratch(".hermes-checkpoints-my-own-notes-16")
    assert not is_scratch(scratch_name(TOKEN, 0) + "0")


def test_what_a_killed_restore_left_beside_files_goes_and_nothing_else(on_filesystem):
    ours = [scratch_name(TOKEN, number) for number in range(4)]
    others = scratch_name("11111111", 0)
    outside = put(on_filesystem, "outside/file", b"theirs")
    root = on_filesystem / "w"
    put(root, f"a/b/{ours[0]}", b"half")
    (root / "a/b" / ours[1]).symlink_to(outside)
    (root / "a/b" / ours[2]).mkdir()
    put(root, f"a/b/{ours[3]}/inside", b"in no snapshot")
    put(root, f"a/b/{others}", b"somebody else's")
    put(root, "a/b/file", b"file")
    (root / "link").symlink_to(on_filesystem / "outside")
    put(on_filesystem, f"outside/{ours[0]}", b"theirs")
    sweep(root, TOKEN, ["", "a/b", "link", "missing", "a/b/file"], {"missing": 0o500})
    assert sorted(os.listdir(root / "a/b")) == sorted([ours[3], others, "file"])
    assert sorted(os.listdir(on_filesystem / "outside")) == sorted(["file", ours[0]])


def test_directories_that_a_killed_restore_opened_up_are_closed_again(on_filesystem):
    modes = {"a": 0o500, "a/b": 0o550, "a/c": 0o500}
    for path in modes:
        (on_filesystem / path).mkdir()
        put(on_filesystem, f"{path}/file", b"then")
    for path, mode in reversed(modes.items()):
        (on_filesystem / path).chmod(mode)
    opened = {}
    writer = TreeWriter(on_filesystem, token=TOKEN, opened=opened.__setitem__)
    for path in modes:
        writer.delete(f"{path}/file", Stamp.of((on_filesystem / path / "file").lstat()))
    assert opened == modes
    (on_filesystem / "a/c").chmod(0o711)  # by somebody, since
    sweep(on_filesystem, TOKEN, [], opened)
    found = {path: stat.S_IMODE((on_filesystem / path).stat().st_mode) for path in modes}
    assert found == modes | {"a/c": 0o711}
    writer.close()


def test_whatever_a_restore_makes_beside_files_is_where_it_said(here, monkeypatch):
    for name in ("top", "a/file", "a/b/file", "c/attributes", "d"):
        put(here.workspace, name, b"then")
    taken = here.take()
    for name in ("top", "a/file", "a/b/file"):
        put(here.workspace, name, b"changed")
    (here.workspace / "c/attributes").chmod(0o600)
    (here.workspace / "d").unlink()
    put(here.workspace, "d/x", b"a directory now")
    put(here.workspace, "e/new", b"to be deleted")
    told = scratch_directories(here.engine.plan(here.workspace, taken.snapshot.id))
    made = set()
    really = TreeWriter.scratch

    def noted(self):
        made.add("/".join(self._descent.names))
        return really(self)

    monkeypatch.setattr(TreeWriter, "scratch", noted)
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert made == {"", "a", "a/b", "d", "e"}
    assert made <= set(told)


def test_a_directory_that_was_aside_for_its_new_spelling_at_a_kill_gets_its_name_back(on_filesystem):
    """Linux renames an entry to another spelling of its name only by way of another name."""
    note, aside = scratch_name(TOKEN, 0), scratch_name(TOKEN, 1)
    put(on_filesystem, f"{aside}/ignored", b"in no snapshot")
    (on_filesystem / note).symlink_to(f"{aside}/Dir")
    sweep(on_filesystem, TOKEN, [""], {})
    assert os.listdir(on_filesystem) == ["Dir"]
    assert (on_filesystem / "Dir/ignored").read_bytes() == b"in no snapshot"


def test_a_planted_note_moves_nothing_out_of_its_directory(on_filesystem):
    note, aside = scratch_name(TOKEN, 0), scratch_name(TOKEN, 1)
    put(on_filesystem, f"w/{aside}", b"ours")
    put(on_filesystem, "theirs", b"theirs")
    (on_filesystem / "w" / note).symlink_to(f"{aside}/../theirs")
    sweep(on_filesystem, TOKEN, ["w"], {})
    assert (on_filesystem / "theirs").read_bytes() == b"theirs"
    assert os.listdir(on_filesystem / "w") == []
