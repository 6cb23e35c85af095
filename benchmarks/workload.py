"""The trees that are measured, and what an agent does to them in a turn."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yardsticks import Absent, run

FILE_SIZE = 10_000
FILES_A_DIRECTORY = 50
EDITED = "package1/part1/module3.py"


def source_text(number: int, size: int = FILE_SIZE) -> bytes:
    """At most ``size`` bytes (and 13 kB) that compress like source code and differ from file to file."""
    lines = (
        f"def function_{number}_{line}(value):\n    return value * {line * 7919 + number}\n"
        for line in range(min(200, size // 50 + 1))
    )
    return "".join(lines).encode()[:size]


def make_tree(root: Path, files: int, size: int = FILE_SIZE) -> None:
    """``files`` files, fifty to a directory, written out to the medium."""
    for number in range(files):
        above, below = divmod(number, FILES_A_DIRECTORY)
        directory = root / f"package{above % 10}" / f"part{above}"
        if not below:
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"module{below}.py").write_bytes(source_text(number, size))
    os.sync()


def change_one(root: Path, turn: int, edited: str = EDITED) -> None:
    """What an agent does in a turn: one file gets other content."""
    (root / edited).write_bytes(source_text(1_000_000 + turn))


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that can be made anywhere."""

    name: str
    edited: str
    """The file that a turn changes."""
    make: Callable[[Path], None]
    """Fills a directory that is not there yet; raises ``Absent`` when it cannot."""


def _synthetic(files: int, size: int) -> Callable[[Path], None]:
    return lambda root: make_tree(root, files, size)


def _linux(source: Path | None) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        if source is None or not source.is_dir():
            raise Absent("no Linux source: say where it is with --linux")
        run("cp", "-a", source, root)
        rules = root / ".gitignore"  # Debian's ends with /*, so that git, and we, would see nothing but debian/
        rules.write_bytes(b"".join(line for line in rules.read_bytes().splitlines(keepends=True) if line != b"/*\n"))
        os.sync()

    return make


def _library(root: Path) -> None:
    """The source text that every Python brings: its standard library, without what is compiled."""
    compiled = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "*.so", "*.a")
    shutil.copytree(Path(os.__file__).parent, root, symlinks=True, ignore=compiled)
    os.sync()


def trees(linux: Path | None) -> dict[str, Tree]:
    """Every tree that is measured, by its name."""
    return {
        tree.name: tree
        for tree in (
            Tree("small", EDITED, _synthetic(5_000, FILE_SIZE)),
            Tree("twin", EDITED, _synthetic(5_000, FILE_SIZE)),
            Tree("few", EDITED, _synthetic(5_000, 1_000)),
            Tree("many", EDITED, _synthetic(100_000, 1_000)),
            Tree("tiny", EDITED, _synthetic(100, 1_000)),
            Tree("library", "json/encoder.py", _library),
            Tree("linux", "kernel/fork.c", _linux(linux)),
        )
    }
