"""A repository of ours, readers of it, and a whole backend."""

import pytest

from hermes_checkpoints.contract import Place
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.packreading import PackReader
from hermes_checkpoints_shadow_git.repository import Repository


@pytest.fixture
def repo(tmp_path):
    return Repository.open(tmp_path / "store")


@pytest.fixture
def reader(repo):
    reader = Objects(repo.path, repo.tmp)
    yield reader
    reader.close()


@pytest.fixture
def packs(repo, reader):
    packs = PackReader(repo, PackIndexes(repo), reader)
    yield packs
    packs.close()


@pytest.fixture
def place(tmp_path):
    (tmp_path / "workspace").mkdir()
    return Place(tmp_path / "base", tmp_path / "workspace")


@pytest.fixture
def backend(place):
    with ShadowGit.open(place) as backend:
        yield backend


@pytest.fixture
def pictures():
    """What each snapshot must hold, by its id."""
    return {}
