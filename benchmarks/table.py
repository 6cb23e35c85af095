"""The targets: what each row is measured by, and whether it was met. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Samples = Mapping[str, Sequence[float]]
PACKS, CLONES = ("shadow-git",), ("cow",)
BOTH = PACKS + CLONES


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and what it has to be."""

    work: str
    """As people read it."""
    row: str
    figure: str
    """The samples that are ours."""
    beside: str | None
    """The samples that they are divided by, pair by pair; ``None``: the figure itself."""
    limit: float
    unit: str = "×"
    faster: bool = False
    """How many times faster than ``beside``, at least."""
    only: tuple[str, ...] = BOTH
    """The backends that it was set for."""

    def measured(self, samples: Samples) -> float:
        """The median, of ratios taken pair by pair where there are two."""
        found = samples[self.figure]
        if self.beside is None:
            return statistics.median(found)
        pairs = zip(found, samples[self.beside], strict=True)
        return statistics.median(other / ours if self.faster else ours / other for ours, other in pairs)

    def met(self, measured: float) -> bool:
        return measured >= self.limit if self.faster else measured <= self.limit

    def missed_by(self, measured: float) -> float:
        """Measured as a share of what is allowed: over 1 is too much."""
        return self.limit / measured if self.faster else measured / self.limit

    @property
    def asked(self) -> str:
        return f"at least {shown(self.limit)} ×" if self.faster else f"{shown(self.limit)} {self.unit}"


def shown(value: float) -> str:
    """Three digits at most, and no more than mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


TARGETS = (
    Target("turn, 5,000 files, one changed ÷ the bare walk", "turn", "turn", "walk", 2.5),
    Target("… faster than Hermes Agent's own module", "hermes", "turn", "hermes turn", 15, faster=True),
    Target("turn, nothing changed ÷ the walk", "turn", "unchanged", "walk", 2.2),
    Target("turn that holds 20 snapshots and forgets one ÷ one that does not", "held", "at the limit", "turn", 1.1),
    Target("turn, Linux source, one file changed ÷ the walk", "linux-turn", "turn", "walk", 2.5),
    Target("… most memory of the process, first snapshot included", "linux-turn", "peak MB", None, 250, "MB"),
    Target("… with a watcher (`Engine(watch=True)`)", "watched-turn", "turn", None, 10, "ms"),
    Target(
        "first snapshot, 5,000 files ÷ `git add -A && git write-tree`", "first", "first", "git add", 0.2, only=PACKS
    ),
    Target("first snapshot, Linux source ÷ the same", "linux-first", "first", "git add", 0.2, only=PACKS),
    Target("first snapshot, 5,000 files ÷ `cp -a --reflink=always`", "first", "first", "cp", 0.9, only=CLONES),
    Target("first snapshot, Linux source ÷ the same", "linux-first", "first", "cp", 0.9, only=CLONES),
    Target("turn with 1 GB of which 4 kB change ÷ one without it", "big-file", "with", "without", 1.2, only=CLONES),
    Target("… the store grows by", "big-file", "grown MB", None, 1, "MB", only=CLONES),
    Target("restore of one changed file of 5,000 ÷ the walk", "restore-one", "restore", "walk", 4),
    Target("… faster than Hermes Agent's own module", "hermes", "restore", "hermes restore", 8, faster=True),
    Target("restore of all after `rm -rf` ÷ `cp -a --reflink=auto`", "restore-all", "restore", "cp", 1.5, only=PACKS),
    Target("restore of all after `rm -rf` ÷ `cp -a --reflink=auto`", "restore-all", "restore", "cp", 1.0, only=CLONES),
    Target("list of 20 snapshots", "listing", "list 20", None, 3, "ms"),
    Target("list of 2,000 snapshots", "listing", "list 2000", None, 30, "ms"),
    Target("diff against one changed file of 5,000 ÷ the walk", "diff", "diff", "walk", 3),
    Target("`hermes-checkpoints snapshot`, one file changed ÷ `unedit save`", "process", "command", "unedit", 0.5),
    Target(
        "store after the first snapshot of Linux ÷ its bytes", "linux-first", "store MB", "tree MB", 0.65, only=PACKS
    ),
    Target("… of Python's standard library", "library-first", "store MB", "tree MB", 0.65, only=PACKS),
    Target("turn per file, 100,000 files ÷ 5,000 files", "growth", "100,000 µs a file", "5,000 µs a file", 1.3),
)


def cell(results: Mapping[str, Any], target: Target, kind: str, backend: str) -> tuple[float | None, str]:
    """What was measured, or ``None`` and why not."""
    found = results.get(target.row, {}).get(f"{kind} {backend}")
    if backend not in target.only:
        return None, ""
    if found is None:
        return None, "not measured"
    if "skipped" in found:
        return None, found["skipped"]
    return target.measured(found["samples"]), ""
