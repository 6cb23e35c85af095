"""Hundreds of turns under a small budget, with kills and two processes; ``benchmarks/soak.py`` is the long form."""

import pytest

from soak import Soak, by_filesystem, run
from trees import BACKENDS

CAP = 16 << 20


@pytest.fixture(autouse=True)
def _in_the_background(monkeypatch):
    monkeypatch.delenv("HERMES_CHECKPOINT_BACKGROUND")


def soak(ground, backend):
    return Soak(ground, backend, turns=600, workspaces=10, cap=CAP, kill_every=0.3)


def whole(outcome):
    """Its samples, when nothing was lost."""
    assert outcome.damaged == []
    assert outcome.lost_workspaces == []
    assert outcome.listed >= 10
    assert outcome.kills >= 3
    assert len(outcome.sizes) > 20
    return outcome.sizes


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_store_stays_within_its_budget_and_everything_listed_comes_back(fresh_directory, backend):
    assert max(whole(run(soak(fresh_directory, backend)))) <= CAP


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_clones_stay_within_the_budget_by_what_the_filesystem_says(small_filesystem, kind):
    with small_filesystem(kind, 600) as filesystem:
        mine = soak(filesystem.root, "cow")
        sizes = whole(run(mine, by_filesystem(mine)))
        # The filesystem's own trees grow with what is written, and so does what it has promised but not placed yet.
        assert max(sizes) <= CAP + (4 << 20)
