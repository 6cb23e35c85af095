"""The power fails while directories, or files, that are gone come back: afterwards each is whole, or not there."""

import os
import shutil
import signal
import sys

import pytest

from disks import made_disk
from filesystems import KINDS, Unavailable
from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place
from hermes_checkpoints.testing.processes import asked_at_steps, finish, start
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, put

_MEGABYTES = 400
_CUTS = 4


@pytest.fixture(params=KINDS)
def disk(request):
    try:
        with made_disk(request.param, _MEGABYTES) as made:
            yield made
    except Unavailable as error:
        if request.config.getoption("--require-filesystems"):
            raise
        pytest.skip(f"{request.param} is not available: {error}")


@pytest.mark.parametrize("whole", ["directories", "files"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_comes_back_is_whole_or_not_there_after_a_power_cut(disk, backend, whole, fresh_directory):
    workspace, store = disk.root / "workspace", fresh_directory
    for number in range(60):
        put(workspace, f"{'ab'[number % 2]}/{number % 3}/f{number}", os.urandom(200 * number))
    with Engine(store=store, backend=backend) as engine:
        target = engine.snapshot(workspace).snapshot.id
    before = picture(workspace)
    note = store / "store" / "restoring" / f"{Place(store / 'store', workspace).workspace_id}.json"

    def restore() -> None:
        with Engine(store=store, backend=backend) as engine:
            engine.restore(workspace, target)

    def gone() -> None:
        for name in "ab":
            if whole == "directories":
                shutil.rmtree(workspace / name, ignore_errors=True)
            for path in (workspace / name).glob("*/f*"):
                path.unlink()
        os.sync()

    def cut_at(step) -> None:
        handle, steps = disk.handle(), 0

        def cut(event, _arguments) -> None:
            nonlocal steps
            if event.startswith(("open", "os.")) and note.exists():
                steps += 1
                if steps == step:
                    disk.cut(handle, keep_log=step % 2 == 0)
                    os.kill(os.getpid(), signal.SIGKILL)

        finish(start(restore, before=lambda: sys.addaudithook(cut)))
        os.close(handle)

    gone()
    inside = sum(asked_at_steps(restore, note.exists))
    # The last ones are those at which the names are given.
    steps = {*range(1, inside, inside // _CUTS), *range(inside - 6, inside + 1)}
    for step in sorted(steps):
        gone()
        cut_at(step)
        disk.again()
        there = {path: one for path, one in picture(workspace).items() if b".hermes-checkpoints-" not in path}
        due = there if whole == "files" else (path for path in before if path[:1] in there)
        for path in due:
            assert (there[path].kind, there[path].content) == (before[path].kind, before[path].content), (step, path)
        with Engine(store=store, backend=backend) as engine:
            if engine.interrupted(workspace) is not None:
                engine.finish_restore(workspace)
            else:
                engine.restore(workspace, target)
        assert difference(before, picture(workspace)) == []
