"""A base as Hermes has it: our store, and what older formats left beside it."""

import json
import os
import time
from pathlib import Path

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import Place
from hermes_checkpoints.results import Taken
from soak import allocated
from trees import put

MB = 1 << 20
DAY = 86400
NOTHING = {"scanned": 0, "deleted_orphan": 0, "deleted_stale": 0, "errors": 0, "bytes_freed": 0}


def counts(result):
    """What was counted, without the bytes: reclaiming may give a little back even where nothing was forgotten."""
    return result | {"bytes_freed": 0}


class Checkpoints:
    """A base with snapshots in it, and workspaces beside it."""

    def __init__(self, directory, backend):
        self.base = directory / "checkpoints"
        self.workspaces = directory / "workspaces"
        self._backend = backend

    def engine(self):
        return Engine(store=self.base, backend=self._backend, limits=Limits(max_snapshots=50, min_free_disk=0))

    def take(self, workspace, count=1, size=MB // 4):
        workspace.mkdir(parents=True, exist_ok=True)
        with self.engine() as engine:
            for number in range(count):
                put(workspace, "a", os.urandom(size))
                assert isinstance(engine.snapshot(workspace, f"{number}"), Taken)
        return workspace

    def ids(self, workspace):
        with self.engine() as engine:
            return [one.id for one in engine.list(workspace)]

    def workspace_id(self, workspace):
        return Place(self.base / "store", Path(os.path.realpath(workspace))).workspace_id

    def not_used_for(self, workspace, days):
        path = self.base / "store" / "projects" / f"{self.workspace_id(workspace)}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"last_touch": time.time() - days * DAY}))

    def repository(self, workspace, *, days=0.0, parent=None):
        """What Hermes kept for one workspace before its shared store, as far as anybody looks at it."""
        made = (parent or self.base) / self.workspace_id(workspace)
        put(made, "objects/pack", bytes(100_000))
        put(made, "HEAD", "ref: refs/heads/master\n")
        put(made, "HERMES_WORKDIR", f"{workspace}\n")
        for path in (*made.rglob("*"), made):
            os.utime(path, (time.time() - days * DAY,) * 2)
        return made

    def archive(self, name="legacy-20200101-000000", *, days=0.0):
        archive = self.base / name
        self.repository(Path("/somewhere"), parent=archive)
        os.utime(archive, (time.time() - days * DAY,) * 2)
        return archive

    @property
    def marker(self):
        return self.base / ".last_prune"

    def size(self):
        return allocated(self.base)
