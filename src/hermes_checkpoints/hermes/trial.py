"""A trial of a backend: take, change, restore and compare, where nothing can be lost."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hermes_checkpoints.contract import BackendUnusable, Place
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.kit.store.home import noted_homes
from hermes_checkpoints.results import Taken
from hermes_checkpoints.settings import AUTO


def try_out(backend: str, beside: Path) -> tuple[str, bool]:
    """The backend that was used, and whether it brought a tree back, exactly.

    Tree and store are in a scratch directory in ``beside``, which is removed.
    Where the backend cannot serve that, another one is tried: the workspace it
    was chosen for is on another filesystem. Raises ``CheckpointError``.
    """
    with tempfile.TemporaryDirectory(prefix=".checkpoints-trial-", dir=beside) as scratch:
        try:
            return _cycle(Path(scratch).resolve(), backend)
        except BackendUnusable:
            return _cycle(Path(scratch).resolve(), AUTO)


def _cycle(scratch: Path, backend: str) -> tuple[str, bool]:
    tree, base = scratch / "tree", scratch / "base"
    tree.mkdir(exist_ok=True)
    for name in ("changed", "removed"):
        (tree / name).write_bytes(os.urandom(5000))
    before = _contents(tree)
    with ExitStack() as last:
        engine = last.enter_context(Engine(store=base, backend=backend))
        taken = engine.snapshot(tree, "self check")
        for home in noted_homes(Place(engine.settings.store, tree)):  # outside the scratch directory
            last.callback(shutil.rmtree, home)
        assert isinstance(taken, Taken), taken
        (tree / "changed").write_bytes(b"something else")
        (tree / "removed").unlink()
        (tree / "made").write_bytes(b"")
        engine.restore(tree, taken.snapshot.id)
        return taken.snapshot.backend, _contents(tree) == before


def _contents(tree: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tree.iterdir()}
