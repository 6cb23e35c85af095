"""Hundreds of turns under a small budget, with kills and two processes; ``benchmarks/soak.py`` is the long form."""

import os

import pytest

from soak import Soak, allocated, run
from trees import BACKENDS

CAP = 16 << 20


def soaked(ground, backend, measure=None):
    outcome = run(Soak(ground, backend, turns=600, workspaces=10, cap=CAP, kill_every=0.3), measure)
    assert outcome.damaged == []
    assert outcome.lost_workspaces == []
    assert outcome.listed >= 10
    assert len(outcome.sizes) > 20
    assert outcome.kills >= 3
    return outcome.sizes


@pytest.fixture(autouse=True)
def _in_the_background(monkeypatch):
    monkeypatch.delenv("HERMES_CHECKPOINT_BACKGROUND")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_store_stays_within_its_budget_and_everything_listed_comes_back(fresh_directory, backend):
    assert max(soaked(fresh_directory, backend)) <= CAP


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_clones_stay_within_the_budget_by_what_the_filesystem_says(small_filesystem, kind):
    """What is used, less what the workspaces' files take: the blocks that only the store has."""
    with small_filesystem(kind, 600) as filesystem:
        (filesystem.root / "workspaces").mkdir()

        def used():
            status = os.statvfs(filesystem.root)
            return (status.f_blocks - status.f_bfree) * status.f_frsize

        before = used()

        def measure():
            workspaces = allocated(filesystem.root / "workspaces")
            size = used() - before
            return size - max(workspaces, allocated(filesystem.root / "workspaces"))

        sizes = soaked(filesystem.root, "cow", measure)
        # The filesystem's own trees grow with what is written, and so does what it has promised but not placed yet.
        assert max(sizes) <= CAP + (4 << 20)
