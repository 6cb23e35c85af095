"""A small store, ways to damage it, and what must hold afterwards."""

import random

from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.testing.trees import contents, populate
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import fill, turn


def small_store(place, pictures):
    """Two snapshots in a pack each: text, noise, links, directories in directories."""
    populate(place.workspace)
    with ShadowGit.open(place) as backend:
        turn(backend, pictures)
        fill(place.workspace, "src/noise", 700, "noise")
        (place.workspace / "src" / "main.py").write_bytes(b"print('two')\n")
        turn(backend, pictures)


def store_files(place):
    """Every file of the store with its bytes."""
    return {path: path.read_bytes() for path in sorted(place.store.rglob("*")) if path.is_file()}


def write(path, content):
    """Over what is there, in place: an open descriptor sees it."""
    path.chmod(0o600)
    path.write_bytes(content)


def flipped(content, offset):
    return content[:offset] + bytes([content[offset] ^ (1 << offset % 8)]) + content[offset + 1 :]


def offsets(content, count):
    """So many places of a file, its first and last bytes among them."""
    ends = {0, len(content) - 1, max(0, len(content) - 21), len(content) // 2}
    return sorted(ends | set(random.Random(len(content)).sample(range(len(content)), min(count, len(content)))))


def comes_back(backend, held):
    """Which snapshots can be read; what comes back of one is what was stored."""
    whole = []
    for snapshot, files in held.items():
        try:
            found = contents(backend, snapshot)
        except CheckpointError:
            continue
        assert found == files, f"{snapshot} was handed out with other bytes"
        whole.append(snapshot)
    return whole
