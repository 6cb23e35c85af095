"""The tree that is measured, and the bare walk it is measured against."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

FILE_SIZE = 10_000
FILES_A_DIRECTORY = 50


def source_text(number: int) -> bytes:
    """About 10 kB that compresses like source code and differs from file to file."""
    lines = (
        f"def function_{number}_{line}(value):\n    return value * {line * 7919 + number}\n" for line in range(200)
    )
    return "".join(lines).encode()[:FILE_SIZE]


def make_tree(root: Path, files: int) -> None:
    """``files`` files of 10 kB, fifty to a directory, written out to the medium."""
    for number in range(files):
        above, below = divmod(number, FILES_A_DIRECTORY)
        directory = root / f"package{above % 10}" / f"part{above}"
        if not below:
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"module{below}.py").write_bytes(source_text(number))
    os.sync()


def change_one(root: Path, turn: int) -> None:
    """What an agent does in a turn: one file gets other content."""
    (root / "package1" / "part1" / "module3.py").write_bytes(source_text(1_000_000 + turn))


def compile_walk(directory: Path) -> Path:
    """The walk in C, built by the machine's compiler."""
    program = directory / "walk"
    source = Path(__file__).with_name("walk.c")
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def bare_walk(program: Path, root: Path) -> float:
    """Milliseconds of one walk with warm caches: the second of two rounds."""
    told = subprocess.run([program, root, "2"], check=True, capture_output=True, text=True)
    return float(told.stdout.split()[1])


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def find_walk(root: Path) -> float:
    """Milliseconds of ``find`` printing what a turn compares, its start included."""
    command = ["find", root, "-printf", "%P %m %s %T@ %C@ %i\n"]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def git_add(root: Path, scratch: Path) -> float:
    """Milliseconds in which plain git, with its own settings, stores the tree in a new repository and syncs nothing."""
    store = scratch / "plain.git"
    environ = {**os.environ, "GIT_DIR": str(store), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=root, env=environ, check=True, stdout=subprocess.DEVNULL)

    subprocess.run(["git", "init", "--quiet", "--bare", store], check=True)
    environ["GIT_WORK_TREE"] = str(root)
    return timed(lambda: (git("add", "--all"), git("write-tree")))


def copy_all(root: Path, scratch: Path) -> float:
    """Milliseconds of ``cp``, with clones where it can; syncs nothing."""
    command = ["cp", "-a", "--reflink=auto", root, scratch / "copy"]
    return timed(lambda: subprocess.run(command, check=True))
