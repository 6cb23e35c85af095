"""What tests of restores that make many things at once have in common."""

import os
import signal
import sys

from hermes_checkpoints import plugins
from hermes_checkpoints.kit.walk.reading import is_scratch
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.witness import picture


def left(workspace) -> list[str]:
    return [name for _, directories, files in os.walk(workspace) for name in directories + files if is_scratch(name)]


def during(here, monkeypatch, act, after=1) -> None:
    """Do something when so many contents have been put back and the rest is about to be."""
    backend = plugins.load(here.engine.choose(here.workspace).name)
    really = backend.materialise_all

    def interrupted(self, files):
        files = iter(files)
        yield from really(self, [next(files) for _ in range(after)])
        act()
        yield from really(self, files)

    monkeypatch.setattr(backend, "materialise_all", interrupted)


def without_modes(workspace) -> dict[bytes, tuple[str, bytes]]:
    """What is there under its own name; directories have their modes only when a restore is done."""
    there = {path: (one.kind, one.content) for path, one in picture(workspace).items()}
    return {path: one for path, one in there.items() if b".hermes-checkpoints-" not in path}


def killed_within(step, note, act) -> bool:
    """Do something in a process that is killed as it begins its n-th step while there is a note."""
    steps = 0

    def die(event, _arguments) -> None:
        nonlocal steps
        if event.startswith(("open", "os.")) and note.exists():
            steps += 1
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return finish(start(act, before=lambda: sys.addaudithook(die)))[0] == -signal.SIGKILL
