"""What snapshots lean on: the live files of each batch, and the live ranges of its ``data`` file."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged
from hermes_checkpoints.kit import decode_header
from hermes_checkpoints.kit.store.names import created_name, listed
from hermes_checkpoints.kit.store.nodes import decode_node, id_of
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints_cow.holes import Range
from hermes_checkpoints_cow.keys import Packed, parse
from hermes_checkpoints_cow.listing import headers_aside, strangers, workspace_directories
from hermes_checkpoints_cow.opening import unreadable

# The key of a directory, wherever it stands in a header that nobody can decode any more.
_ROOT = re.compile(rb'"([0-9a-f]{74})"')


@dataclass(slots=True)
class Live:
    """What is leant on in one batch."""

    numbers: set[int] = field(default_factory=set)
    """Files of their own."""
    unread: set[int] = field(default_factory=set)
    """Of those, the large clones whose keys have no digest."""
    ranges: set[Range] = field(default_factory=set)
    """Of its ``data`` file."""
    kept: bool = False
    """Whether all of it stays: what is in quarantine may lean on any of it."""

    @property
    def size(self) -> int:
        """Bytes of the ranges."""
        return sum(end - start for start, end in self.ranges)

    def dead(self, size: int) -> Iterator[Range]:
        """The ranges of a ``data`` file of that size that nothing leans on, in order."""
        reached = 0
        for start, end in sorted(self.ranges):
            if start > reached:
                yield reached, start
            reached = max(reached, end)
        if reached < size:
            yield reached, size


class Marks:
    """Every batch that a listed snapshot leans on. Grows with each ``mark``; what was read once is not read again."""

    def __init__(self, home: Path, load: Callable[[bytes], bytes], pause: Callable[[], None]) -> None:
        """``load`` gives a directory's bytes; ``pause`` is called after each directory, and may raise."""
        self.batches: dict[bytes, Live] = {}
        self.empty: list[Path] = []
        """The directories of workspaces that had no snapshot when they were last looked at."""
        self._home = home
        self._load = load
        self._pause = pause
        self._headers: set[str] = set()
        self._aside: set[Path] = set()
        self._nodes: set[bytes] = set()

    def mark(self) -> None:
        """Mark what the listed snapshots lean on. Raises ``StoreError`` when that cannot be found out."""
        self.empty = []
        for stranger, what in strangers(self._home / "snapshots"):
            raise StoreDamaged(f"{stranger} {what}. Nothing was changed.")
        for directory in workspace_directories(self._home / "snapshots"):
            ids = listed(directory)
            if not ids:
                self.empty.append(directory)
            for snapshot in ids.keys() - self._headers:
                path = directory / created_name(ids[snapshot], snapshot)
                try:
                    self._mark(_root(path, snapshot))
                except FileNotFoundError:
                    continue  # forgotten meanwhile
                except StoreDamaged:
                    if os.path.lexists(path):
                        raise
                    continue  # forgotten meanwhile, and its contents removed by somebody else's reclaim
                self._headers.add(snapshot)
        for path in headers_aside(self._home):
            if path not in self._aside:
                self._keep(path)
                self._aside.add(path)

    def _keep(self, header: Path) -> None:
        """Spare the batches that lead on from a header in quarantine as a whole: what leads to the rest may be lost."""
        with suppress(FileNotFoundError, StoreDamaged):
            todo = [bytes.fromhex(key.decode()) for key in _ROOT.findall(_read(header))]
            seen = set(todo)
            while todo:
                with suppress(StoreDamaged):
                    key = todo.pop()
                    self.batches.setdefault(parse(key).batch, Live()).kept = True
                    for entry in decode_node(self._load(key)).values():
                        if entry.kind is Kind.DIR and entry.key not in seen:
                            seen.add(entry.key)
                            todo.append(entry.key)
                        elif entry.kind is Kind.FILE:
                            self.batches.setdefault(parse(entry.key).batch, Live()).kept = True
                self._pause()

    def _mark(self, root: bytes) -> None:
        # Nodes count as read only when all below them was: a walk may end half-way.
        fresh = {root}
        todo = [root]
        self._lean_on(root)
        while todo:
            for entry in decode_node(self._load(todo.pop())).values():
                if entry.kind is Kind.DIR:
                    if entry.key in self._nodes or entry.key in fresh:
                        continue
                    fresh.add(entry.key)
                    todo.append(entry.key)
                elif entry.kind is not Kind.FILE:
                    continue
                self._lean_on(entry.key)
            self._pause()
        self._nodes |= fresh

    def _lean_on(self, key: bytes) -> None:
        where = parse(key)
        live = self.batches.setdefault(where.batch, Live())
        if isinstance(where, Packed):
            live.ranges.add((where.offset, where.offset + where.length))
        else:
            live.numbers.add(where.number)
            if not where.digest:
                live.unread.add(where.number)


def _root(path: Path, snapshot: str) -> bytes:
    header = _read(path)
    if id_of(header) != snapshot:
        raise StoreDamaged(f"{path} has other bytes than were stored. Nothing was changed.")
    return decode_header(header, snapshot, "")[1].key


def _read(path: Path) -> bytes:
    try:
        return read_plain(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error
