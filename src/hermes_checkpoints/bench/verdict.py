"""Which backend to use, and why: a pure function of what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from hermes_checkpoints.bench.results import Results, milliseconds
from hermes_checkpoints.bench.scenarios import BIG_EDIT, SCENARIOS
from hermes_checkpoints.wording import size

DAY: Mapping[str, int] = {
    "first": 1,
    "unchanged": 100,
    "one-file": 100,
    "hundred-files": 10,
    "diff": 10,
    "list": 10,
    "restore-one": 5,
    "restore-all": 1,
}
"""How often each scenario happens on a day with an agent; what backends are compared by."""

# Less is no difference: neither to people, nor between two runs of this.
_FASTER = 1.2
# Fewer samples do not show how much they scatter.
_SAMPLES = 3
_TWICE = 2.0
_SMALLER = 1.5
_BYTES = 50 << 20
# Of the difference of two days: what is worth naming.
_SHARE = 0.1
_SCENARIOS = {one.name: one for one in SCENARIOS}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to use."""

    backend: str
    sentence: str
    """For people, with the reasons."""


def verdict(results: Results, default: str, filesystem: str = "", unusable: Mapping[str, str] | None = None) -> Verdict:
    """The backend to use for this tree on this filesystem.

    The one with the cheaper day (``DAY``) where that is clear: by a fifth at
    least, and by more than the samples scatter. Else the one that takes clearly
    less disk. Clearly more disk is worth a day at half the cost and no less.
    Where nothing is clear it does not matter, and the ``default`` stays.
    ``unusable``: what else is installed, and why it was not measured. Raises
    ``ValueError`` when nothing was measured.
    """
    days = [_Day(results, name) for name in results.backends]
    if not days:
        raise ValueError("nothing was measured")
    best = next((day for day in days if day.backend == default), days[0])
    for day in days:
        if day is not best and _preferred(day, best):
            best = day
    where = f" ({filesystem})" if filesystem else ""
    said = f"On this filesystem{where}, for this tree ({results.tree}), "
    others = [day for day in days if day is not best]
    if others:
        said += _compared(results, best, min(others, key=lambda day: day.cost), default)
    else:
        said += f"use {best.backend}, because nothing else could be measured"
    for name, why in {**(unusable or {}), **results.failed}.items():
        said += f"; {name} cannot be used here: {why.rstrip('.')}"
    return Verdict(best.backend, said + ".")


class _Day:
    """What one backend costs."""

    def __init__(self, results: Results, backend: str) -> None:
        self.backend = backend
        self.disk = results.disk[backend].turns
        spreads = {name: results.spread(name, backend) for name in DAY if name in results.samples}
        self.medians = {name: spread.median for name, spread in spreads.items()}
        self.cost = sum(DAY[name] * spread.median for name, spread in spreads.items())
        """Milliseconds."""
        self.scatter_known = all(len(results.samples[name][backend]) >= _SAMPLES for name in spreads)
        self.low = sum(DAY[name] * spread.low for name, spread in spreads.items())
        self.high = sum(DAY[name] * spread.high for name, spread in spreads.items())

    def is_faster(self, other: "_Day") -> bool:
        known = self.scatter_known and other.scatter_known
        return known and self.cost * _FASTER <= other.cost and self.high < other.low

    def is_smaller(self, other: "_Day") -> bool:
        return self.disk * _SMALLER <= other.disk and other.disk - self.disk >= _BYTES


class _Why(Enum):
    FASTER = auto()
    SMALLER = auto()
    SMALLER_THOUGH_SLOWER = auto()


def _preferred(one: _Day, other: _Day) -> _Why | None:
    """What makes one clearly better than another, if anything does."""
    if one.is_faster(other):
        worth_its_disk = not other.is_smaller(one) or one.cost * _TWICE <= other.cost
        return _Why.FASTER if worth_its_disk else None
    if not one.is_smaller(other):
        return None
    if other.is_faster(one):
        return _Why.SMALLER_THOUGH_SLOWER if other.cost * _TWICE > one.cost else None
    return _Why.SMALLER


def _compared(results: Results, best: _Day, rival: _Day, default: str) -> str:
    ours, theirs = milliseconds(best.cost), milliseconds(rival.cost)
    days = f"a day's work costs {ours} with {best.backend} and {theirs} with {rival.backend}"
    stores = f"its store takes {size(best.disk)}, that of {rival.backend} {size(rival.disk)}"
    said = f"use {best.backend}: {days}, "
    match _preferred(best, rival):
        case _Why.FASTER:
            said += f"because {_because(results, best, rival)}"
            if rival.is_smaller(best):
                said += f", although {stores}"
        case _Why.SMALLER:
            said += f"and that is {_no_difference(best, rival)}, but {stores}"
        case _Why.SMALLER_THOUGH_SLOWER:
            said += f"which is not worth the disk, because {stores}"
        case None if _preferred(rival, best) is None:
            kept = f"keep {best.backend}, the default" if best.backend == default else f"use {best.backend}"
            said = f"it does not matter: {days}, and that is {_no_difference(best, rival)}; {kept}"
        case _:  # of three, each may beat another
            said += f"and {stores}"
    return said + _big(results, best, rival)


def _no_difference(one: _Day, other: _Day) -> str:
    if max(one.cost, other.cost) < _FASTER * min(one.cost, other.cost):
        return "hardly a difference"
    return "less than the samples scatter, as far as they show it (--rounds N takes more)"


def _because(results: Results, best: _Day, rival: _Day) -> str:
    """The two scenarios that make most of the difference."""
    gained = {name: DAY[name] * (rival.medians[name] - median) for name, median in best.medians.items()}
    most = sorted(gained, key=lambda name: gained[name], reverse=True)[:2]
    named = [name for name in most if gained[name] >= _SHARE * (rival.cost - best.cost)]
    return " and ".join(
        f"{_SCENARIOS[name].told(results.edited)} takes "
        f"{milliseconds(best.medians[name])} instead of {milliseconds(rival.medians[name])}"
        for name in named
    )


def _big(results: Results, best: _Day, rival: _Day) -> str:
    """How edits of a big file compare, where that makes a difference; a tree may have some or none."""
    if BIG_EDIT not in results.samples:
        return ""
    ours, theirs = results.median(BIG_EDIT, best.backend), results.median(BIG_EDIT, rival.backend)
    if max(ours, theirs) < _TWICE * min(ours, theirs):
        return ""
    costs = f"{milliseconds(ours)} with {best.backend} and {milliseconds(theirs)} with {rival.backend}"
    return f"; where files of {size(results.big)} are edited, a turn costs {costs}"
