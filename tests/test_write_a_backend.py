"""The backend in docs/write-a-backend.md works as it stands there, and is as short as the page says."""

import re
import sys
from pathlib import Path

import pytest

from fake_distributions import installed
from hermes_checkpoints import plugins
from hermes_checkpoints.contract.hooks import ENTRY_POINT_GROUP
from hermes_checkpoints.testing import BackendContract

PAGE = Path(__file__).parents[1] / "docs" / "write-a-backend.md"
MODULE = "hermes_checkpoints_sqlite_store"
_BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
_BACKEND, _HOOK, _TEST = (text for language, text in _BLOCKS if language == "python")
(_ENTRY_POINTS,) = (text for language, text in _BLOCKS if language == "toml")
_NAMES: dict = {"__name__": MODULE}
exec(compile(_BACKEND, str(PAGE), "exec"), _NAMES)


# The example does not close the file of a store that it cannot open; Python 3.13 warns of that.
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
class TestSqlite(BackendContract):
    backend_class = _NAMES["Sqlite"]


def test_the_example_is_at_most_seventy_five_lines_long():
    assert len([line for line in _BACKEND.splitlines() if line.strip()]) <= 75


def test_the_page_offers_the_example_as_a_package_that_loads(tmp_path):
    group, name, module = re.fullmatch(
        r'\[project\.entry-points\."(.+)"\]\n([\w-]+) = "(\w+)"\n', _ENTRY_POINTS
    ).groups()
    assert group == ENTRY_POINT_GROUP
    (tmp_path / f"{module}.py").write_text(_HOOK)
    (tmp_path / f"{MODULE}.py").write_text(_BACKEND)
    info = tmp_path / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    with installed(tmp_path):
        loaded = plugins.load(name)
        assert loaded.name == name
        assert loaded.__module__ == MODULE


def test_the_page_shows_a_test_class_that_pytest_would_collect(tmp_path, monkeypatch):
    (tmp_path / f"{MODULE}.py").write_text(_BACKEND)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict = {"__name__": "test_mine"}
    try:
        exec(compile(_TEST, str(PAGE), "exec"), names)
    finally:
        sys.modules.pop(MODULE, None)
    assert issubclass(names["TestSqlite"], BackendContract)
    assert names["TestSqlite"].backend_class.name == "sqlite"


@pytest.mark.parametrize("said", ["ground", "shared_between_processes", "caches", "expected_failures"])
def test_what_the_page_says_can_be_overridden_is_there(said):
    assert f"`{said}" in PAGE.read_text("utf-8")
    assert hasattr(BackendContract, said)


def test_the_test_that_the_page_names_exists():
    for name in re.findall(r"\btest_\w+", PAGE.read_text("utf-8")):
        assert hasattr(BackendContract, name), name
