"""Looking for damage: each stored thing once, however many snapshots lean on it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from hermes_checkpoints.contract import Damage, Entry, Kind, Progress, StoreDamaged
from hermes_checkpoints.kit.store.nodes import Listed, decode_listed

Thing = tuple[Kind, bytes]
"""A stored content or directory; a file may well have the bytes, and the key, of a directory."""


def thing(entry: Entry) -> Thing:
    return entry.kind, entry.key


class Lost(NamedTuple):
    """Something damaged, where a tree has it."""

    path: str
    entry: Entry
    what: str


class Examination:
    """The trees of some snapshots, and what is damaged in them.

    ``load`` reads a directory, ``check`` looks at a stored thing; both raise
    ``StoreDamaged``, and ``check`` is asked once for each. Memory: about 250
    bytes a thing.
    """

    def __init__(
        self, load: Callable[[bytes], Mapping[str, Entry]], check: Callable[[Entry], None], progress: Progress
    ) -> None:
        self._load = load
        self._check = check
        self._progress = progress
        self._looked_at: set[Thing] = set()
        self._above: dict[Thing, set[bytes]] = {}
        """The directories that have a directory, or something damaged, in them."""
        self._leading: set[bytes] | None = None
        self.damaged: dict[Thing, tuple[Entry, str]] = {}

    def look(self, root: Entry) -> None:
        """Look at a directory and all below it, but for what was looked at already."""
        self._leading = None
        todo = [root]
        while todo:
            directory = todo.pop()
            if thing(directory) in self._looked_at:
                continue
            for entry in self._entries(directory).values():
                if entry.kind is Kind.DIR:
                    todo.append(entry)
                elif entry.kind is not Kind.FILE or not self._is_damaged(entry):
                    continue
                self._above.setdefault(thing(entry), set()).add(directory.key)

    def _entries(self, directory: Entry) -> Mapping[str, Entry]:
        names: Mapping[str, Entry] = {}
        self._looked_at.add(thing(directory))
        try:
            names = self._load(directory.key)
            self._check(directory)
        except StoreDamaged as damage:
            self.damaged[thing(directory)] = directory, str(damage)
        return names

    def _is_damaged(self, file: Entry) -> bool:
        if thing(file) not in self._looked_at:
            self._looked_at.add(thing(file))
            self._progress(len(self._looked_at))
            try:
                self._check(file)
            except StoreDamaged as damage:
                self.damaged[thing(file)] = file, str(damage)
        return thing(file) in self.damaged

    def healed(self, entry: Entry) -> None:
        """It is whole now; below a directory there may be more."""
        del self.damaged[thing(entry)]
        self._leading = None
        if entry.kind is Kind.DIR:
            self._looked_at.discard(thing(entry))
            self.look(entry)

    def lost(self, root: Entry) -> Iterator[Lost]:
        """What is damaged in a tree that was looked at, in path order.

        Raises ``StoreDamaged`` when a directory can no longer be read that could be then.
        """
        leading = self._directories_above_damage()
        todo = [("", root)]
        while todo:
            path, entry = todo.pop()
            if thing(entry) in self.damaged:
                yield Lost(path, *self.damaged[thing(entry)])
            elif entry.kind is Kind.DIR and entry.key in leading:
                prefix = f"{path}/" if path else ""
                names = self._load(entry.key)
                todo.extend((prefix + name, names[name]) for name in sorted(names, key=os.fsencode, reverse=True))

    def _directories_above_damage(self) -> set[bytes]:
        if self._leading is None:
            self._leading = set()
            todo = list(self.damaged)
            while todo:
                above = self._above.get(todo.pop(), set()) - self._leading
                self._leading |= above
                todo.extend((Kind.DIR, key) for key in above)
        return self._leading


def examined(everything: Callable[[], Iterable[Listed]], backend: str, examination: Examination) -> Iterator[Damage]:
    """What is damaged, of all snapshots given with their headers: each time by the snapshot and the path it costs."""
    roots: dict[str, Entry] = {}
    unreadable: dict[str, str] = {}
    for listed in everything():
        try:
            roots[listed[0]] = decode_listed(listed, backend)[1]
        except StoreDamaged as damage:
            unreadable[listed[0]] = str(damage)
            continue
        examination.look(roots[listed[0]])
    if not unreadable and not examination.damaged:
        return
    still = _ids(everything)  # one that was forgotten, and reclaimed, meanwhile is no damage
    for snapshot in sorted(still):
        if snapshot in unreadable:
            # Of a snapshot that is listed where it belongs, too, this is another's name, and costs it nothing.
            yield Damage("" if snapshot in roots else snapshot, "", unreadable[snapshot])
        if snapshot not in roots:
            continue
        try:
            for path, _, what in examination.lost(roots[snapshot]):
                yield Damage(snapshot, path, what)
        except StoreDamaged as damage:
            if snapshot in _ids(everything):
                yield Damage(snapshot, "", str(damage))


def _ids(everything: Callable[[], Iterable[Listed]]) -> set[str]:
    return {snapshot for snapshot, *_ in everything()}
