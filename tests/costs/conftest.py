"""What each piece of work costs, counted once for each backend and size of tree."""

import functools
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from counting import Counts, count
from workload import EDITED, FILE_SIZE, make_tree

_EDIT = f"open(os.path.join(workspace, {EDITED!r}), 'ab').write(b'more')"
_TAKE = "engine.snapshot(workspace)"
# In order: each finds what those before it left.
_WORK = {
    "first": ("pass", _TAKE),
    "unchanged": ("pass", _TAKE),
    "one file": (_EDIT, _TAKE),
    "list": ("pass", "engine.list(workspace)"),
    "diff": (_EDIT, "[*engine.diff(workspace, '1')]"),
    "restore of one": ("pass", "engine.restore(workspace, '1')"),
    "after the restore": ("pass", _TAKE),
    "restore of all": ("shutil.rmtree(workspace)", "engine.restore(workspace, '1')"),
}


@dataclass(frozen=True, slots=True)
class Cost:
    """One piece of work and the tree that it was about."""

    did: Counts
    files: int
    directories: int
    """The top one too."""
    file_size: int = FILE_SIZE

    @property
    def size(self) -> int:
        """Bytes in the files."""
        return self.files * self.file_size


@pytest.fixture(scope="session")
def _counted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], dict[str, Cost]]:
    @functools.cache
    def counted(backend: str, files: int) -> dict[str, Cost]:
        top = tmp_path_factory.mktemp(f"costs-{backend}")
        workspace = top / "workspace"
        workspace.mkdir()
        make_tree(workspace, files)
        directories = 1 + sum(path.is_dir() for path in workspace.rglob("*"))
        found = count(top / "trace", workspace, top / "store", backend, _WORK)
        return {name: Cost(did, files, directories) for name, did in found.items()}

    return counted


@pytest.fixture(params=["shadow-git", "cow"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[150, 600], ids=["small", "large"])
def cost(
    request: pytest.FixtureRequest, backend: str, _counted: Callable[[str, int], dict[str, Cost]]
) -> Callable[[str], Cost]:
    """``cost(work)`` of a backend in a tree of one size and in one four times as large."""
    if sys.platform != "linux":
        pytest.skip("strace is a Linux program")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    return lambda work: _counted(backend, request.param)[work]
