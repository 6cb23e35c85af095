"""Files that are there whole and durably, or not at all; and what killed processes leave of them."""

import errno
import fcntl
import os

import pytest

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store import publish as publishing
from hermes_checkpoints.kit.store.publish import publish, sweep_unfinished


def test_a_new_file_whose_name_cannot_be_made_durable_is_not_there_either(tmp_path, monkeypatch):
    """Or a take that was refused would be listed, and the next one find nothing changed."""

    def fails(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr(publishing, "sync_path", fails)
    for name in ("new", "old"):
        with pytest.raises(StoreError, match=name):
            publish(tmp_path / name, b"content", scratch=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() in (b"old", b"content")


def test_what_a_killed_process_left_half_made_goes_and_what_is_being_made_stays(tmp_path):
    left, being_made, theirs = (tmp_path / name for name in ("0" * 16 + ".new", "1" * 16 + ".new", "notes.new"))
    for path in (left, being_made, theirs):
        path.touch()
    with being_made.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        sweep_unfinished(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {being_made.name, theirs.name}
    sweep_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [theirs.name]
    sweep_unfinished(tmp_path / "gone")
