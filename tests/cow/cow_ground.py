"""A copy-on-write store beside a workspace, and what the filesystem itself says of the space they take."""

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints.contract import Note, Place, Scope, Snapshot
from hermes_checkpoints_cow.backend import CopyOnWrite

MB = 1 << 20
EVERYTHING = Scope(excludes=(), max_file_size=0)


@dataclass(frozen=True, slots=True)
class Ground:
    """A workspace and its backend."""

    root: Path
    workspace: Path
    backend: CopyOnWrite

    @property
    def home(self) -> Path:
        return self.backend.home

    def write(self, name: str, size: int) -> bytes:
        """A file of the workspace with that many new bytes, on the medium; its content."""
        content = os.urandom(size)
        (self.workspace / name).write_bytes(content)
        return content

    def take(self, growing=None) -> Snapshot:
        more = {"growing": growing} if growing else {}
        snapshot = self.backend.save(EVERYTHING, Note(), **more).snapshot
        assert snapshot is not None
        return snapshot

    def read(self, snapshot: Snapshot, path: str) -> bytes:
        with self.backend.read(self.backend.entry(snapshot.id, path)) as stored:
            return stored.read()

    def real(self) -> int:
        return self.backend.usage().real

    def verify(self) -> None:
        """Every listed snapshot comes back whole."""
        for snapshot in self.backend.snapshots():
            assert list(self.backend.verify(snapshot.id)) == []


@contextmanager
def ground_at(root: Path):
    """A ground in an empty directory, or the one that was made there before."""
    for name in ("workspace", "store"):
        (root / name).mkdir(mode=0o700, exist_ok=True)
    place = Place((root / "store").resolve(), (root / "workspace").resolve())
    with CopyOnWrite.open(place) as backend:
        yield Ground(root, place.workspace, backend)


def free_space(root: Path) -> int:
    """Free bytes of a filesystem, when it has done what it does in the background (XFS, Btrfs)."""
    free, steady = -1, 0
    while steady < 3:
        before = free
        os.sync()
        status = os.statvfs(root)
        free = status.f_bfree * status.f_frsize
        steady = steady + 1 if free == before else 0
        time.sleep(0.02)
    return free


def allocated(path: Path) -> int:
    """Bytes of the disk that a file takes."""
    os.sync()
    return path.stat().st_blocks * 512


def data_files(home: Path) -> list[Path]:
    return sorted(home.glob("batches/*/data"))


def raw_bytes(home: Path) -> bytes:
    """Everything that can be read in a store."""
    return b"".join(path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file())


def packed_turn(ground, turn, files=30, size=40_000):
    """A snapshot that packs that many new small files into its ``data``."""
    contents = {f"{turn} {number}": ground.write(f"{turn} {number}", size) for number in range(files)}
    return ground.take(), contents


def half_dead(ground):
    """A batch of which a later snapshot leans on every third file only; that snapshot, and what it holds."""
    ground.write("first", 10)
    ground.take()
    doomed, contents = packed_turn(ground, "packed")
    for number in range(30):
        if number % 3:
            (ground.workspace / f"packed {number}").unlink()
            del contents[f"packed {number}"]
    kept = ground.take()
    ground.backend.forget([doomed.id])
    return kept, contents
