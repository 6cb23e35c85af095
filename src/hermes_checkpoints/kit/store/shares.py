"""Who holds what: the space of a store, divided between the snapshots that lean on it."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from hermes_checkpoints.contract import Entry, Kind, StoreDamaged

_Answer = TypeVar("_Answer")
_TRIES = 5
Node = Mapping[str, Entry]


def while_listed(
    headers: Callable[[], Mapping[str, bytes]], shares: Callable[[Mapping[str, bytes]], _Answer]
) -> _Answer:
    """What ``shares`` says of the listed snapshots; asked again when some were forgotten, and reclaimed, meanwhile.

    Raises ``StoreDamaged`` when that is not the reason why one cannot be read.
    """
    for left in reversed(range(_TRIES)):
        listed = headers()
        try:
            return shares(listed)
        except StoreDamaged:
            if not left or listed.keys() <= headers().keys():
                raise
    raise AssertionError("the last try answers or raises")


def divide(
    roots: Iterable[tuple[str, Entry]], node: Callable[[bytes], Node], stored_size: Callable[[Entry], int]
) -> dict[frozenset[str], int]:
    """Bytes by the set of snapshots that lean on them.

    ``roots`` are the snapshots' ids and root directories; ``stored_size`` says
    what a file's content, or a directory's own node, takes in the store. Each
    distinct directory is read once, whatever the number of snapshots.
    """
    ids: list[str] = []
    holders: dict[bytes, int] = {}  # bit n: the n-th snapshot leans on this directory
    nodes: dict[bytes, tuple[Entry, tuple[Entry, ...]]] = {}
    below: dict[bytes, tuple[Entry, ...]] = {}
    for number, (snapshot, root) in enumerate(roots):
        ids.append(snapshot)
        bit = 1 << number
        todo = [root]
        while todo:
            directory = todo.pop()
            held = holders.get(directory.key, 0)
            if held & bit:
                continue
            holders[directory.key] = held | bit
            if not held:
                entries = node(directory.key).values()
                nodes[directory.key] = directory, tuple(entry for entry in entries if entry.kind is Kind.FILE)
                below[directory.key] = tuple(entry for entry in entries if entry.kind is Kind.DIR)
            todo.extend(below[directory.key])
    sizes: dict[int, int] = {}
    contents: dict[bytes, tuple[int, Entry]] = {}
    for key, (directory, files) in nodes.items():
        mask = holders[key]
        sizes[mask] = sizes.get(mask, 0) + stored_size(directory)
        for file in files:
            contents[file.key] = contents.get(file.key, (0, file))[0] | mask, file
    for mask, file in contents.values():
        sizes[mask] = sizes.get(mask, 0) + stored_size(file)
    return {_named(mask, ids): size for mask, size in sizes.items() if size}


def reachable(roots: Iterable[Entry], node: Callable[[bytes], Node]) -> set[bytes]:
    """The key of every content and directory below these directories, themselves included."""
    todo = list(roots)
    # Apart: a file's bytes may be those of a directory, and then both have one key.
    directories = {root.key for root in todo}
    files: set[bytes] = set()
    while todo:
        entries = node(todo.pop().key).values()
        files.update(entry.key for entry in entries if entry.kind is Kind.FILE)
        below = [entry for entry in entries if entry.kind is Kind.DIR and entry.key not in directories]
        directories.update(entry.key for entry in below)
        todo.extend(below)
    return directories | files


def _named(mask: int, ids: list[str]) -> frozenset[str]:
    names = []
    while mask:
        lowest = mask & -mask
        names.append(ids[lowest.bit_length() - 1])
        mask ^= lowest
    return frozenset(names)
