"""Tests with the real Hermes Agent; `make test-hermes` runs them."""

import subprocess
from pathlib import Path

import pytest

from installation import VERSION, install


@pytest.fixture(scope="session")
def installation(request, tmp_path_factory):
    """The real Hermes with this package beside it; made once and kept in pytest's cache."""
    cache = getattr(request.config, "cache", None)
    parent = Path(cache.mkdir("real-hermes")) if cache is not None else tmp_path_factory.mktemp("real-hermes")
    try:
        return install(parent)
    except (OSError, subprocess.SubprocessError) as error:
        why = f"hermes-agent {VERSION} could not be installed: {error}"
        if request.config.getoption("--require-filesystems"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
