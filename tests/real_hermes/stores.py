"""The store that Hermes's agents share: what is in it, how large and how old it is."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hermes_checkpoints import Engine
from hermes_checkpoints.testing.trees import populate
from hermes_checkpoints.testing.witness import difference, picture
from trees import put

MB = 1 << 20
DAY = 86400


def usual_base() -> Path:
    """Where agents keep their snapshots when they are not told otherwise."""
    return Path(os.environ["HERMES_HOME"], "checkpoints")


def stored(directory: Path | None = None) -> int:
    """Bytes in the files below a directory, by default that one; while somebody writes there, what was seen of them."""
    total = 0
    for above, _, names in os.walk(directory or usual_base()):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.lstat(os.path.join(above, name)).st_size
    return total


def age(base: Path, days: float, workspace: Path | None = None) -> None:
    """Let a workspace, or all that are on record, have been used last so many days ago."""
    for record in (base / "store" / "projects").glob("*.json"):
        row = json.loads(record.read_text())
        if workspace is None or row["workdir"] == str(workspace):
            record.write_text(json.dumps(row | {"last_touch": time.time() - days * DAY}))


def ids(engine: Engine, workspace: Path) -> list[str]:
    """Of the snapshots of a workspace, newest first."""
    return [snapshot.id for snapshot in engine.list(workspace)]


class Protected(NamedTuple):
    """A workspace, and what it held at each of its snapshots."""

    workspace: Path
    pictures: dict[str, dict[bytes, Any]]
    """By the id of the snapshot, oldest first."""

    @property
    def ids(self) -> list[str]:
        """Newest first."""
        return [*reversed(self.pictures)]

    def assert_whole(self, engine: Engine) -> None:
        """Every snapshot is listed, and a restore of it brings every byte back."""
        assert {*ids(engine, self.workspace)} >= self.pictures.keys()
        self.workspace.mkdir(exist_ok=True)
        for snapshot, before in self.pictures.items():
            engine.restore(self.workspace, snapshot)
            assert difference(before, picture(self.workspace)) == []


def protect(engine: Engine, workspace: Path, turns: int = 2) -> Protected:
    """A new workspace with some snapshots of ours."""
    workspace.mkdir()
    populate(workspace)
    put(workspace, "large.bin", os.urandom(MB + MB // 2))  # no store of it fits into one megabyte
    pictures = {}
    for turn in range(turns):
        put(workspace, "src/main.py", f"{turn}\n")
        pictures[engine.snapshot(workspace, f"turn {turn}").snapshot.id] = picture(workspace)
    return Protected(workspace, pictures)
