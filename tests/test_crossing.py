"""Only our errors leave the engine, whatever the disk answers."""

import errno
import os

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import StoreError, WorkspaceError
from hermes_checkpoints.looking import Looking
from hermes_checkpoints.upkeep import clearing
from trees import put


def test_a_failure_that_nobody_met_names_the_path_and_is_one_of_ours(fresh_directory, monkeypatch):
    workspace = put(fresh_directory / "workspace", "file", b"content").parent
    with Engine(store=fresh_directory / "store") as engine:
        engine.snapshot(workspace)

        def fails(path):
            def failing(*_):
                raise OSError(errno.EIO, os.strerror(errno.EIO), path and str(path))

            return failing

        inside, outside = fresh_directory / "store" / "store" / "somewhere", workspace / "file"
        for path, kind in ((inside, StoreError), (outside, WorkspaceError), (None, StoreError)):
            monkeypatch.setattr(Looking, "_tell_interrupted", fails(path))
            monkeypatch.setattr(clearing, "sweep", fails(path))
            for act in (lambda: engine.list(workspace), lambda: engine.snapshot(workspace), engine.upkeep.maintain):
                with pytest.raises(kind, match=str(path or fresh_directory / "store")) as raised:
                    act()
                assert isinstance(raised.value.__cause__, OSError)


def test_a_failure_in_the_middle_of_an_answer_is_one_of_ours_too(fresh_directory):
    workspace = put(fresh_directory / "workspace", "file", b"content").parent
    with Engine(store=fresh_directory / "store") as engine:
        engine.snapshot(workspace)
        for name in ("file", "other"):
            put(workspace, name, b"edited")
        differences = engine.diff(workspace)
        next(differences)
        with pytest.raises(StoreError):
            differences.throw(OSError(errno.EIO, os.strerror(errno.EIO)))
