"""Gone needs evidence; everything else is out of sight."""

import os
import shutil

import pytest

from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import parent_of
from hermes_checkpoints.upkeep.standing import standing


@pytest.fixture
def workspace(tmp_path):
    directory = tmp_path / "projects" / "mine"
    directory.mkdir(parents=True)
    return directory


def test_a_directory_that_is_there_is_live(workspace):
    assert standing(workspace, None) is Standing.LIVE
    assert standing(workspace, (0, 0, 0)) is Standing.LIVE


def test_a_directory_removed_from_where_it_was_is_gone(workspace):
    then = parent_of(workspace)
    shutil.rmtree(workspace)
    assert standing(workspace, then) is Standing.GONE


def test_without_a_record_of_where_it_was_nothing_is_gone(workspace):
    shutil.rmtree(workspace)
    assert standing(workspace, None) is Standing.AWAY


def test_in_another_directory_of_that_name_its_absence_proves_nothing(workspace):
    then = parent_of(workspace)
    workspace.parent.rename(workspace.parent.with_name("elsewhere"))
    assert standing(workspace, then) is Standing.AWAY
    workspace.parent.mkdir()
    assert standing(workspace, then) is Standing.AWAY


def test_something_else_of_that_name_proves_nothing(workspace):
    then = parent_of(workspace)
    workspace.rmdir()
    workspace.write_bytes(b"a file now")
    assert standing(workspace, then) is Standing.AWAY


def test_a_directory_that_cannot_be_looked_into_is_away(workspace, as_user):
    then = parent_of(workspace)

    def look():
        assert standing(workspace, then) is Standing.AWAY

    workspace.parent.chmod(0o700)
    os.chown(workspace.parent, 0, 0)
    as_user(look)


def test_a_workspace_on_a_volume_that_is_not_mounted_is_away(tmp_path, volume):
    """hermes 69063: its history was deleted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    volume.mount(disk)
    for workspace in (disk / "mine", disk / "deep" / "mine"):
        workspace.mkdir(parents=True)
    then = parent_of(disk / "mine"), parent_of(disk / "deep" / "mine")
    volume.unmount(disk)
    assert standing(disk / "mine", then[0]) is Standing.AWAY
    assert standing(disk / "deep" / "mine", then[1]) is Standing.AWAY


def test_an_empty_mount_point_proves_nothing_even_if_it_looks_the_same(tmp_path, volume):
    disk = tmp_path / "disk"
    disk.mkdir()
    volume.mount(disk)
    workspace = disk / "mine"
    workspace.mkdir()
    workspace.rmdir()
    assert standing(workspace, parent_of(workspace)) is Standing.AWAY
    (disk / "another").mkdir()
    assert standing(workspace, parent_of(workspace)) is Standing.GONE
