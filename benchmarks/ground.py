"""Where is measured: filesystems, the trees on them, the machine."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filesystems import KINDS, made_filesystem
from workload import Tree
from yardsticks import remove

KEPT = Path(__file__).parent.parent / ".benchmarks"
"""Where other people's programs are installed, once."""
RESULTS = Path(__file__).with_name("results.json")
_MEGABYTES = 14_336
"""Of an image, sparse: the Linux source, a copy of it and two stores."""


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A directory, gone at the end with all that is in it."""
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield directory
    finally:
        remove(directory)


@dataclass(frozen=True, slots=True)
class Ground:
    """A filesystem to measure on."""

    kind: str
    root: Path
    """An empty directory on it."""
    clones: bool

    def tree(self, tree: Tree) -> Path:
        """The tree, made when it is not there yet. Raises ``Absent``."""
        found = self.root / "trees" / tree.name
        if not found.exists():
            found.parent.mkdir(exist_ok=True)
            try:
                tree.make(found)
            except BaseException:
                shutil.rmtree(found, ignore_errors=True)
                raise
        return found


def grounds(kinds: list[str], directory: Path | None) -> Iterator[Ground]:
    """Each kind in turn on a loop image of its own, which needs root; or the filesystem of ``directory``.

    Nobody's settings hold from then on.
    """
    for name in [*os.environ]:
        if name.startswith(("HERMES_", "GIT_", "XDG_")):
            del os.environ[name]
    os.environ["HERMES_CHECKPOINT_BACKGROUND"] = "0"  # what gives space back would run beside what is measured next
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs has been compiled
    if directory is not None:
        with scratch(directory) as root:
            yield Ground(_kind(root), root, _clones(root))
        return
    for kind in kinds or KINDS:
        with made_filesystem(kind, _MEGABYTES) as made, scratch(made.root) as root:
            yield Ground(kind, root, made.clones)


def _kind(directory: Path) -> str:
    return subprocess.check_output(["stat", "-f", "-c", "%T", directory], text=True).strip()


def _clones(directory: Path) -> bool:
    original = directory / "original"
    original.write_bytes(b"something")
    os.sync()
    command = ["cp", "--reflink=always", original, directory / "clone"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def machine() -> dict[str, str]:
    """What the figures belong to."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.processor())
    memory = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "")
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cpu": f"{os.cpu_count()} × {cpu.partition(':')[2].strip() or cpu}",
        "memory": f"{int(memory.split()[1]) / 1024**2:.0f} GB" if memory else "?",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
        "git": subprocess.check_output(["git", "--version"], text=True).split()[2],
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def read(results: Path) -> dict[str, Any]:
    return json.loads(results.read_text()) if results.exists() else {}


def note(results: Path, section: str, change: Callable[[dict[str, Any]], None]) -> Mapping[str, Any]:
    """Change one section of the file of results, whole or not at all: what was measured before stays.

    Ends the program when that was measured on another machine: figures of two do not go into one table.
    """
    found, here = read(results), machine()
    before = found.get("machine", here)
    if before | {"date": ""} != here | {"date": ""}:
        raise SystemExit(f"{results} was measured on another machine ({before}): remove it, or name another file")
    found["machine"] = here
    change(found.setdefault(section, {}))
    beside = results.with_suffix(".new")
    beside.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    beside.replace(results)
    return found
