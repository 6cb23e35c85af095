"""Nested repositories, submodules, worktrees: captured as plain files; their ``.git`` is never touched."""

import subprocess
from pathlib import Path

import pytest

from hermes_checkpoints.testing.witness import picture, stamps
from trees import BACKENDS, ground, put, rich


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param) as made:
        yield made


def test_no_repository_is_touched_whatever_its_state_is(here):
    rich(here.workspace)
    taken = here.take()
    before, before_stamps = _repositories(here.workspace, picture), _repositories(here.workspace, stamps)
    for name in ("nested/file.c", "submodule/lib.c", "worktree/branch.c", "broken/data", "dangling/data"):
        (here.workspace / name).unlink()
    here.take("damaged")
    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []
    here.engine.undo(here.workspace)
    here.engine.redo(here.workspace)
    assert _repositories(here.workspace, picture) == before
    assert _repositories(here.workspace, stamps) == before_stamps
    assert (here.workspace / "nested/file.c").read_bytes() == b"int main;\n"


def _repositories(workspace: Path, look):
    return {path: seen for path, seen in look(workspace).items() if b".git" in path.split(b"/")}


def test_real_repositories_submodules_and_worktrees_work_on_after_a_restore(here):
    def git(*words: str, cwd: Path = here.workspace) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
        return subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True, text=True).stdout

    other = here.workspace.parent / "other"
    other.mkdir()
    git("init", "-q", cwd=other)
    put(other, "lib.c", b"int lib;\n")
    git("add", ".", cwd=other)
    git("commit", "-qm", "one", cwd=other)
    git("init", "-q")
    git("init", "-q", "without-commits")
    put(here.workspace, "without-commits/file", b"not committed")
    put(here.workspace, "main.c", b"int main;\n")
    git("submodule", "--quiet", "add", str(other), "sub")
    git("add", "main.c")
    git("commit", "-qm", "first")
    git("worktree", "add", "-q", "tree")
    put(here.workspace, "main.c", b"int main = 1;\n")
    put(here.workspace, "sub/lib.c", b"int lib = 1;\n")
    put(here.workspace, "tree/main.c", b"int main = 2;\n")
    status, head = git("status", "--porcelain"), git("rev-parse", "HEAD")
    taken = here.take()
    before = _repositories(here.workspace, picture)
    for name in ("main.c", "sub/lib.c", "tree/main.c", "without-commits/file"):
        (here.workspace / name).unlink()

    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []

    assert _repositories(here.workspace, picture) == before
    assert (git("status", "--porcelain"), git("rev-parse", "HEAD")) == (status, head)
    assert (here.workspace / "without-commits/file").read_bytes() == b"not committed"
    assert git("diff", "--name-only", cwd=here.workspace / "tree") == "main.c\n"
