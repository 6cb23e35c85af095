"""The figures in the documentation are those that were measured, and a third backend is measured like ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import report
from fake_distributions import write_distribution
from ground import RESULTS, read

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", report.PAGES)
def test_no_figure_on_a_page_was_typed_by_hand_or_is_older_than_the_samples(page):
    text = (ROOT / page).read_text()
    assert "<!-- figures: " in text
    assert report.filled(text, read(RESULTS)) == text, "python benchmarks/report.py"


def test_no_plot_is_older_than_the_samples():
    for name, plot in report.images(read(RESULTS)).items():
        assert (ROOT / "docs" / "images" / name).read_text() == plot, name


_THIRD = """
    from hermes_checkpoints.contract.hooks import hookimpl
    from hermes_checkpoints.testing import MemoryBackend

    class Third(MemoryBackend):
        name = {name!r}

    @hookimpl
    def hermes_checkpoints_backend():
        return Third
"""


def test_a_third_backend_that_is_installed_is_measured_with_no_new_line(tmp_path):
    directory = write_distribution(tmp_path / "installed", "third", "third_backend", _THIRD)
    asked = ["benchmarks/test_scenarios.py", "--benchmark-disable", "-q", "-k", "TestThird and unchanged"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *asked],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
