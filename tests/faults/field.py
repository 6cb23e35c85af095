"""A workspace and its store at one place, put back as they were before each fault."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import Seen, picture

Picture = dict[bytes, Seen]
# Long enough for a process that is ending, and far shorter than anybody would wait for a lock that nobody holds.
_WAIT = 5.0


@dataclass(slots=True)
class Field:
    """Where faults happen."""

    top: Path
    """An empty directory on a filesystem that suits the backend."""
    backend: str
    pictures: dict[int, Picture] = field(default_factory=dict)
    """What each snapshot must hold, by its date: that is unique in a workspace and outlasts a purge."""
    kept: dict[int, Picture] = field(default_factory=dict)
    beginnings: int = 0
    """How often it was put back."""

    @property
    def here(self) -> Path:
        return self.top / "field"

    @property
    def workspace(self) -> Path:
        return self.here / "workspace"

    @property
    def base(self) -> Path:
        return self.here / "checkpoints"

    @property
    def store(self) -> Path:
        return self.base / "store"

    def engine(self, **limits: int) -> Engine:
        kept = Limits(**{"min_free_disk": 0, **limits})
        return Engine(store=self.base, backend=self.backend, limits=kept, wait=_WAIT)

    def take(self) -> str:
        """A snapshot of the workspace, which has changed; its id."""
        with self.engine() as engine:
            outcome = engine.snapshot(self.workspace)
        assert isinstance(outcome, Taken), outcome
        self.pictures[outcome.snapshot.created_ns] = picture(self.workspace)
        return outcome.snapshot.id

    def ids(self) -> list[str]:
        """Of the snapshots, newest first."""
        with self.engine() as engine:
            return [snapshot.id for snapshot in engine.list(self.workspace)]

    def keep(self) -> None:
        """What stands here now is what ``put_back`` puts back."""
        self.kept = dict(self.pictures)
        _run("rm", "-rf", self.top / "kept")
        _run("cp", "-a", "--reflink=auto", self.here, self.top / "kept")

    def put_back(self) -> None:
        self.pictures = dict(self.kept)
        self.beginnings += 1
        _run("rm", "-rf", self.here)
        _run("cp", "-a", "--reflink=auto", self.top / "kept", self.here)


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
