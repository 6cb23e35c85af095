"""The drop-in beside Hermes Agent's own checkpoint module, in one run, as Hermes calls them.

    python benchmarks/hermes.py [--files 5000] [--rounds 11] [--dir DIR]... [--backend NAME]... [--json]

Installs the real hermes-agent into a venv of its own (kept in ``.benchmarks``).
Each module runs in a process of its own; they take turns, so that a machine whose
speed drifts does so for both. Milliseconds are medians of what one call took.
Without ``--dir`` it makes ext4, XFS and Btrfs on loop images, which needs root.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT / "tests" / "real_hermes")]

from installation import Installation, install
from turn import places, scratch
from workload import change_one, make_tree

LIMIT = 20  # Hermes's own default
FULL = "turn at the limit"
STOCK = "hermes-agent 0.19.0"

_MODULE = """
import json, sys, time
if sys.argv[1] == "ours":
    from hermes_checkpoints.hermes.plugin import install
    install()
from tools.checkpoint_manager import CheckpointManager
manager = CheckpointManager(enabled=True, max_snapshots=int(sys.argv[2]))
for line in sys.stdin:
    name, arguments = json.loads(line)
    manager.new_turn()
    start = time.perf_counter()
    answer = getattr(manager, name)(*arguments)
    print(json.dumps([(time.perf_counter() - start) * 1000, answer]), flush=True)
"""


class Module:
    """One of the two modules, with a workspace and a store of its own."""

    def __init__(self, installation: Installation, place: Path, backend: str | None, files: int) -> None:
        self.tree = place / "tree"
        self.tree.mkdir(parents=True)
        make_tree(self.tree, files)
        environ = {**os.environ, "HERMES_HOME": str(place / "home"), "HERMES_CHECKPOINT_BACKEND": backend or ""}
        command = [installation.python, "-c", _MODULE, "ours" if backend else "stock", str(LIMIT)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)

    def call(self, name: str, *arguments: str) -> tuple[float, Any]:
        """Milliseconds, and the answer."""
        assert self._process.stdin and self._process.stdout
        print(json.dumps([name, [str(self.tree), *arguments]]), file=self._process.stdin, flush=True)
        spent, answer = json.loads(self._process.stdout.readline())
        return spent, answer

    def take(self) -> float:
        spent, taken = self.call("ensure_checkpoint", "before write_file")
        assert taken, "nothing was taken"
        return spent

    def close(self) -> None:
        self._process.communicate()


def measure(parent: Path, installation: Installation, backends: list[str], files: int, rounds: int) -> dict[str, Any]:
    """Milliseconds by module and work."""
    with scratch(parent) as place:
        names: list[str | None] = [None, *backends]
        modules = {name or STOCK: Module(installation, place / (name or "stock"), name, files) for name in names}
        spent: dict[str, dict[str, list[float]]] = {name: {} for name in modules}

        def note(work: str, name: str, milliseconds: float) -> None:
            spent[name].setdefault(work, []).append(milliseconds)

        for name, module in modules.items():
            note("first", name, module.take())
        for turn in range(LIMIT + rounds):
            for name, module in modules.items():
                change_one(module.tree, turn)
                note("turn" if turn < LIMIT // 2 else "filling up" if turn < LIMIT else FULL, name, module.take())
                if turn >= LIMIT // 4:  # at the limit the stock module cannot: the list that it gave is out of date
                    continue
                took, listed = module.call("list_checkpoints")
                note("list", name, took)
                before = listed[1]["hash"]
                note("diff", name, module.call("diff", before)[0])
                took, answer = module.call("restore", before)
                assert answer["success"], answer
                note("restore", name, took)
        for module in modules.values():
            module.close()
        return {
            name: {work: statistics.median(found) for work, found in works.items()} for name, works in spent.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--dir", action="append", type=Path, default=[], dest="dirs")
    parser.add_argument("--backend", action="append", default=[], dest="backends")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    kept = ROOT / ".benchmarks" / "hermes"
    kept.mkdir(parents=True, exist_ok=True)
    installation = install(kept)
    found = {}
    for kind, parent in places(asked.dirs):
        backends = asked.backends or ["shadow-git", "cow"]
        found[kind] = measure(parent, installation, backends, asked.files, asked.rounds)
        if not asked.json:
            print(f"\n{kind}, {asked.files} files, milliseconds (in brackets: how many times faster)")
            show(found[kind])
    if asked.json:
        print(json.dumps(found, indent=2))


def show(modules: dict[str, dict[str, float]]) -> None:
    stock = modules[STOCK]
    print(f"{'':<20}" + "".join(f"{name:>22}" for name in modules))
    for work in ("first", "turn", FULL, "list", "diff", "restore"):
        cells = [f"{stock[work]:.1f}"]
        cells += [f"{of[work]:.1f} ({stock[work] / of[work]:.0f})" for name, of in modules.items() if name != STOCK]
        print(f"{work:<20}" + "".join(f"{cell:>22}" for cell in cells))


if __name__ == "__main__":
    main()
