"""How what ``bench`` measured is shown: a table for eyes, columns for pipes, one JSON document."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_checkpoints.bench.candidates import Candidates
from hermes_checkpoints.bench.results import Disk, Results, Spread, milliseconds
from hermes_checkpoints.bench.scenarios import SCENARIOS
from hermes_checkpoints.bench.verdict import Verdict
from hermes_checkpoints.cli.screen import Screen
from hermes_checkpoints.wording import harmless, portable, shown, size


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of ``bench``: on what, and what came of it."""

    directory: Path
    filesystem: str
    """Its type; empty when unknown."""
    synthetic: bool
    rounds: int
    unread: int
    """Paths of the directory that could not be read, so they were not measured."""
    candidates: Candidates
    results: Results
    verdict: Verdict

    @property
    def title(self) -> str:
        kind = "a synthetic tree" if self.synthetic else "a copy of " + shown(str(self.directory))
        return f"{kind} ({self.results.tree})" + (f" on {self.filesystem}" if self.filesystem else "")

    def document(self) -> dict[str, Any]:
        """For JSON."""
        results = self.results
        tree = {"synthetic": self.synthetic, "files": results.files, "size": results.size, "edited": results.edited}
        return {
            "directory": portable(str(self.directory)),
            "filesystem": self.filesystem,
            "tree": tree | {"unread": self.unread, "big": results.big},
            "rounds": self.rounds,
            "default": self.candidates.default,
            "backends": {name: self._backend(name) for name in results.backends},
            "unusable": {name: portable(why) for name, why in self.candidates.unusable.items()},
            "failed": {name: portable(why) for name, why in results.failed.items()},
            "unmeasured": dict(results.unmeasured),
            "use": self.verdict.backend,
            "verdict": portable(self.verdict.sentence),
        }

    def _backend(self, name: str) -> dict[str, Any]:
        results, disk = self.results, self.results.disk[name]
        return {
            "why": portable(self.candidates.usable[name]),
            "walk": _spread_document(results.walk(name)),
            "scenarios": {
                scenario: _spread_document(results.spread(scenario, name))
                | {"ratio": round(results.ratio(scenario, name), 3)}
                | {"samples_ms": [round(one.spent, 3) for one in samples[name]]}
                | {"walks_ms": [round(one.walk, 3) for one in samples[name]]}
                for scenario, samples in results.samples.items()
            },
            "disk": {"first": disk.first, "turns": disk.turns, "snapshots": disk.snapshots, "big_edit": disk.big_edit},
        }


def _spread_document(spread: Spread) -> dict[str, float]:
    return {"median_ms": round(spread.median, 3), "low_ms": round(spread.low, 3), "high_ms": round(spread.high, 3)}


def rows(measured: Measured) -> Iterator[tuple[object, ...]]:
    """For programs: milliseconds, ratios to the bare walk, bytes."""
    results = measured.results
    for backend in results.backends:
        yield "walk", backend, *(f"{one:.3f}" for one in results.walk(backend))
    for scenario, samples in results.samples.items():
        for backend in samples:
            spread = (f"{one:.3f}" for one in results.spread(scenario, backend))
            yield "time", scenario, backend, *spread, f"{results.ratio(scenario, backend):.2f}"
    for backend, disk in results.disk.items():
        yield "disk", backend, disk.first, disk.turns, disk.snapshots, "-" if disk.big_edit is None else disk.big_edit
    for word, whys in (
        ("unusable", measured.candidates.unusable),
        ("failed", results.failed),
        ("unmeasured", results.unmeasured),
    ):
        for name, why in whys.items():
            yield word, name, harmless(why)


def draw(measured: Measured, screen: Screen) -> None:
    """For eyes; the last line is the verdict."""
    results = measured.results
    backends = results.backends
    screen.line(measured.title, "bold")
    headings = ["", *(heading for name in backends for heading in (name, "quartiles", "× walk"))]
    screen.table(headings, [*_times(results), *_disks(results)], right=headings[1:])
    screen.line(f"Medians of {measured.rounds} rounds (fewer of what is slow); a walk lists and stats the tree.", "dim")
    for name, why in {**measured.candidates.unusable, **results.failed, **results.unmeasured}.items():
        screen.line(harmless(f"{name}: {why}"), "yellow")
    screen.line(harmless(measured.verdict.sentence), "bold green")


def _times(results: Results) -> Iterator[list[str]]:
    yield ["bare walk", *(cell for name in results.backends for cell in (*_cells(results.walk(name)), ""))]
    for scenario in SCENARIOS:
        if scenario.name not in results.samples:
            continue
        row = [scenario.told(results.edited)]
        for name in results.backends:
            row += [*_cells(results.spread(scenario.name, name)), f"{results.ratio(scenario.name, name):.1f}"]
        yield row


def _cells(spread: Spread) -> tuple[str, str]:
    return milliseconds(spread.median), f"{milliseconds(spread.low)} – {milliseconds(spread.high)}"


def _disks(results: Results) -> Iterator[list[str]]:
    def row(what: str, bytes_of: "list[int | None]") -> list[str]:
        return [what, *(cell for taken in bytes_of for cell in ("-" if taken is None else size(taken), "", ""))]

    disks: list[Disk] = list(results.disk.values())
    snapshots = " or ".join(sorted({str(disk.snapshots) for disk in disks}))
    yield row("disk after the first", [disk.first for disk in disks])
    yield row(f"disk with {snapshots} snapshots", [disk.turns for disk in disks])
    if any(disk.big_edit is not None for disk in disks):
        yield row("disk for each edit of the big one", [disk.big_edit for disk in disks])
