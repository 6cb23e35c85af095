"""What people install works: the wheel, built by way of the sdist, and the editable install, in clean environments."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

for tool in ("build", "hatchling", "pip"):
    pytest.importorskip(tool, reason=f"{tool} is not installed: pip install -e '.[dev]'")

REPOSITORY = Path(__file__).parents[1]
OURS = ("hermes_checkpoints", "hermes_checkpoints_cow", "hermes_checkpoints_hermes_v2", "hermes_checkpoints_shadow_git")
BACKENDS = {
    "cow": "hermes_checkpoints_cow",
    "hermes-v2": "hermes_checkpoints_hermes_v2",
    "shadow-git": "hermes_checkpoints_shadow_git",
}

LOOK = """
import importlib, json, sys
from importlib.metadata import distribution, entry_points
packages = {name: importlib.import_module(name) for name in sys.argv[1:]}
scripts = distribution("hermes-checkpoints").entry_points.select(group="console_scripts")
backends = entry_points(group="hermes_checkpoints.backends")
(plugin,) = entry_points(group="hermes_agent.plugins")
print(json.dumps({
    "files": {name: package.__file__ for name, package in packages.items()},
    "scripts": [point.name for point in scripts],
    "backends": {point.name: point.load().__name__ for point in backends},
    "plugin": [plugin.name, callable(plugin.load().register)],
}))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's own files: no history, environment or cache, as in a fresh clone."""
    copy = tmp_path_factory.mktemp("sources") / "hermes-checkpoints"

    def passed_over(_directory: str, names: list[str]) -> list[str]:
        hidden = [name for name in names if name.startswith(".") and name != ".gitignore"]
        return [*hidden, *(name for name in names if name in ("__pycache__", "dist") or name.endswith(".egg-info"))]

    shutil.copytree(REPOSITORY, copy, ignore=passed_over, symlinks=True)
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, sources)
    assert len(list(output.glob("*.tar.gz"))) == 1
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """A new environment that has our dependencies and nothing of ours."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    # Link by link: were the whole directory on the path, our own metadata in it would stand in for what is missing.
    packages = _site_packages(environment)
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for installed in Path(place).iterdir():
            ours = installed.name.lstrip("_").startswith("hermes_checkpoints")
            if not ours and installed.suffix != ".pth" and installed.name != "__pycache__":
                (packages / installed.name).symlink_to(installed)
    missing = _run(environment / "bin/python", "-I", "-c", "import hermes_checkpoints", succeeds=False)
    assert "No module named 'hermes_checkpoints'" in missing
    return environment


def _site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def _install(environment: Path, *what: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin/python", "--disable-pip-version-check")
    _run(*pip, "install", "--quiet", "--no-index", "--no-deps", *what)


def _looked_at(environment: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(_run(environment / "bin/python", "-I", "-c", LOOK, *OURS))
    return answer


def _run(*command: str | Path, succeeds: bool = True) -> str:
    """Both outputs of a command, started where nothing of ours can be imported by accident."""
    done = subprocess.run(command, cwd=os.sep, capture_output=True, text=True)
    assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def _check(environment: Path, root: dict[str, Path]) -> None:
    """Everything that a user of the installed package relies on."""
    seen = _looked_at(environment)
    assert {name: Path(file) for name, file in seen["files"].items()} == {
        name: root[name] / name / "__init__.py" for name in OURS
    }
    for name in OURS:
        assert (root[name] / name / "py.typed").is_file()
    assert seen["scripts"] == ["hermes-checkpoints"]
    assert seen["backends"] == BACKENDS
    assert seen["plugin"] == ["hermes-checkpoints", True]  # as Hermes finds and calls it
    assert "hermes-checkpoints" in _run(environment / "bin/hermes-checkpoints", "--help")


def test_a_wheel_built_by_way_of_the_sdist_works_where_nothing_of_ours_was(wheel, clean):
    _install(clean, wheel)
    _check(clean, dict.fromkeys(OURS, _site_packages(clean)))


def test_a_wheel_brings_our_three_packages_and_nothing_else_to_the_top_level(wheel):
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(OURS)


def test_every_module_of_ours_is_in_the_wheel(wheel, sources):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    roots = (sources / "src", sources / "backends")
    written = {os.fspath(module.relative_to(root)) for root in roots for module in root.rglob("*.py")}
    assert written <= packed


def test_an_editable_install_works_from_both_source_roots(sources, clean):
    _install(clean, "--no-build-isolation", "--editable", sources)
    backends = dict.fromkeys(BACKENDS.values(), sources / "backends")
    _check(clean, {"hermes_checkpoints": sources / "src", **backends})
