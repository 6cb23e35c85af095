"""What the engine is measured against: a bare walk in C, and what people would run instead."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


class Absent(Exception):
    """This machine lacks what a measurement needs; the message says what."""


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


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


def run(*words: object, **more: object) -> None:
    """A program that says nothing and does not fail."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([*map(str, words)], check=True, **{**quiet, **more})


def remove(directory: Path) -> None:
    run("rm", "-rf", "--", directory)


def git_environment(store: Path, tree: Path) -> dict[str, str]:
    """Plain git with its own settings, whatever this machine's are."""
    return {
        **os.environ,
        "GIT_DIR": str(store),
        "GIT_WORK_TREE": str(tree),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }


def git_add(tree: Path, store: Path) -> float:
    """Milliseconds in which plain git stores a tree in a new repository; it syncs nothing."""
    run("git", "init", "--quiet", "--bare", store)
    more = {"cwd": tree, "env": git_environment(store, tree)}
    return timed(lambda: (run("git", "add", "--all", **more), run("git", "write-tree", **more)))


def copy_all(tree: Path, target: Path, reflink: str) -> float:
    """Milliseconds of ``cp -a`` to a name that is not there; it syncs nothing."""
    return timed(lambda: run("cp", "-a", f"--reflink={reflink}", tree, target))


def used(directory: Path) -> int:
    """Bytes in use on a whole filesystem, everything written out: what is shared counts once."""
    os.sync()
    figures = os.statvfs(directory)
    return (figures.f_blocks - figures.f_bfree) * figures.f_frsize
