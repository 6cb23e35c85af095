"""A stored tree without one of its paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hermes_checkpoints.contract import Entry, Kind, Note, Reason

Load = Callable[[bytes], Mapping[str, Entry]]
Store = Callable[[Mapping[str, Entry]], bytes]


@dataclass(frozen=True, slots=True)
class Purged:
    """What is left of a tree."""

    root: Entry
    files: int
    """Files and links that went."""
    size: int
    """Bytes of the files that went."""


def without(root: Entry, parts: tuple[str, ...], load: Load, store: Store) -> Purged | None:
    """The tree with that path marked as purged; ``None`` when it holds nothing there."""
    way: list[tuple[Entry, Mapping[str, Entry]]] = []
    directory = root
    for part in parts:
        names = load(directory.key)
        way.append((directory, names))
        found = names.get(part)
        if found is None or not found.held or (found.kind is not Kind.DIR and part is not parts[-1]):
            return None
        directory = found
    files, size = _weigh(directory, load)
    child = Entry.left_out(Reason.PURGED)
    for (parent, names), part in zip(reversed(way), reversed(parts), strict=True):
        child = parent._replace(key=store({**names, part: child}))
    return Purged(child, files, size)


def _weigh(entry: Entry, load: Load) -> tuple[int, int]:
    """Files and links, and the bytes of the files, at and below an entry."""
    files = size = 0
    todo = [entry]
    while todo:
        one = todo.pop()
        if one.kind is Kind.DIR:
            todo.extend(load(one.key).values())
        elif one.held:
            files += 1
            size += one.size if one.kind is Kind.FILE else 0
    return files, size


def renamed(note: Note, new_ids: Mapping[str, str]) -> Note:
    """The note with the snapshot that it names under its new id."""
    if note.restoring is None or note.restoring.target not in new_ids:
        return note
    return replace(note, restoring=replace(note.restoring, target=new_ids[note.restoring.target]))
