"""What a stored file takes of the disk, when it may share its blocks with other files."""

import os
import sys
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from heapq import merge
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from hermes_checkpoints_cow.extents import extents_of

LARGE = 64 * 1024
"""Bytes from which on a file's extents are looked at one by one; a smaller one is taken as shared or not as a whole."""
BLOCK = 4096
"""Bytes in which space is given out, nearly everywhere."""
_ALLOCATED = 512  # st_blocks counts in these, whatever the filesystem's own block is

Interval = tuple[int, int]
"""First byte on the medium, and the one after the last."""


class Held(NamedTuple):
    """The blocks of one file."""

    own: int
    """Bytes that no other file has, which come back when the file is removed."""
    shared: list[Interval]
    """What others have too, on the medium; empty also where that is not known."""


def rounded(size: int) -> int:
    """Bytes that so many take on the disk."""
    return -(-size // BLOCK) * BLOCK


def allocated(status: os.stat_result) -> int:
    return status.st_blocks * _ALLOCATED


def hurry(directory: Path) -> None:
    """Have the blocks of files that were just removed be let go of now: XFS does so a moment later (ms)."""
    with suppress(OSError):
        os.statvfs(directory)


def held_by(fd: int) -> Held:
    """What an open file takes. Allocated blocks where nobody tells what is shared. Raises ``OSError``."""
    status = os.fstat(fd)
    if sys.platform == "darwin":
        from hermes_checkpoints_cow.private_darwin import private_size

        private = private_size(fd)
        return Held(allocated(status) if private is None else private, [])
    extents = extents_of(fd)
    if not extents or not any(extent.shared for extent in extents):
        return Held(allocated(status), [])
    if status.st_size < LARGE or not all(extent.clear for extent in extents):
        return Held(0, [])
    own = sum(extent.length for extent in extents if not extent.shared)
    return Held(own, [(one.physical, one.physical + one.length) for one in extents if one.shared])


def untouched(stored: Sequence[Interval], live: Iterable[Interval]) -> list[Interval]:
    """The stored intervals that no live one overlaps.

    Btrfs keeps an extent whole for as long as anybody has a part of it.
    """
    ordered = sorted(live)
    starts = [start for start, _ in ordered]
    ends = list(accumulate((end for _, end in ordered), max))
    return [(start, end) for start, end in stored if not ((at := bisect_left(starts, end)) and ends[at - 1] > start)]


def freed(stored: Iterable[Interval], live: Iterable[Interval]) -> int:
    """Bytes that at least two of the stored intervals cover, each once, and no live one.

    What only one stored file has, and yet is shared, somebody outside has too.
    """
    events = merge(
        sorted((at, step, 0) for start, end in stored for at, step in ((start, 1), (end, -1))),
        sorted((at, 0, step) for start, end in live for at, step in ((start, 1), (end, -1))),
    )
    total = before = stored_here = live_here = 0
    for at, stored_step, live_step in events:
        if stored_here > 1 and not live_here:
            total += at - before
        before = at
        stored_here += stored_step
        live_here += live_step
    return total
