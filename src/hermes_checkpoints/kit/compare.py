"""What differs between two trees, walking only where their nodes differ."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Self

from hermes_checkpoints.contract import Change, Entry, Kind, same
from hermes_checkpoints.kit.walk.seen import Seen


class Tree(ABC):
    """A directory that can be compared: its entry, and what is in it."""

    entry: Entry

    @abstractmethod
    def children(self) -> dict[str, tuple[Entry, Self | None]]:
        """Every name with its entry, and for a directory the directory."""


class StoredTree(Tree):
    """A directory of a snapshot."""

    def __init__(self, entry: Entry, load: Callable[[bytes], dict[str, Entry]]) -> None:
        self.entry = entry
        self._load = load

    def children(self) -> dict[str, tuple[Entry, "StoredTree | None"]]:
        return {name: self._with(entry) for name, entry in self._load(self.entry.key).items()}

    def child(self, name: str) -> "tuple[Entry, StoredTree | None] | None":
        entry = self._load(self.entry.key).get(name)
        return self._with(entry) if entry is not None else None

    def _with(self, entry: Entry) -> "tuple[Entry, StoredTree | None]":
        return entry, StoredTree(entry, self._load) if entry.kind is Kind.DIR else None


class LiveTree(Tree):
    """A directory of the workspace, as a walk saw it."""

    def __init__(self, seen: Seen) -> None:
        self.entry = seen.own_entry()
        self._seen = seen

    def children(self) -> dict[str, tuple[Entry, "LiveTree | None"]]:
        return {
            name: (entry, LiveTree(self._seen.dirs[name]) if entry.kind is Kind.DIR else None)
            for name, entry in self._seen.entries()
        }


def walk(tree: Tree) -> Iterator[tuple[str, Entry]]:
    """Everything in a tree, in path order; the tree itself first, with the path ``""``."""
    todo: list[tuple[str, Entry, Tree | None]] = [("", tree.entry, tree)]
    while todo:
        path, entry, below = todo.pop()
        yield path, entry
        if below is not None:
            prefix = f"{path}/" if path else ""
            children = below.children()
            todo.extend((prefix + name, *children[name]) for name in sorted(children, key=os.fsencode, reverse=True))


def compare(before: Tree, after: Tree, same_content: Callable[[Entry, Entry, str], bool]) -> Iterator[Change]:
    """The changes between two trees, in path order; the root's own as path ``""``.

    Below a directory that only one tree has, what was left out is named too:
    whoever wants to remove the directory must know that it is not empty.

    ``same_content(before, after, path)`` is asked about files that have the
    same size under different keys.
    """
    todo: list[tuple[str, Tree | None, Tree | None, Entry | None, Entry | None]] = [
        ("", before, after, before.entry, after.entry)
    ]
    while todo:
        path, old, new, old_entry, new_entry = todo.pop()
        change = _change(path, old_entry, new_entry, same_content)
        if change is not None:
            yield change
        if (old is None and new is None) or _same_node(old, new):
            continue
        prefix = f"{path}/" if path else ""
        olds = old.children() if old is not None else {}
        news = new.children() if new is not None else {}
        for name in sorted(olds.keys() | news.keys(), key=os.fsencode, reverse=True):
            old_child, new_child = olds.get(name), news.get(name)
            if old_child == new_child and (old_child is None or old_child[1] is None):
                continue
            todo.append(
                (
                    prefix + name,
                    old_child[1] if old_child else None,
                    new_child[1] if new_child else None,
                    old_child[0] if old_child else None,
                    new_child[0] if new_child else None,
                )
            )


def _same_node(old: Tree | None, new: Tree | None) -> bool:
    return old is not None and new is not None and bool(old.entry.key) and old.entry.key == new.entry.key


def _change(
    path: str, before: Entry | None, after: Entry | None, same_content: Callable[[Entry, Entry, str], bool]
) -> Change | None:
    """How a path differs; equal content gets one key, so that whoever reads the change sees that it is equal."""
    if before is None or after is None:
        return Change(path, before, after)
    both_files = before.kind is after.kind is Kind.FILE and before.size == after.size
    if both_files and before.key != after.key and same_content(before, after, path):
        after = after._replace(key=before.key)
    return None if same(before, after) else Change(path, before, after)
