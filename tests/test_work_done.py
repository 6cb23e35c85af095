"""What a turn costs, counted in system calls: figures that a loaded machine does not change."""

import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.results import Taken, Unchanged

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="strace is a Linux program"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

BACKENDS = ("shadow-git", "cow")
_MARK = "/hermes-checkpoints-turn-begins"
_CALLS = "open,openat,openat2,execve,access,faccessat,faccessat2,write,writev,pwrite64,pwritev,sendfile,copy_file_range"
# "openat(3</place>, "name", FLAGS) = 4</place/name>": strace -y resolves both descriptors.
_CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?(?: .*)?$")

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


def turns(trace: Path, workspace: Path, store: Path, backend: str, edits: list[str]) -> list[Work]:
    """One process, one turn for each edit (``""``: none); what each of them did."""
    strace = ["strace", "-f", "-y", "-qq", "--seccomp-bpf", "-s", "0", "-e", f"trace={_CALLS}", "-e", "signal=none"]
    command = [*strace, "-o", str(trace), sys.executable, "-c", _TURNS, str(workspace), str(store), backend]
    done = subprocess.run(command, input="\n".join([*edits, ""]), capture_output=True, text=True)
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    work = _read(trace, workspace, store)
    for turn, answer in zip(work, done.stdout.splitlines(), strict=True):
        turn.answer = answer
    return work


def _read(trace: Path, workspace: Path, store: Path) -> list[Work]:
    found: list[Work] = []
    inside = False
    for line in trace.read_text(errors="surrogateescape").splitlines():
        call = _CALL.match(line)
        if call is None:
            assert "unfinished" not in line, f"a call that cannot be counted: {line}"
            continue
        name, arguments, result, target = call.groups()
        if _MARK in arguments or ("access" in name and '""...' in arguments):
            inside = not inside
            if inside:
                found.append(Work())
        elif inside:
            _count(found[-1], name, arguments, int(result), target or "", workspace, store)
    return found


def _count(work: Work, name: str, arguments: str, result: int, target: str, workspace: Path, store: Path) -> None:
    if name.startswith("open"):
        if target.startswith(f"{workspace}/") and "O_DIRECTORY" not in arguments:
            work.opened.append(target)
    elif name == "execve":
        work.started += 1
    elif "write" in name or name in ("sendfile", "copy_file_range"):
        if f"<{store}/" in arguments and result > 0:
            work.written["calls"] += 1
            work.written["bytes"] += result


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path.resolve()
