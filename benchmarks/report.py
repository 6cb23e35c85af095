"""Write the figures and plots of the documentation from the file of results; none is typed by hand.

    python benchmarks/report.py [--results FILE] [--root DIR]

A page says where figures go: between ``<!-- figures: NAME -->`` and ``<!-- end -->``. What is around them is written
by people.
"""

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "tests")]

import plots
from table import BOTH, TARGETS, Target, cell, shown

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/benchmarks.md", "docs/hermes.md")
KINDS = {"ext4": "ext4", "xfs": "XFS", "btrfs": "Btrfs"}
WORKS = {
    "first": "first",
    "unchanged": "nothing changed",
    "one file": "one file changed",
    "restore one": "restore of one",
    "restore all": "restore of all",
}
DISK = {"disk MB": "disk, first", "disk a turn MB": "disk, a turn"}
CALLS = {
    "first": "first snapshot",
    "turn": "a turn",
    "at the limit": "a turn at the limit of 20",
    "list": "list",
    "diff": "diff",
    "restore": "restore of one turn",
}
Results = Mapping[str, Any]


def kinds(found: Mapping[str, Any]) -> list[str]:
    """Filesystems in a fixed order; ``found`` is by filesystem, or by filesystem and backend."""
    there = {name.split()[0] for name in found}
    return [*(kind for kind in KINDS if kind in there), *sorted(there - KINDS.keys())]


def _places(results: Results) -> list[tuple[str, str]]:
    there = kinds({at: 0 for row in results["rows"].values() for at in row})
    return [(kind, backend) for kind in there for backend in BOTH]


def _named(kind: str) -> str:
    return KINDS.get(kind, kind)


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(results: Results) -> str:
    one = results["machine"]
    return (
        f"Measured on {one['date']}: {one['cpu']}, {one['memory']}, {one['system']}, {one['python']}, "
        f"git {one['git']}; {', '.join(_named(kind) for kind in kinds(results['rows']['turn']))}; caches warm."
    )


def targets(results: Results) -> str:
    """Target beside measured, on each filesystem, for each backend."""
    rows = results["rows"]
    places = _places(results)
    head = ["", "at most", *(f"{_named(kind)}, {backend}" for kind, backend in places)]
    lines, notes = [], dict[str, int]()
    for target in TARGETS:
        line = [target.work, target.asked]
        for kind, backend in places:
            measured, why = cell(rows, target, kind, backend)
            if measured is not None:
                line.append(_judged(target, measured))
            elif why:
                line.append(f"–[^{notes.setdefault(why, len(notes) + 1)}]")
            else:
                line.append("")
        lines.append(line)
    return "\n\n".join([_grid(head, lines), "\n".join(f"[^{number}]: {why}" for why, number in notes.items())]).strip()


def _judged(target: Target, measured: float) -> str:
    return shown(measured) if target.met(measured) else f"**{shown(measured)}** ✗"


def count(results: Results) -> str:
    """How many of the targets were met, as a sentence."""
    rows = results["rows"]
    met = judged = 0
    for target in TARGETS:
        for kind in kinds(rows.get(target.row, {})):
            for backend in target.only:
                measured, _ = cell(rows, target, kind, backend)
                judged += measured is not None
                met += measured is not None and target.met(measured)
    return f"{met} of {judged} figures are within their targets."


def behind(results: Results) -> str:
    """The medians behind the ratios."""
    places = _places(results)
    lines = []
    for name, row in results["rows"].items():
        figures = {figure: 0 for found in row.values() for figure in found.get("samples", {})}
        for figure in figures:
            said = figure if figure.endswith(("MB", "file")) else f"{figure}, ms"
            cells = [_figure(row.get(f"{kind} {backend}", {}).get("samples", {}), figure) for kind, backend in places]
            lines.append([name, said, *cells])
    return _grid(["row", "median of", *(f"{_named(kind)}, {backend}" for kind, backend in places)], lines)


def peers(results: Results) -> str:
    """A table and a plot for each filesystem, and what was run."""
    parts = []
    for kind in kinds(results["peers"]):
        found = results["peers"][kind]
        rows = [
            [name, *(_figure(one["samples"], work) for work in (*WORKS, *DISK))]
            for name, one in found.items()
            if "samples" in one
        ]
        head = [f"{_named(kind)}, ms (disk: MB)", *WORKS.values(), *DISK.values()]
        parts += [_grid(head, rows), f"![Milliseconds on {_named(kind)}](images/peers-{kind}.svg)"]
        parts += [f"{name}: {one['skipped']}." for name, one in found.items() if "skipped" in one]
    whats = {name: one["what"] for found in results["peers"].values() for name, one in found.items()}
    parts.append("\n".join(f"- **{name}**: {what}" for name, what in whats.items()))
    return "\n\n".join(parts)


def _figure(samples: Mapping[str, list[float]], name: str) -> str:
    return shown(statistics.median(samples[name])) if samples.get(name) else ""


def hermes(results: Results) -> str:
    """Both modules as Hermes calls them; the stock one's figures are those of the run beside shadow-git."""
    row = results["rows"]["hermes"]
    there = kinds(row)
    head, lines = ["ms"], [[said] for said in CALLS.values()]
    for kind in there:
        head += [f"{_named(kind)}: Hermes", *BOTH]
        samples = [row.get(f"{kind} {backend}", {}).get("samples", {}) for backend in BOTH]
        for line, call in zip(lines, CALLS, strict=True):
            line.append(_figure(samples[0], f"hermes {call}"))
            line += [_figure(one, call) for one in samples]
    return _grid(head, lines)


def comparison(results: Results) -> str:
    """The README's: one file changed and its restore, everywhere."""
    found = results["peers"]
    there = kinds(found)
    names = [name for name, one in found[there[0]].items() if "samples" in one]
    head = ["5,000 files, one changed; ms", *(f"{_named(kind)}: turn" for kind in there)]
    head += [f"{_named(kind)}: restore" for kind in there]
    lines = [
        [name, *(_figure(found[kind][name]["samples"], work) for work in ("one file", "restore one") for kind in there)]
        for name in names
    ]
    return _grid(head, lines)


def images(results: Results) -> dict[str, str]:
    """The plots by file name."""
    made = {}
    for kind, found in results["peers"].items():
        panels = [
            (f"{_named(kind)}: {said}", [
                (name, statistics.median(one["samples"][work]), name.startswith(BOTH))
                for name, one in found.items()
                if "samples" in one
            ])
            for work, said in WORKS.items()
        ]  # fmt: skip
        made[f"peers-{kind}.svg"] = plots.bars(panels, "ms")
    rows = []
    for target in TARGETS:
        values = [
            (backend, target.missed_by(measured))
            for backend in target.only
            for kind in kinds(results["rows"].get(target.row, {}))
            if (measured := cell(results["rows"], target, kind, backend)[0]) is not None
        ]
        rows.append((target.work.replace("`", ""), values))
    made["targets.svg"] = plots.dots(rows)
    return made


BLOCKS: dict[str, Callable[[Results], str]] = {
    "machine": machine,
    "targets": targets,
    "count": count,
    "behind": behind,
    "peers": peers,
    "hermes": hermes,
    "comparison": comparison,
}
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, results: Results) -> str:
    """The page with its figures."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]](results)}\n\n{found[3]}", page)


def main() -> None:
    from ground import RESULTS, read

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--root", type=Path, default=ROOT)
    asked = parser.parse_args()
    results = read(asked.results)
    for name in PAGES:
        page = asked.root / name
        page.write_text(filled(page.read_text(), results))
    directory = asked.root / "docs" / "images"
    directory.mkdir(exist_ok=True)
    for name, plot in images(results).items():
        (directory / name).write_text(plot)


if __name__ == "__main__":
    main()
