"""What was measured, all samples of it, and the figures that follow."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hermes_checkpoints.wording import size


class Sample(NamedTuple):
    """One thing timed, and the bare walk of the same tree just before; milliseconds."""

    spent: float
    walk: float


class Spread(NamedTuple):
    """A median and the quartiles around it; milliseconds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of disk that a backend's store takes; what it shares with the tree is not in them."""

    first: int
    """After the first snapshot."""
    turns: int
    """After all the turns and restores."""
    snapshots: int
    """How many it then holds."""
    big_edit: int | None = None
    """By how much each edit of the big file made it grow; ``None`` where that was not measured."""


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that one run measured."""

    files: int
    """In the tree, symlinks included."""
    size: int
    """Bytes of the tree's files."""
    edited: int
    """Files edited in ``hundred-files``: fewer than a hundred when the tree has fewer."""
    big: int
    """Bytes of the big file."""
    samples: Mapping[str, Mapping[str, Sequence[Sample]]]
    """By scenario and backend, in the order in which they were taken."""
    disk: Mapping[str, Disk]
    """By backend."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Backends that could not do something, and what; they have no figures."""
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    """Scenarios that this tree does not allow, and why."""

    @property
    def backends(self) -> list[str]:
        """Those that have figures."""
        return list(self.disk)

    @property
    def tree(self) -> str:
        """The tree in words."""
        return f"{self.files:,} file{'' if self.files == 1 else 's'}, {size(self.size)}"

    def spread(self, scenario: str, backend: str) -> Spread:
        """What a scenario takes. ``KeyError`` where it was not measured."""
        return spread([sample.spent for sample in self.samples[scenario][backend]])

    def median(self, scenario: str, backend: str) -> float:
        """Milliseconds."""
        return self.spread(scenario, backend).median

    def ratio(self, scenario: str, backend: str) -> float:
        """To the bare walk: the median of the ratios pair by pair."""
        return statistics.median(sample.spent / sample.walk for sample in self.samples[scenario][backend])

    def walk(self, backend: str) -> Spread:
        """The bare walk of a backend's tree, over all scenarios."""
        return spread([one.walk for measured in self.samples.values() for one in measured[backend]])


def spread(values: Sequence[float]) -> Spread:
    """Of any values, at least one."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def milliseconds(spent: float) -> str:
    """A time for eyes, with three figures at most: ``0.42 ms``, ``12.3 ms``, ``1.9 s``."""
    if spent >= 1000:
        return f"{spent / 1000:.1f} s"
    return f"{spent:.0f} ms" if spent >= 100 else f"{spent:.1f} ms" if spent >= 1 else f"{spent:.2f} ms"
