"""Somebody removes parts of the store under an engine that goes on, or makes its filesystem read-only."""

import shutil
import subprocess

import pytest

from hermes_checkpoints.contract import Place, StoreError
from hermes_checkpoints.export import lay_out
from hermes_checkpoints.plugins import load
from hermes_checkpoints.testing.trees import contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture
from reclaim_building import fill, turn


@pytest.mark.parametrize("removed", ["objects/pack", "objects", "objects/pack/*"])
def test_a_live_engine_whose_objects_were_removed_stores_everything_anew(place, backend, tmp_path, removed):
    populate(place.workspace)
    gone = take(backend)
    for path in backend.home.glob(removed):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    fill(place.workspace, "later", 300, "later")
    later = take(backend)
    assert difference(picture(place.workspace), pictured(backend, later.id, tmp_path)) == []
    assert {one.snapshot for one in backend.examine()} == {gone.id}
    assert {one.snapshot for one in backend.mend(give_up=True)} == {gone.id}
    assert [*backend.examine()] == []
    backend.reclaim(thorough=True)
    assert [one.id for one in backend.snapshots()] == [later.id]


def test_an_unchanged_workspace_is_stored_anew_when_its_objects_were_removed(place, backend, tmp_path):
    take(backend)  # empty: nothing could differ from it
    shutil.rmtree(backend.home / "objects")
    again = take(backend)
    assert pictured(backend, again.id, tmp_path) == picture(place.workspace)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("name", ["shadow-git", "cow"])
def test_a_store_on_a_read_only_filesystem_can_be_read(small_filesystem, tmp_path, name, kind):
    with small_filesystem(kind, {"ext4": 16, "xfs": 300, "btrfs": 128}[kind]) as filesystem:
        place = Place(filesystem.root / "store", tmp_path / "workspace")
        place.workspace.mkdir()
        populate(place.workspace)
        with load(name).open(place) as backend:
            only = take(backend)
            held = contents(backend, only.id)
        before = picture(place.workspace)
        fill(place.workspace, "later", 300, "later")
        subprocess.run(["mount", "-o", "remount,ro", filesystem.root], check=True)
        try:
            with load(name).open(place) as backend:
                assert [one.id for one in backend.snapshots()] == [only.id]
                assert contents(backend, only.id) == held
                assert {change.path for change in backend.changes(only.id)} >= {"later"}
                assert [*backend.examine()] == []
                lay_out(backend, only, tmp_path / "exported")
                assert difference(before, picture(tmp_path / "exported")) == []
                with pytest.raises(StoreError, match=f"{place.store}.*Read-only file system"):
                    take(backend)
        finally:
            subprocess.run(["mount", "-o", "remount,rw", filesystem.root], check=True)
        with load(name).open(place) as backend:
            assert take(backend).files == only.files + 1


def test_a_store_that_may_not_be_written_can_be_read(as_user):
    def read():
        store, workspace = as_user.home / "store", as_user.home / "workspace"
        workspace.mkdir()
        (workspace / "file").write_bytes(b"bytes")
        place = Place(store, workspace)
        with load("shadow-git").open(place) as backend:
            only = take(backend)
        closed = [store / "shadow-git", store / "shadow-git" / "tmp", store / "shadow-git" / "lock"]
        (workspace / "later").touch()
        (store / "shadow-git" / "HEAD").unlink()
        for path in closed:
            path.chmod(0o500)
        try:
            with load("shadow-git").open(place) as backend:
                found = contents(backend, only.id)
                with pytest.raises(StoreError, match=r"shadow-git/lock.*Permission denied"):
                    take(backend)
        finally:
            for path in closed:
                path.chmod(0o700)
        return found

    assert as_user(read) == {"file": b"bytes"}


def test_what_was_stored_before_the_objects_went_is_not_believed_by_a_new_engine(place, backend, pictures, tmp_path):
    populate(place.workspace)
    take(backend)
    shutil.rmtree(backend.home / "objects")
    with load("shadow-git").open(place) as again:
        turn(again, pictures)
        ((newest, there),) = pictures.items()
        assert difference(there, pictured(again, newest, tmp_path)) == []
