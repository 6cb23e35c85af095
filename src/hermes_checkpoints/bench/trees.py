"""The trees that are measured: a synthetic one, or what snapshots hold of a directory, laid out again."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hermes_checkpoints.bench.timing import listings
from hermes_checkpoints.contract import Backend, CheckpointError, Note, Place, Progress, Reason, Scope, Snapshot, silent
from hermes_checkpoints.export import lay_out
from hermes_checkpoints.kit.store.publish import private_directory

LayOut = Callable[[Path], object]
"""Fills an empty directory with the tree to measure; called once for each backend."""

_FILE_SIZE = 10_000
_FILES_A_DIRECTORY = 50
# Edits are of files that somebody could be editing.
_EDITABLE = 1 << 20
_DEEP = 50
_EDITED = 100


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree in figures, and the files of it that are edited."""

    files: int
    """Symlinks included, as in a snapshot."""
    size: int
    """Bytes of the files."""
    edited: tuple[str, ...]
    """Up to a hundred files, far from each other, relative to the tree; the first, of usual size, is edited alone."""


def make_tree(root: Path, files: int) -> None:
    """Make so many files of 10 kB that compress like source code, fifty to a directory."""
    for number in range(files):
        above, below = divmod(number, _FILES_A_DIRECTORY)
        directory = root / f"package{above % 10}" / f"part{above}"
        if not below:
            directory.mkdir(parents=True, exist_ok=True)
        (directory / f"module{below}.py").write_bytes(_source_text(number))


def _source_text(number: int) -> bytes:
    lines = (
        f"def function_{number}_{line}(value):\n    return value * {line * 7919 + number}\n" for line in range(200)
    )
    return "".join(lines).encode()[:_FILE_SIZE]


def survey(root: Path) -> Tree:
    """Look a tree over. Raises ``CheckpointError`` when there is nothing in it to edit."""
    files = size = 0
    editable = []
    for names, entries in listings(root):
        # Hidden files, such as ignore files, mean something to the engine.
        shunned = len(names) > _DEEP or any(name.startswith(".") for name in names)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                continue
            status = entry.stat(follow_symlinks=False)
            files += 1
            if not stat.S_ISREG(status.st_mode):
                continue
            size += status.st_size
            if not shunned and not entry.name.startswith(".") and _is_editable(status):
                editable.append((status.st_size, "/".join([*names, entry.name])))
    if not editable:
        raise CheckpointError(
            "there is no file to edit in what snapshots hold of the directory; --files N measures a synthetic tree."
        )
    typical = sorted(editable)[len(editable) // 2][1]
    others = sorted(path for _, path in editable if path != typical)
    chosen = min(len(others), _EDITED - 1)
    return Tree(files, size, (typical, *(others[number * len(others) // chosen] for number in range(chosen))))


def _is_editable(status: os.stat_result) -> bool:
    return 0 < status.st_size <= _EDITABLE and bool(status.st_mode & stat.S_IWUSR) and status.st_nlink == 1


class Source:
    """What snapshots hold of a directory, kept in the scratch to be laid out again, as clones where that is possible.

    The directory itself is only read, and by the backend whose tree comes out of it.
    """

    def __init__(self, backend: Backend, snapshot: Snapshot, unread: int, *, cloned: bool) -> None:
        self._backend = backend
        self.snapshot = snapshot
        self.unread = unread
        """Paths that could not be read, so that they are not in the tree."""
        self.cloned = cloned
        """Whether the filesystem can share blocks."""

    @classmethod
    def taken(
        cls, directory: Path, store: Path, backend: type[Backend], scope: Scope, room: int, progress: Progress = silent
    ) -> Self:
        """Raises ``CheckpointError``, also before the store would take more than ``room`` bytes."""

        def growing(size: int) -> None:
            nonlocal room
            room -= size
            if room < 0:
                raise CheckpointError(
                    f"there is no room for copies of {directory} on its filesystem; "
                    "free some, or measure a synthetic tree (--files N)."
                )

        private_directory(store)
        private_directory(store / "locks")
        opened = backend.open(Place(store, directory))
        saved = opened.save(scope, Note("bench"), progress, growing)
        unread = sum(one.reason is Reason.UNREADABLE for one in saved.left_out)
        return cls(opened, saved.latest, unread, cloned=saved.stats.cloned > 0)

    def lay_out(self, target: Path) -> None:
        """Fill an empty directory. Raises ``CheckpointError`` when not all of it could be."""
        done = lay_out(self._backend, self.snapshot, target)
        if done.failed:
            one = done.failed[0]
            raise CheckpointError(f"a copy of the directory could not be made: {one.path}: {one.reason}")

    def close(self) -> None:
        self._backend.close()
