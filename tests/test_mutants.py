"""The conformance suite notices: each mutant in ``mutants.py`` fails the test that it is made for."""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

import mutants

_FILE = Path(mutants.__file__)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """How often each test of each mutant passed, failed or ended otherwise; one pytest process for all."""
    report = tmp_path_factory.mktemp("mutants") / "report.xml"
    chosen = [f"{_FILE}::{title}::{test}" for title, test in mutants.MUTANTS.items()]
    chosen += [f"{_FILE}::{title}::{mutants.HARMLESS}" for title in mutants.MUTANTS]
    # 1: some tests failed, which is the point.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *chosen]
    done = subprocess.run(command, cwd=_FILE.parents[1], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[tuple[str, str], Counter[str]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        title, test = case.attrib["classname"].rpartition(".")[2], case.attrib["name"].partition("[")[0]
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found.setdefault((title, test), Counter())[outcome] += 1
    return found


@pytest.mark.parametrize(("title", "test"), mutants.MUTANTS.items(), ids=mutants.MUTANTS)
def test_a_broken_promise_fails_its_test(outcomes, title, test):
    found = outcomes[title, test]
    assert found["failure"] > 0, f"{title.removeprefix('Test')} got past {test}: {dict(found)}"
    assert found["error"] == 0, f"{title} failed before its test began"


@pytest.mark.parametrize("title", mutants.MUTANTS)
def test_a_mutant_is_broken_in_one_way_and_not_altogether(outcomes, title):
    assert outcomes[title, mutants.HARMLESS] == {"passed": 1}
