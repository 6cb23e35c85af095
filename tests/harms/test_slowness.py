"""Being slow: excluded trees were walked, no progress, no cancel. ``test_work_done.py`` counts the work of a turn."""

import os
import time

import pytest

from hermes_checkpoints.contract import StoreBusy
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.results import Unchanged
from hermes_checkpoints.testing.witness import picture
from trees import BACKENDS, ground, put


def test_excluded_directories_are_never_entered(anywhere, monkeypatch):
    """cline 4519: 20 s in node_modules. hermes 56606: they counted towards the limit."""
    for path in ("node_modules/a/b", "sub/node_modules/c/d", ".git/objects/e", "data/f/g", "src/h"):
        put(anywhere.workspace, path, b"")
    put(anywhere.workspace, ".gitignore", b"data/\n")
    anywhere.engine.choose(anywhere.workspace)  # tries a clone of whatever file it finds first
    entered = []
    scandir = os.scandir

    def watched(where="."):
        entered.append(os.readlink(f"/proc/self/fd/{where}") if isinstance(where, int) else os.fspath(where))
        return scandir(where)

    monkeypatch.setattr(os, "scandir", watched)
    anywhere.take()
    anywhere.engine.snapshot(anywhere.workspace)
    anywhere.engine.plan(anywhere.workspace, "1")
    inside = {os.path.relpath(path, anywhere.workspace) for path in entered if path.startswith(str(anywhere.workspace))}
    assert inside == {".", "sub", "src"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_walk_tells_its_progress_and_can_be_cancelled(fresh_directory, backend):
    """opencode 32981: neither on a huge tree."""
    for number in range(1000):
        put(fresh_directory, f"workspace/{number}", f"{number}")
    before = picture(fresh_directory / "workspace")
    told = []

    def cancel(files: int) -> None:
        told.append(files)
        if len(told) == 2:
            raise KeyboardInterrupt

    with ground(fresh_directory, backend, progress=cancel) as at:
        with pytest.raises(KeyboardInterrupt):
            at.engine.snapshot(at.workspace)
        assert told == sorted(told)
        assert at.engine.list(at.workspace) == []
        assert at.take().snapshot.files == 1000
        assert picture(at.workspace) == before


def test_unchanged_files_are_not_read_again_however_large_they_are(here):
    """t3code 12924, hermes: every file hashed again each turn."""
    for number in range(20):
        put(here.workspace, f"{number}", f"{number}" * 1000)
    time.sleep(0.15)  # times younger than the clock's tick prove nothing
    here.take()
    time.sleep(0.15)
    here.engine.snapshot(here.workspace)
    outcome = here.engine.snapshot(here.workspace)
    assert isinstance(outcome, Unchanged)
    assert outcome.stats.opened == 0
    put(here.workspace, "3", b"edited")
    assert here.take().stats.opened == 1


def test_a_store_in_use_is_waited_for_no_longer_than_was_asked(anywhere):
    """t3code 3646: a timeout that was tried again for ever."""
    put(anywhere.workspace, "a", b"")
    anywhere.take()
    put(anywhere.workspace, "a", b"2")
    (lock,) = (path for path in (anywhere.store / "store/locks").iterdir() if len(path.name) == 16)
    with locked(lock), ground(anywhere.workspace.parent, None, wait=0.2) as at:
        began = time.monotonic()
        with pytest.raises(StoreBusy, match="try again"):
            at.engine.snapshot(at.workspace)
        assert 0.2 <= time.monotonic() - began < 5
    anywhere.take()
