"""Snapshots replaced by ones that hold less: a path that was purged, or what was lost to damage."""

from collections.abc import Callable, Collection, Container, Iterable, Mapping

from hermes_checkpoints.contract import Entry, Kind, Note, Progress, Reason, Snapshot

Load = Callable[[bytes], Mapping[str, Entry]]
Store = Callable[[Mapping[str, Entry]], bytes]
Parts = tuple[str, ...]
"""A path, split."""


def without(root: Entry, paths: Collection[Parts], reason: Reason, load: Load, store: Store) -> Entry:
    """The tree with these paths, each of which it holds, marked as left out."""
    entries: dict[Parts, Entry] = {(): root}
    names: dict[Parts, dict[str, Entry]] = {}
    for parts in paths:
        for depth in range(len(parts)):
            above = parts[:depth]
            if above not in names:
                names[above] = dict(load(entries[above].key))
            entries[parts[: depth + 1]] = names[above][parts[depth]]
        names[parts[:-1]][parts[-1]] = Entry.left_out(reason)
    for above in sorted(names, key=len, reverse=True):  # children before parents
        made = entries[above]._replace(key=store(names[above]))
        if not above:
            return made
        names[above[:-1]][above[-1]] = made
    return root


def held_at(root: Entry, parts: Parts, load: Load) -> Entry | None:
    """What the tree holds at a path; ``None`` when that is nothing."""
    found = root
    for part in parts:
        names = load(found.key) if found.kind is Kind.DIR else {}
        if part not in names or not names[part].held:
            return None
        found = names[part]
    return found


def weigh(entries: Iterable[Entry], load: Load, but: Container[tuple[Kind, bytes]] = ()) -> tuple[int, int]:
    """Files and links, and the bytes of the files, at and below some entries, ``but`` for what is in the latter."""
    files = size = 0
    todo = list(entries)
    while todo:
        one = todo.pop()
        if (one.kind, one.key) in but:
            continue
        if one.kind is Kind.DIR:
            todo.extend(load(one.key).values())
        elif one.held:
            files += 1
            size += one.size if one.kind is Kind.FILE else 0
    return files, size


def renamed(note: Note, new_ids: Mapping[str, str]) -> Note:
    """The note with the snapshots that it names under their new ids."""
    if not _named(note) & new_ids.keys():
        return note
    assert note.restoring is not None
    target, resumes = (new_ids.get(one, one) for one in (note.restoring.target, note.restoring.resumes))
    return note._replace(restoring=note.restoring._replace(target=target, resumes=resumes))


def _named(note: Note) -> set[str]:
    """The ids in a safety snapshot's note."""
    return {note.restoring.target, note.restoring.resumes} if note.restoring is not None else set()


class Replacing:
    """Paths taken out of all snapshots of a workspace. Killed at any moment, it can be run again.

    ``doomed`` says which paths those are, given a snapshot's root directory.
    """

    def __init__(
        self,
        doomed: Callable[[Entry], Collection[Parts]],
        describe: Callable[[str], tuple[Snapshot, Entry]],
        replace_one: Callable[[str, Collection[Parts], Mapping[str, str]], str | None],
        forget: Callable[[Collection[str]], None],
    ) -> None:
        self._doomed = doomed
        self._describe = describe
        self._replace_one = replace_one
        self._forget = forget

    def run(self, created: Mapping[str, int], progress: Progress) -> dict[str, str]:
        """The new id of each snapshot that was replaced, given when each was created."""
        named = {one for snapshot in created for one in _named(self._describe(snapshot)[0].note)}
        new_ids: dict[str, str] = {}
        # The oldest first: a safety snapshot names its target, which is older.
        for done, old in enumerate(sorted(created, key=lambda snapshot: created[snapshot])):
            progress(done)
            described, root = self._describe(old)
            paths = self._doomed(root)
            if not paths and renamed(described.note, new_ids) == described.note:
                continue
            new = self._replaced_before(old, created, new_ids) or self._replace_one(old, paths, new_ids)
            if new is not None:
                new_ids[old] = new
                if old not in named:
                    self._forget([old])
        # Last and the newest first: after a kill, the next run finds out the new id of what is named.
        for old in reversed([old for old in new_ids if old in named]):
            self._forget([old])
        return new_ids

    def _replaced_before(self, snapshot: str, created: Mapping[str, int], new_ids: Mapping[str, str]) -> str | None:
        """What a run for the same paths that was killed made of a snapshot: only those two have one date."""
        others = [other for other, date in created.items() if date == created[snapshot] and other != snapshot]
        note = renamed(self._describe(snapshot)[0].note, new_ids)
        for other in others:
            new, root = self._describe(other)
            if new.note == note and not self._doomed(root):
                return other
        return None
