"""Workspaces whose snapshots leave garbage of a known size."""

import random

from git_building import fsck
from hermes_checkpoints.testing.trees import pictured, take
from hermes_checkpoints.testing.witness import difference, picture

MIB = 1 << 20


def fill(workspace, name, size, seed):
    (workspace / name).write_bytes(random.Random(seed).randbytes(size))


def turn(backend, pictures):
    """Take a snapshot and remember what it must hold."""
    snapshot = take(backend)
    pictures[snapshot.id] = picture(backend.place.workspace)
    return snapshot.id


def turns(backend, pictures, count, size=2000):
    """Snapshots that differ in one file."""
    for number in range(count):
        fill(backend.place.workspace, "edited", size, f"{len(pictures)} {number}")
        turn(backend, pictures)


def forget(backend, pictures, ids):
    gone = list(ids)
    backend.forget(gone)
    for snapshot in gone:
        del pictures[snapshot]


def half_dead(backend, pictures, files=40, size=100_000):
    """A snapshot of which half is garbage, in packs that are half alive."""
    workspace = backend.place.workspace
    for number in range(files):
        fill(workspace, f"file {number}", size, number)
    turn(backend, pictures)
    for number in range(0, files, 2):
        (workspace / f"file {number}").unlink()
    turn(backend, pictures)
    forget(backend, pictures, list(pictures)[:1])


def whole(backend, pictures, ground):
    """Everything that is listed comes back as it was, and plain git has nothing to complain of."""
    assert {snapshot.id for snapshot in backend.snapshots()} == set(pictures)
    for snapshot, there in pictures.items():
        assert difference(there, pictured(backend, snapshot, ground)) == []
    status, said = fsck(backend._repository)
    complaints = [line for line in said if not line.startswith("dangling ")]  # garbage that is still there
    assert (status, complaints) == (0, [])


def packed(backend):
    return sum(path.stat().st_size for path in backend._repository.packs.iterdir())


def pack_names(backend):
    return {path.stem for path in backend._repository.packs.glob("*.pack")}


def leftovers(backend):
    """Empty directories stay and are none."""
    return sorted(path.name for path in backend._repository.tmp.rglob("*") if path.is_file())
