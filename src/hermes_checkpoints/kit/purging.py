"""A stored tree without one of its paths."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from hermes_checkpoints.contract import Entry, Kind, Note, Progress, Reason, Snapshot

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
    way = _way_to(root, parts, load)
    if way is None:
        return None
    files, size = _weigh(way[-1][1][parts[-1]], load)
    child = Entry.left_out(Reason.PURGED)
    for (parent, names), part in zip(reversed(way), reversed(parts), strict=True):
        child = parent._replace(key=store({**names, part: child}))
    return Purged(child, files, size)


def _way_to(root: Entry, parts: tuple[str, ...], load: Load) -> list[tuple[Entry, Mapping[str, Entry]]] | None:
    """The directories above a path, each with its entries; ``None`` when the tree holds nothing there."""
    way: list[tuple[Entry, Mapping[str, Entry]]] = []
    found = root
    for part in parts:
        if found.kind is not Kind.DIR:
            return None
        names = load(found.key)
        way.append((found, names))
        if part not in names or not names[part].held:
            return None
        found = names[part]
    return way


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


class Purging:
    """One path taken out of all snapshots of a workspace. Killed at any moment, it can be run again."""

    def __init__(self, parts: tuple[str, ...], describe: Callable[[str], tuple[Snapshot, Entry]], load: Load) -> None:
        self._parts = parts
        self._describe = describe
        self._load = load

    def run(
        self,
        created: Mapping[str, int],
        replace_one: Callable[[str, tuple[str, ...], Mapping[str, str]], str | None],
        forget: Callable[[Collection[str]], None],
        progress: Progress,
    ) -> dict[str, str]:
        """The new id of each snapshot that was replaced, given when each was created."""
        notes = [self._describe(snapshot)[0].note for snapshot in created]
        named = {note.restoring.target for note in notes if note.restoring is not None}
        new_ids: dict[str, str] = {}
        # The oldest first: a safety snapshot names its target, which is older.
        for done, old in enumerate(sorted(created, key=lambda snapshot: created[snapshot])):
            progress(done)
            new = self._replaced_before(old, created, new_ids) or replace_one(old, self._parts, new_ids)
            if new is not None:
                new_ids[old] = new
                if old not in named:
                    forget([old])
        # Last and the newest first: after a kill, the next run finds out the new id of what is named.
        for old in reversed([old for old in new_ids if old in named]):
            forget([old])
        return new_ids

    def _replaced_before(self, snapshot: str, created: Mapping[str, int], new_ids: Mapping[str, str]) -> str | None:
        """What a run for the same path that was killed made of a snapshot: only those two have one date."""
        others = [other for other, date in created.items() if date == created[snapshot] and other != snapshot]
        if not others:
            return None
        old, root = self._describe(snapshot)
        note = renamed(old.note, new_ids)
        if note == old.note and not self._holds(root):
            return None
        for other in others:
            new, top = self._describe(other)
            if new.note == note and not self._holds(top):
                return other
        return None

    def _holds(self, root: Entry) -> bool:
        return _way_to(root, self._parts, self._load) is not None
