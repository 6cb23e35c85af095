"""Measure every row of the table of targets, on ext4, XFS and Btrfs.

    python benchmarks/targets.py [--only ROW]... [--on KIND]... [--rounds 11] [--linux DIR] [--results FILE] [--list]
    python benchmarks/targets.py --dir DIR       # on a filesystem of yours, without root

All samples go into the file of results as each row is done; what it held of other rows stays, so a run that was
stopped goes on with ``--only``. ``report.py`` makes the page of it. The Linux source is Debian's ``linux-source-6.1``,
unpacked; without it the rows about it say so. The last row, ``peers``, is what ``peers.py`` measures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "tests")]

import peers
from ground import KEPT, RESULTS, Ground, grounds, note, read, scratch
from rows import ROWS
from table import BOTH, TARGETS, cell, shown
from workload import trees
from yardsticks import Absent, compile_walk, remove

PEERS = "peers"


def measure(ground: Ground, row: str, backend: str, options: dict[str, Any], linux: Path | None) -> dict[str, Any]:
    """The samples of one row, by a process of its own, or why there are none."""
    try:
        for name in ROWS[row][0]:
            ground.tree(trees(linux)[name])
    except Absent as why:
        return {"skipped": str(why)}
    with scratch(ground.root) as place:
        given = {**options, "trees": str(ground.root / "trees"), "clones": ground.clones}
        command = [sys.executable, Path(__file__).with_name("rows.py"), row, backend, place, json.dumps(given)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        remove(ground.root / "trees")  # whatever state it left them in
        return {"skipped": f"failed with status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def wanted(row: str, backend: str) -> bool:
    return any(target.row == row and backend in target.only for target in TARGETS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*ROWS, PEERS], default=[])
    parser.add_argument("--on", action="append", choices=["ext4", "xfs", "btrfs"], default=[], dest="kinds")
    parser.add_argument("--backend", action="append", choices=BOTH, default=[], dest="backends")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--linux", type=Path, help="the Linux source, unpacked")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--list", action="store_true", help="show the rows and measure nothing")
    asked = parser.parse_args()
    if asked.list:
        for name, (_, act) in ROWS.items():
            print(f"{name:14}{act.__doc__}")
        return
    began = time.monotonic()
    with scratch(Path(tempfile.gettempdir())) as built:
        options = {"rounds": asked.rounds, "walk": str(compile_walk(built)), "kept": str(KEPT)}
        for ground in grounds(asked.kinds, asked.dir):
            for row in asked.only or (*ROWS, PEERS):
                if row == PEERS:
                    peers.measure(ground, asked.results, rounds=max(2, asked.rounds // 3))
                    continue
                for backend in asked.backends or BOTH:
                    if not wanted(row, backend):
                        continue
                    found = measure(ground, row, backend, options, asked.linux)
                    place = f"{ground.kind} {backend}"
                    note(asked.results, "rows", lambda rows, row=row, at=place, new=found: _put(rows, row, at, new))
                    _tell(read(asked.results)["rows"], row, ground.kind, backend, time.monotonic() - began)


def _put(rows: dict[str, Any], row: str, place: str, found: dict[str, Any]) -> None:
    rows.setdefault(row, {})[place] = found


def _tell(rows: dict[str, Any], row: str, kind: str, backend: str, seconds: float) -> None:
    for target in TARGETS:
        if target.row == row and backend in target.only:
            measured, why = cell(rows, target, kind, backend)
            said = f"— {why}" if measured is None else f"{shown(measured)} {target.unit}"
            verdict = "" if measured is None or target.met(measured) else "  MISSED"
            print(
                f"{seconds:6.0f} s  {kind:6}{backend:11}{target.work:72}{target.asked:>14}{said:>12}{verdict}",
                flush=True,
            )


if __name__ == "__main__":
    main()
