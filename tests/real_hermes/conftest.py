"""Tests with the real Hermes Agent; `make test-hermes` runs them."""

import subprocess
from pathlib import Path

import pytest

from faults import STOCK, Agent
from hermes_checkpoints import Engine
from installation import VERSION, install
from trees import BACKENDS


def pytest_addoption(parser):
    parser.addoption(
        "--stock",
        action="store_true",
        help="put Hermes's own module behind the tests of its faults: each of them must then fail",
    )


@pytest.fixture(scope="session")
def installation(request, tmp_path_factory):
    """The real Hermes with this package beside it; made once and kept in pytest's cache."""
    cache = getattr(request.config, "cache", None)
    parent = Path(cache.mkdir("real-hermes")) if cache is not None else tmp_path_factory.mktemp("real-hermes")
    try:
        return install(parent)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.fail(f"hermes-agent {VERSION} could not be installed: {error}", pytrace=False)


def pytest_generate_tests(metafunc):
    if "behind" in metafunc.fixturenames:
        stock = pytest.param(STOCK, marks=pytest.mark.xfail(raises=AssertionError, reason="a fault of stock Hermes"))
        asked = metafunc.config.getoption("--stock", default=False)  # unknown when the run began further up
        metafunc.parametrize("behind", [stock] if asked else BACKENDS)


@pytest.fixture
def agent(installation, behind):
    """``agent(**limits)`` starts an agent: a process with the module under test behind ``tools.checkpoint_manager``."""
    started = []

    def start(**given):
        started.append(Agent(installation, behind, **given))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def workspace(fresh_directory):
    """An empty workspace."""
    directory = fresh_directory / "project"
    directory.mkdir()
    return directory


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend of ours in turn."""
    return request.param


@pytest.fixture
def engine(backend):
    """An engine on the store that Hermes will find."""
    with Engine(backend=backend) as opened:
        yield opened


@pytest.fixture
def base(engine):
    """Where that store is."""
    return engine.settings.base
