"""Looking things up in a tree as seen, and seeing a stored tree as if it had just been looked at."""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Entry, Kind, Stamp
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import Changed, open_regular
from hermes_checkpoints.kit.walk.seen import Seen, stamp_of

_BLOCK = 1 << 20


def recalled(root: Entry, load: Callable[[bytes], dict[str, Entry]]) -> Seen:
    """A snapshot's tree as something seen, with times that match no file: all of it is looked at again.

    Contents keep their keys, so a lost cache costs reading and never a second copy.
    """
    top = Seen()
    todo = [(top, root)]
    order = []
    while todo:
        seen, own = todo.pop()
        order.append(seen)
        seen.stamp = (stat.S_IFDIR | own.mode, own.mtime_ns, 0, -1)
        seen.xattrs, seen.key = own.xattrs, own.key
        for name, entry in load(own.key).items():
            if entry.kind is Kind.DIR:
                seen.dirs[name] = Seen()
                seen.listing.append(name + "/")
                todo.append((seen.dirs[name], entry))
            elif entry.held:
                kind = stat.S_IFREG if entry.kind is Kind.FILE else stat.S_IFLNK
                seen.listing.append((name, kind | entry.mode, entry.size, entry.mtime_ns, 0, 0))
                seen.keys[name] = entry.key
                if entry.xattrs:
                    seen.xattrs_of[name] = entry.xattrs
    for seen in reversed(order):
        seen.total()
    return top


def stamp_at(tree: Seen, path: str) -> Stamp | None:
    """The stat of a file or link as the walk saw it."""
    *above, name = path.split("/")
    for part in above:
        child = tree.dirs.get(part)
        if child is None:
            return None
        tree = child
    item = tree.item(name) if name in tree.keys else None
    return stamp_of(item) if item is not None else None


def doubt(tree: Seen, paths: Iterable[str]) -> None:
    """Have the next walk look at these files again, whatever their stat says."""
    for path in paths:
        *above, name = path.split("/")
        seen: Seen | None = tree
        for part in above:
            seen = seen.dirs.get(part) if seen is not None else None
        if seen is not None:
            seen.racy.add(name)


def doubt_since(tree: Seen, since_ns: int) -> None:
    """Have the next walk look again at every file that was changed at or after a time.

    After a power cut a file may have the times of its last change and not its bytes.
    """
    todo = [tree]
    while todo:
        seen = todo.pop()
        todo.extend(seen.dirs.values())
        files = (item for item in seen.listing if not isinstance(item, str))
        seen.racy.update(item[0] for item in files if max(item[3], item[4]) >= since_ns)


def same_bytes(workspace: Path, parts: tuple[str, ...], stored: BinaryIO) -> bool:
    """Whether a file of the workspace has these bytes; no, when it cannot be read."""
    try:
        with Descent(str(workspace)) as descent:
            descent.go(parts[:-1])
            with open_regular(descent.fd, parts[-1]) as fd, os.fdopen(os.dup(fd), "rb") as live:
                while block := stored.read(_BLOCK):
                    if live.read(len(block)) != block:
                        return False
                return not live.read(1)
    except (OSError, Changed):
        return False
