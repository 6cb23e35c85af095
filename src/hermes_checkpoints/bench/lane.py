"""One backend at work in a tree and a store of its own."""

import os
from pathlib import Path
from typing import Self

from hermes_checkpoints import plugins
from hermes_checkpoints.bench.trees import Tree, survey
from hermes_checkpoints.contract import Backend, CheckpointError, Place, Scope
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.write.sweeping import remove_tree
from hermes_checkpoints.policy.retention import Limits
from hermes_checkpoints.results import Taken, Unchanged

BIG = "a big binary of the bench"
_EDIT = b"edited by the bench: "
# Nothing is forgotten meanwhile, so that the figures of the disk mean the same for every backend.
_LIMITS = Limits(max_snapshots=1_000_000, max_total_size=0, retention_days=0)


class Unmeasurable(Exception):
    """A scenario that this tree does not allow; the message says why."""


class Lane:
    """A tree, its store, and an engine that one backend serves."""

    def __init__(
        self, backend: str | type[Backend], directory: Path, *, scope: Scope = Scope(), big: int = 64_000_000
    ) -> None:
        """``directory`` must be empty. ``big``: bytes of the big file."""
        self.backend_class = plugins.load(backend) if isinstance(backend, str) else backend
        self.backend = self.backend_class.name
        self.tree = directory / "tree"
        self.tree.mkdir()
        self.held = Tree(0, 0, ())
        """What is in the tree, once it has begun."""
        self._base = directory / "store"
        self._scope = scope
        self._big = big
        self._edits = 0
        self.engine = self._opened()

    def _opened(self) -> Engine:
        return Engine(store=self._base, backend=self.backend_class, scope=self._scope, limits=_LIMITS)

    def begin(self) -> None:
        """Look the tree over that was laid out meanwhile, and have it written to the medium.

        Raises ``CheckpointError`` when there is nothing in it to edit.
        """
        self.held = survey(self.tree)
        for path in self.held.edited:  # blocks shared with other copies would not count as the store's after an edit
            self._rewrite(path, (self.tree / path).read_bytes())
        os.sync()

    def begin_anew(self) -> None:
        """Let the store go, so that the next snapshot is a first one."""
        self.engine.close()
        remove(self._base)
        self.engine = self._opened()

    def settle(self) -> str:
        """Have the newest snapshot describe the tree as it is; its id."""
        self.engine.snapshot(self.tree)
        return self.engine.list(self.tree)[0].id

    def edit(self, count: int) -> None:
        """Give so many files, at most as many as there are to edit, another first line, each time a new one."""
        self._edits += 1
        line = _EDIT + b"%s %d\n" % (self.backend.encode(), self._edits)
        for path in self.held.edited[:count]:
            content = (self.tree / path).read_bytes()
            if content.startswith(_EDIT):
                content = content.partition(b"\n")[2]
            self._rewrite(path, line + content)

    def _rewrite(self, path: str, content: bytes) -> None:
        with open(self.tree / path, "wb") as file:
            file.write(content)

    def add_big(self) -> None:
        """Have the big file in the tree and in a snapshot, the size limit raised for it if need be.

        Raises ``Unmeasurable`` when the tree's own rules leave it out.
        """
        path = self.tree / BIG
        if path.exists():
            return
        with path.open("wb") as file:
            for offset in range(0, self._big, 1 << 20):
                file.write(os.urandom(min(1 << 20, self._big - offset)))
        os.sync()
        self.engine.close()
        limit = self._scope.max_file_size
        self._scope = self._scope._replace(max_file_size=limit and max(limit, self._big))
        self.engine = self._opened()
        outcome = self.engine.snapshot(self.tree)
        assert isinstance(outcome, Taken | Unchanged)
        if any(one.path == BIG for one in outcome.left_out):
            path.unlink()
            raise Unmeasurable("the tree's own ignore rules leave a big file out")

    def edit_big(self) -> None:
        """Overwrite 4 kB of the big file where it is, each time elsewhere."""
        self._edits += 1
        with (self.tree / BIG).open("r+b") as file:
            file.seek(self._edits * 7919 * 4096 % max(1, self._big - 4096))
            file.write(os.urandom(4096))

    def stored(self) -> int:
        """Bytes of disk that the backend's store takes, measured as ``status`` does."""
        os.sync()
        with self.backend_class.open(Place(self.engine.settings.store, self.tree)) as backend:
            return backend.usage().real

    def close(self) -> None:
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def remove(directory: Path) -> None:
    """Remove a directory and all below it, whatever its depth and modes."""
    if not directory.exists():
        return
    try:
        with Descent(str(directory.parent)) as descent:
            remove_tree(descent, directory.name)
    except OSError as error:
        raise CheckpointError(f"{directory} could not be removed: {error}") from error
