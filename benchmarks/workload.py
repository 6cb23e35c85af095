"""The tree that is measured, and the bare walk it is measured against."""

import os
import subprocess
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
