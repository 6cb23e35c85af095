"""What a turn costs, counted in system calls: figures that a loaded machine does not change."""

import os
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from counting import calls_of, traced
from hermes_checkpoints import Engine
from hermes_checkpoints.kit.walk.clock import stamps_are_exact
from hermes_checkpoints.results import Taken, Unchanged

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is a Linux program"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

BACKENDS = ("shadow-git", "cow")
_MARK = "/hermes-checkpoints-turn-begins"
_CALLS = (
    "open openat openat2 execve access faccessat faccessat2 write writev pwrite64 pwritev sendfile copy_file_range"
).split()

# One process takes a turn for each line of its input, and marks where each begins.
_TURNS = textwrap.dedent(
    f"""
    import os, sys
    from hermes_checkpoints import Engine
    workspace, store, backend = sys.argv[1:]
    with Engine(store=store, backend=backend) as engine:
        for line in sys.stdin:
            if edited := line.strip():
                with open(edited, "a") as file:
                    file.write("more")
            os.access({_MARK!r}, os.F_OK)
            outcome = engine.snapshot(workspace)
            os.access({_MARK!r}, os.F_OK)
            print(type(outcome).__name__, outcome.stats.stored, flush=True)
    """
)


@dataclass(slots=True)
class Work:
    """The system calls between two marks."""

    answer: str = ""
    """The outcome and the number of contents stored."""
    opened: list[str] = field(default_factory=list)
    """Files of the workspace that were opened, directories not counted."""
    started: int = 0
    """Processes started."""
    written: Counter[str] = field(default_factory=Counter)
    """``calls`` and ``bytes`` written to files of the store."""


def tree(root: Path, files: int) -> Path:
    """Fifty files a directory, old enough for their times to prove that they have not changed."""
    for number in range(files):
        if number % 50 == 0:
            directory = root / f"{number // 1000:02}" / f"{number // 50 % 20:02}"
            directory.mkdir(parents=True)
        (directory / f"file-{number}.txt").write_bytes(b"%d\n" % number * 20)
    settle()
    return root


def settle() -> None:
    """Let everything just written grow older than the clock's tick, after which nothing is looked at twice."""
    time.sleep(0.15)


def turns(trace: Path, workspace: Path, store: Path, backend: str, edits: Sequence[str | Path]) -> list[Work]:
    """One process, one turn for each edit (``""``: none); what each of them did."""
    lines = "".join(f"{edited}\n" for edited in edits)
    answers = traced(trace, _CALLS, _TURNS, (workspace, store, backend), lines).splitlines()
    work = _read(trace, workspace, store)
    for turn, answer in zip(work, answers, strict=True):
        turn.answer = answer
    return work


def _read(trace: Path, workspace: Path, store: Path) -> list[Work]:
    found: list[Work] = []
    inside = False
    for name, arguments, result, target in calls_of(trace):
        if _MARK in arguments:
            inside = not inside
            if inside:
                found.append(Work())
        elif inside:
            _count(found[-1], name, arguments, result, target, workspace, store)
    assert not inside
    return found


def _count(work: Work, name: str, arguments: str, result: int, target: str, workspace: Path, store: Path) -> None:
    if name.startswith("open"):
        if target.startswith(f"{workspace}/") and "O_DIRECTORY" not in arguments:
            work.opened.append(target)
    elif name == "execve":
        work.started += 1
    elif f"<{store}/" in arguments and result > 0 and ("write" in name or name in ("sendfile", "copy_file_range")):
        work.written["calls"] += 1
        work.written["bytes"] += result


@pytest.mark.parametrize(("backend", "kind"), [("shadow-git", "ext4"), ("cow", "xfs")])
def test_fifty_thousand_unchanged_files_are_not_opened_again(backend, kind, small_filesystem, tmp_path):
    with small_filesystem(kind, 1536) as mounted:
        workspace, store = tree(mounted.root / "workspace", 50_000), mounted.root / "store"
        (workspace / "00" / ".gitignore").write_text("*.bak\n")
        settle()
        with Engine(store=store, backend=backend) as engine:
            taken = engine.snapshot(workspace)
        assert isinstance(taken, Taken)
        assert taken.stats.opened >= 50_000
        edited = workspace / "00" / "01" / "file-77.txt"
        new_process, again, one_file, after = turns(tmp_path / "trace", workspace, store, backend, ["", "", edited, ""])
        assert (new_process.answer, again.answer, after.answer) == ("Unchanged 0",) * 3
        assert new_process.opened == []
        assert again.opened == []
        assert again.started == 0
        assert one_file.answer == "Taken 1"
        assert one_file.opened == [str(edited)]
        assert one_file.started == 0
        assert after.opened in ([], [str(edited)])  # it was edited within the clock's tick


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_turn_in_a_long_lived_process_starts_no_other_process(backend, tmp_path):
    workspace = tree(tmp_path / "workspace", 200)
    edited = str(workspace / "00" / "01" / "file-77.txt")
    work = turns(tmp_path / "trace", workspace, tmp_path / "store", backend, ["", "", edited, edited, ""])
    assert [turn.answer.split()[0] for turn in work] == ["Taken", "Unchanged", "Taken", "Taken", "Unchanged"]
    assert [turn.started for turn in work[1:]] == [0, 0, 0, 0]


@pytest.fixture(scope="module")
def two_sizes(tmp_path_factory) -> tuple[Path, Path]:
    """The same kind of tree, small and large."""
    top = tmp_path_factory.mktemp("trees")
    return tree(top / "small", 1_000), tree(top / "large", 20_000)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_turn_writes_what_changed_and_not_the_size_of_the_tree(backend, two_sizes, tmp_path):
    work = []
    for workspace in two_sizes:
        edited = workspace / "00" / "01" / "file-77.txt"
        store = tmp_path / workspace.name
        work.append(turns(tmp_path / "trace", workspace, store, backend, ["", "", edited, ""]))
    small, large = work
    assert small[0].written["bytes"] > 1_000  # the first snapshot: the count counts
    assert large[1].written == small[1].written, "an unchanged turn wrote more in the larger tree"
    assert large[2].written["bytes"] < 2 * small[2].written["bytes"], "one changed file cost more in the larger tree"


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_that_were_only_touched_are_looked_at_once(backend, tmp_path):
    workspace = tree(tmp_path / "workspace", 200)
    with Engine(store=tmp_path / "store", backend=backend) as engine:
        engine.snapshot(workspace)
        for file in workspace.rglob("*.txt"):
            file.touch()
        settle()
        looked, done = engine.snapshot(workspace), engine.snapshot(workspace)
    assert isinstance(looked, Unchanged)
    assert (looked.stats.opened, looked.stats.stored) == (200, 0)
    assert isinstance(done, Unchanged)
    assert done.stats.opened == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_restore_wrote_is_not_stored_again(backend, tmp_path):
    workspace = tree(tmp_path / "workspace", 200)
    if not stamps_are_exact(workspace):
        pytest.skip("here a file's times do not prove that it is still the one that was restored (before Linux 6.13)")
    for file in workspace.rglob("*.txt"):
        file.write_bytes(os.urandom(10_000))
    settle()
    with Engine(store=tmp_path / "store", backend=backend) as engine:
        engine.snapshot(workspace)
        for file in workspace.rglob("*.txt"):
            file.write_bytes(b"damaged")
        settle()
        engine.restore(workspace, "1")
        before = stored_bytes(tmp_path / "store")
        after_restore = engine.snapshot(workspace)
        added = stored_bytes(tmp_path / "store") - before
    assert isinstance(after_restore, Taken)
    assert (after_restore.stats.opened, after_restore.stats.stored) == (0, 0)
    assert added < 200_000, "the contents, 2 MB, were stored a second time"


def stored_bytes(store: Path) -> int:
    return sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
