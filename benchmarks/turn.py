"""What a turn costs, beside a bare walk of the same tree in C, in one run.

    python benchmarks/turn.py [--files 5000] [--rounds 21] [--dir DIR]... [--backend NAME]... [--json]

Without ``--dir`` it makes ext4, XFS and Btrfs on loop images, which needs root.
The walk and the turns alternate, so that a machine whose speed drifts does so
for both; the figures are medians, the ratios medians of the ratios pair by pair.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "tests")]

from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.contract import Capability
from workload import change_one, make_tree
from yardsticks import bare_walk, compile_walk, copy_all, git_add, run, timed


def find_walk(root: Path) -> float:
    """Milliseconds of ``find`` printing what a turn compares, its start included."""
    return timed(lambda: run("find", root, "-printf", "%P %m %s %T@ %C@ %i\n"))


# What people would take instead, for the first snapshot.
RIVALS = {
    "git add": lambda tree, place: git_add(tree, place / "plain.git"),
    "cp": lambda tree, place: copy_all(tree, place / "copy", "auto"),
}


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="turn-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(parent: Path, backend: str, files: int, rounds: int, walk: Path) -> dict[str, float]:
    """One backend on one filesystem; milliseconds, and ratios to the walk. Durable settings, as always."""
    with scratch(parent) as place:
        tree = place / "tree"
        tree.mkdir()
        make_tree(tree, files)
        bare, found, unchanged, one = [], [], [], []
        with Engine(store=place / "base", backend=backend) as engine:
            rivals = {name: rival(tree, place) for name, rival in RIVALS.items()}
            first = timed(lambda: engine.snapshot(tree))
            for turn in range(rounds):
                bare.append(bare_walk(walk, tree))
                found.append(find_walk(tree))
                unchanged.append(timed(lambda: engine.snapshot(tree)))
                change_one(tree, turn)
                one.append(timed(lambda: engine.snapshot(tree)))
            listing = timed(lambda: engine.list(tree))
            restore = timed(lambda: engine.restore(tree, "2"))
            shutil.rmtree(tree)
            whole = timed(lambda: engine.restore(tree, "1"))
    median = statistics.median
    return {
        "walk_ms": median(bare),
        "unchanged_ms": median(unchanged),
        "unchanged_ratio": median(u / b for u, b in zip(unchanged, bare, strict=True)),
        "one_file_ms": median(one),
        "one_file_ratio": median(o / b for o, b in zip(one, bare, strict=True)),
        "find_ms": median(found),
        "first_ms": first,
        **{f"{name.replace(' ', '_')}_ms": spent for name, spent in rivals.items()},
        "list_ms": listing,
        "restore_one_ms": restore,
        "restore_all_ms": whole,
    }


def places(asked: list[Path]) -> Iterator[tuple[str, Path]]:
    if asked:
        yield from ((str(directory), directory) for directory in asked)
        return
    from filesystems import KINDS, made_filesystem

    for kind in KINDS:
        with made_filesystem(kind) as made:
            yield kind, made.root


def ours() -> list[str]:
    """Every installed backend that takes snapshots."""
    loaded = {name: plugins.load(name) for name in plugins.offers()}
    return [name for name, backend in loaded.items() if Capability.FOREIGN not in backend.capabilities]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--dir", type=Path, action="append", default=[])
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = {}
    with scratch(Path(tempfile.gettempdir())) as built:
        walk = compile_walk(built)
        for kind, parent in places(asked.dir):
            for backend in asked.backend or ours():
                row = found[f"{kind} {backend}"] = measure(parent, backend, asked.files, asked.rounds, walk)
                if not asked.json:
                    print(
                        f"{kind:8} {backend:11} walk {row['walk_ms']:5.1f}  find {row['find_ms']:5.1f}  "
                        f"unchanged {row['unchanged_ms']:6.1f} ({row['unchanged_ratio']:.2f}x)  "
                        f"one file {row['one_file_ms']:6.1f} ({row['one_file_ratio']:.2f}x)  "
                        f"first {row['first_ms']:5.0f} (git add {row['git_add_ms']:.0f}, cp {row['cp_ms']:.0f})  "
                        f"list {row['list_ms']:.1f}  "
                        f"restore one {row['restore_one_ms']:.0f} all {row['restore_all_ms']:.0f}  (ms)",
                        flush=True,
                    )
    if asked.json:
        print(json.dumps({"files": asked.files, "rounds": asked.rounds, "results": found}))


if __name__ == "__main__":
    main()
