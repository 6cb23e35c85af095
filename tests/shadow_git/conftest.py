"""A repository of ours, and a reader of it."""

import pytest

from hermes_checkpoints_shadow_git.git import ObjectReader
from hermes_checkpoints_shadow_git.repository import Repository


@pytest.fixture
def repo(tmp_path):
    return Repository.open(tmp_path / "store")


@pytest.fixture
def reader(repo):
    reader = ObjectReader(repo)
    yield reader
    reader.close()
