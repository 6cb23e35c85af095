"""The clock, and the yardstick: a bare walk of the tree."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hermes_checkpoints.kit.walk.descent import Descent


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1000


def bare_walk(root: Path) -> None:
    """List every directory of a tree and ask for the status of each name: the least that noticing an edit takes."""
    for _, entries in listings(root):
        for entry in entries:
            entry.stat(follow_symlinks=False)


def listings(root: Path) -> Iterator[tuple[list[str], list["os.DirEntry[str]"]]]:
    """Every directory of a tree: the names that lead to it, and what is in it, to be used before the next one.

    By file descriptors, as the engine walks; of any depth.
    """
    with Descent(os.fspath(root)) as descent:
        todo: list[list[str]] = []
        while True:
            with os.scandir(descent.fd) as found:
                entries = list(found)
            yield descent.names, entries
            todo.append([entry.name for entry in entries if entry.is_dir(follow_symlinks=False)])
            while not todo[-1]:
                todo.pop()
                if not todo:
                    return
                descent.leave()
            descent.enter(todo[-1].pop())
