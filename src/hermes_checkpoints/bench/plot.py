"""What was measured as a picture; needs matplotlib, the extra ``plot``."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.bench.results import Results
from hermes_checkpoints.bench.scenarios import SCENARIOS
from hermes_checkpoints.contract import CheckpointError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MEGABYTE = 1_000_000


def check_plot(path: Path) -> None:
    """Raise ``CheckpointError`` when no plot could be drawn there, before anything is measured for it."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CheckpointError(f"{path} cannot be written. Nothing was measured.")
    if find_spec("matplotlib") is None:
        raise CheckpointError(
            "plots need matplotlib, which is not installed: pip install 'hermes-checkpoints[plot]'. "
            "Nothing was measured."
        )


def draw_plot(results: Results, title: str, path: Path) -> None:
    """Draw times and disk use, PNG or SVG by the suffix."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # A name may hold anything: no dollar begins a formula.
    with rc_context({"text.parse_math": False, "svg.hashsalt": "bench"}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        figure.suptitle(title)
        times, disk = figure.subplots(2, 1, height_ratios=(3, 1))
        _draw_times(results, times)
        _draw_disk(results, disk)
        figure.savefig(path, dpi=150)


def _draw_times(results: Results, axes: "Axes") -> None:
    measured = [one for one in SCENARIOS if one.name in results.samples]
    height = 0.8 / len(results.backends)
    for number, backend in enumerate(results.backends):
        spreads = [results.spread(one.name, backend) for one in measured]
        axes.barh(
            [row + number * height for row in range(len(measured))],
            [spread.median for spread in spreads],
            height,
            xerr=[[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]],
            label=backend,
        )
    walk = min(results.walk(backend).median for backend in results.backends)
    axes.axvline(walk, color="black", linestyle=":", label="bare walk")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(
        [row + 0.4 - height / 2 for row in range(len(measured))], [one.told(results.edited) for one in measured]
    )
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds (median, quartiles; less is better)")
    axes.legend(loc="lower left")


def _draw_disk(results: Results, axes: "Axes") -> None:
    rows = [f"{backend}, {when}" for backend in results.backends for when in ("first", "with all snapshots")]
    taken = [size / _MEGABYTE for disk in results.disk.values() for size in (disk.first, disk.turns)]
    colours = [f"C{number}" for number in range(len(results.backends)) for _ in range(2)]
    axes.barh(rows, taken, color=colours)
    axes.invert_yaxis()
    axes.set_xlabel("MB of disk that the store takes (less is better)")
