"""A disk that is smaller than the store's budget."""

import os

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.results import Taken
from trees import BACKENDS, put

MB = 1 << 20


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_disk_does_not_end_protection(backend, small_filesystem, fresh_directory):
    """The budget is 500 MB, and the disk has much less; nothing runs in the background."""
    with (
        small_filesystem("ext4", 96) as filesystem,
        Engine(store=filesystem.root / "checkpoints", backend=backend) as engine,
    ):
        for turn in range(2 * _free(filesystem.root) // (MB // 2)):
            put(fresh_directory / f"{turn % 3}", "a", os.urandom(MB // 2))
            assert isinstance(engine.snapshot(fresh_directory / f"{turn % 3}"), Taken)
        assert all(engine.list(fresh_directory / f"{number}") for number in range(3))


def _free(directory):
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize
