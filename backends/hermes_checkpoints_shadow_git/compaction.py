"""Which packs to rewrite together: pure decisions about bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

_GARBAGE = 0.2  # of a pack's bytes: rewriting 80 bytes to get 20 back; less is not worth it
_FACTOR = 16
_FIRST = 16 << 10
_LEAST, _MOST = 512 << 10, 32 << 20
_SHARE = 32


@dataclass(frozen=True, slots=True)
class Holding:
    """A pack: bytes of all its objects, and of those that are alive in it."""

    name: str
    size: int
    live: int


def bound(store_bytes: int) -> int:
    """Bytes that are rewritten at once: what reclaiming needs beyond what is stored."""
    return min(max(store_bytes // _SHARE, _LEAST), _MOST)


def plan(holdings: Iterable[Holding], limit: int, *, thorough: bool) -> list[list[str]]:
    """The packs that are rewritten, in groups of about ``limit`` bytes alive; a larger pack alone.

    A pack is rewritten for its garbage, or with others of its generation (each
    holds packs 16 times the size of the one before) when there are 16 of them:
    an object then moves once a generation, however many snapshots there are,
    and each generation keeps at most 15 packs.
    """
    dirty: list[Holding] = []
    generations: dict[int, list[Holding]] = {}
    for holding in holdings:
        garbage = holding.size - holding.live
        if garbage > (0 if thorough else _GARBAGE * holding.size):
            dirty.append(holding)
        elif holding.size <= limit // 2:
            generations.setdefault(_generation(holding.size), []).append(holding)
    groups = _grouped(dirty, limit)
    for generation in generations.values():
        if len(generation) >= _FACTOR:
            groups += [group for group in _grouped(generation, limit) if len(group) > 1]
    return groups


def _generation(size: int) -> int:
    number = 0
    while size >= _FIRST:
        size //= _FACTOR
        number += 1
    return number


def _grouped(holdings: Iterable[Holding], limit: int) -> list[list[str]]:
    """The smallest first, so that what is freed early makes room for what comes later."""
    groups: list[list[str]] = []
    room = 0
    for holding in sorted(holdings, key=lambda holding: (holding.live, holding.name)):
        if not groups or holding.live > room:
            groups.append([])
            room = limit
        groups[-1].append(holding.name)
        room -= holding.live
    return groups
