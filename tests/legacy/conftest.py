"""Stores made by the real Hermes, never by hand."""

import shutil
import subprocess
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from stock_hermes import VERSION, StockHermes, install


@pytest.fixture(scope="session")
def hermes(request, tmp_path_factory):
    """The real module; got once from the package index and kept in pytest's cache."""
    cache = getattr(request.config, "cache", None)
    parent = Path(cache.mkdir("hermes-agent")) if cache is not None else tmp_path_factory.mktemp("hermes-agent")
    kept = parent / VERSION
    if not kept.is_dir():
        beside = tmp_path_factory.mktemp("installed")
        try:
            install(beside)
        except (OSError, subprocess.SubprocessError) as error:
            why = f"hermes-agent {VERSION} could not be had: {error}"
            if request.config.getoption("--require-filesystems"):
                pytest.fail(why, pytrace=False)
            pytest.skip(why)
        shutil.copytree(beside, kept, dirs_exist_ok=True)
    return StockHermes(kept)


@pytest.fixture
def project(tmp_path):
    """A small workspace."""
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "main.py").write_text("first\n")
    (directory / "run.sh").write_text("#!/bin/sh\n")
    (directory / "run.sh").chmod(0o755)
    (directory / "link").symlink_to("src/main.py")
    return directory


@pytest.fixture(params=["shadow-git", "cow"])
def taking(request):
    """The backend that new snapshots go to."""
    return request.param


@pytest.fixture
def engine(hermes, taking):
    with Engine(backend=taking) as opened:
        yield opened
