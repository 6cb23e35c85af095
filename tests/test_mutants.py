"""The conformance suite notices: each backend in ``mutants`` fails the test that it is made for."""

import importlib
import pkgutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

import mutants

for _module in pkgutil.iter_modules(mutants.__path__, "mutants."):
    importlib.import_module(_module.name)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How often each test of each mutant passed, failed or ended otherwise; one pytest process for all."""
    report = tmp_path_factory.mktemp("mutants") / "report.xml"
    chosen = [
        f"{where}::{test}" for where, made_for in mutants.MUTANTS.values() for test in (made_for, mutants.HARMLESS)
    ]
    # Plain: under CI, pytest explains a failed comparison in full, which takes minutes for a megabyte.
    options = ["-q", "-p", "no:cacheprovider", "--assert=plain", f"--junit-xml={report}"]
    command = [sys.executable, "-m", "pytest", *options, *chosen]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr  # some tests failed, which is the point
    found: dict[tuple[str, str], Counter[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        title, test = case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0]
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found.setdefault((title.removeprefix("Test"), test), Counter())[outcome] += 1
    return found


@pytest.mark.parametrize("mutant", mutants.MUTANTS)
def test_a_broken_promise_fails_its_test(outcomes, mutant):
    made_for = mutants.MUTANTS[mutant][1]
    found = outcomes[mutant, made_for]
    assert found["failure"] > 0, f"{mutant} got past {made_for}: {dict(found)}"
    assert found["error"] == 0, f"{mutant} failed before its test began"


@pytest.mark.parametrize("mutant", mutants.MUTANTS)
def test_a_mutant_is_broken_in_one_way_and_not_altogether(outcomes, mutant):
    assert outcomes[mutant, mutants.HARMLESS] == {"passed": 1}
