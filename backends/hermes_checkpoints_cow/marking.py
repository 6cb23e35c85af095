"""What snapshots lean on: the live files of each batch, and the live ranges of its ``data`` file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged
from hermes_checkpoints.kit import decode_header
from hermes_checkpoints.kit.store.names import created_name, listed
from hermes_checkpoints.kit.store.nodes import decode_node, id_of
from hermes_checkpoints_cow.holes import Range
from hermes_checkpoints_cow.keys import Packed, parse


@dataclass(slots=True)
class Live:
    """What is leant on in one batch."""

    numbers: set[int] = field(default_factory=set)
    """Files of their own."""
    unread: set[int] = field(default_factory=set)
    """Of those, the large clones whose keys have no digest."""
    ranges: set[Range] = field(default_factory=set)
    """Of its ``data`` file."""

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

    def __init__(self, snapshots: Path, load: Callable[[bytes], bytes], pause: Callable[[], None]) -> None:
        """``load`` gives a directory's bytes; ``pause`` is called after each directory, and may raise."""
        self.batches: dict[bytes, Live] = {}
        self.empty: list[Path] = []
        """The directories of workspaces that had no snapshot when they were last looked at."""
        self._snapshots = snapshots
        self._load = load
        self._pause = pause
        self._headers: set[str] = set()
        self._nodes: set[bytes] = set()

    def mark(self) -> None:
        """Mark what the listed snapshots lean on. Raises ``StoreDamaged`` when that cannot be found out."""
        self.empty = []
        for directory in workspace_directories(self._snapshots):
            ids = listed(directory)
            if not ids:
                self.empty.append(directory)
            for snapshot in ids.keys() - self._headers:
                path = directory / created_name(ids[snapshot], snapshot)
                try:
                    header = path.read_bytes()
                    self._mark(decode_header(header, snapshot, "")[1].key)
                except FileNotFoundError:
                    continue  # forgotten meanwhile
                except StoreDamaged:
                    if path.exists():
                        raise
                    continue  # forgotten meanwhile, and its contents removed by somebody else's reclaim
                self._headers.add(snapshot)

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


def workspace_directories(snapshots: Path) -> Iterator[Path]:
    """Where each workspace's headers are. Raises ``StoreDamaged`` when there is no such place."""
    try:
        directories = [entry for entry in snapshots.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except FileNotFoundError as error:  # not "there are no snapshots": then all contents would be garbage
        raise StoreDamaged(f"{snapshots} is not there. Nothing was changed.") from error
    yield from directories


def headers_of(snapshots: Path) -> Iterator[tuple[str, bytes]]:
    """Every snapshot of every workspace: id and header; no bytes for one that is damaged."""
    for directory in workspace_directories(snapshots):
        for snapshot, created_ns in listed(directory).items():
            try:
                header = (directory / created_name(created_ns, snapshot)).read_bytes()
            except FileNotFoundError:
                continue  # forgotten meanwhile
            except OSError:
                header = b""
            yield snapshot, header if id_of(header) == snapshot else b""
