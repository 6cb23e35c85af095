"""A store of several workspaces whose sizes are known."""

import os

import pytest
from losing import LOST

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.results import Taken
from trees import BACKENDS, ground, put

MB = 1 << 20


@pytest.fixture(params=BACKENDS)
def store(request, fresh_directory):
    """``engine(**limits)`` opens an engine on one store; ``store.workspace(n)`` is a workspace with something in it."""

    class Store:
        base = fresh_directory / "checkpoints"

        @staticmethod
        def workspace(number):
            directory = fresh_directory / "workspaces" / f"{number}"
            directory.mkdir(parents=True, exist_ok=True)
            return directory

        @staticmethod
        def engine(**limits):
            limits = Limits(**{"min_free_disk": 0, **limits})
            return Engine(store=fresh_directory / "checkpoints", backend=request.param, limits=limits)

        def turns(self, engine, number, count, size=MB // 2):
            for turn in range(count):
                put(self.workspace(number), "a", os.urandom(size) + bytes([turn]))
                assert isinstance(engine.snapshot(self.workspace(number), f"{turn}"), Taken)

        @staticmethod
        def size():
            files = (path.lstat() for path in (fresh_directory / "checkpoints").rglob("*"))
            return sum(status.st_blocks * 512 for status in files)

    return Store()


@pytest.fixture(params=BACKENDS)
def there(request, tmp_path):
    """A workspace whose first two snapshots hold ``lost``, of which nobody else has the bytes."""
    with ground(tmp_path, request.param, wait=0.1) as made:
        put(made.workspace, "dir/lost", LOST)
        put(made.workspace, "dir/stays", b"stays")
        made.take("first")
        put(made.workspace, "notes", b"more")
        made.take("second")
        (made.workspace / "dir/lost").unlink()
        made.take("third")
        yield made
