"""One row of one backend on one filesystem: what it has to work with, and the samples that come of it."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermes_checkpoints import Engine, Limits
from yardsticks import bare_walk, remove, timed

ROOM = Limits(max_snapshots=10_000, max_total_size=0, min_free_disk=0)
"""Nothing is forgotten: for what is about something else."""


@dataclass(slots=True)
class Measurement:
    """One row, of one backend, on one filesystem."""

    backend: str
    place: Path
    """An empty directory on that filesystem."""
    trees: Path
    """Where the row's trees are, each under its name."""
    clones: bool
    rounds: int
    walk: Path
    kept: Path
    """Where other people's programs are installed."""
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds, but for those whose name says otherwise."""

    def tree(self, name: str) -> Path:
        return self.trees / name

    def note(self, name: str, value: float) -> None:
        self.samples[name].append(value)

    def time(self, name: str, act: Callable[[], object]) -> None:
        self.note(name, timed(act))

    def walked(self, tree: Path) -> None:
        self.note("walk", bare_walk(self.walk, tree))

    def engine(self, store: str = "base", limits: Limits = ROOM, **more: Any) -> Engine:
        return Engine(store=self.place / store, backend=self.backend, limits=limits, **more)

    @contextmanager
    def fresh(self, name: str) -> Iterator[Path]:
        """A name that is not there yet, everything before it written out; what came to be there is removed."""
        os.sync()
        yield self.place / name
        remove(self.place / name)


ROWS: dict[str, tuple[tuple[str, ...], Callable[[Measurement], None]]] = {}
"""By name: the trees that it needs, and what measures it. The docstring of the latter describes it."""


def row(*needed: str) -> Callable[[Callable[[Measurement], None]], Callable[[Measurement], None]]:
    def named(measure: Callable[[Measurement], None]) -> Callable[[Measurement], None]:
        ROWS[measure.__name__.replace("_", "-")] = (needed, measure)
        return measure

    return named
