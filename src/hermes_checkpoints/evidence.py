"""What a snapshot would not have held, whatever was there: by its own ignore rules, or by another program's limits."""

import os
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress

from hermes_checkpoints.contract import (
    DEFAULT_EXCLUDES,
    DEFAULT_MAX_FILE_SIZE,
    Backend,
    Change,
    Entry,
    Kind,
    PathNotFound,
    ancestors,
    split_path,
)
from hermes_checkpoints.kit.rules.ignore import RULE_FILES, Rules
from hermes_checkpoints.kit.walk.reading import MAX_RULE_FILE


class RulesOfThen:
    """The ignore rules inside a snapshot.

    A file that came later and that these rules would have left out is not
    deleted by a restore of the snapshot: had it been there, the snapshot would
    not have held it either.
    """

    def __init__(
        self, backend: Backend, snapshot: str, excludes: Sequence[str], files: Collection[str] = RULE_FILES
    ) -> None:
        self._files = files
        self._backend = backend
        self._snapshot = snapshot
        self._top = Rules.root(excludes)
        self._inside: dict[tuple[str, ...], Rules] = {}

    def ignore(self, path: str, entry: Entry) -> bool:
        """Whether a path, or a directory above it, is ignored by the snapshot's rules."""
        parts = split_path(path)
        for depth in range(len(parts)):
            is_dir = depth < len(parts) - 1 or entry.kind is Kind.DIR
            if self._rules(parts[:depth]).ignores(parts[depth], is_dir):
                return True
        return False

    def _rules(self, parts: tuple[str, ...]) -> Rules:
        if parts not in self._inside:
            above, name = (self._rules(parts[:-1]), parts[-1]) if parts else (self._top, "")
            self._inside[parts] = above.inside(name, self._texts(parts))
        return self._inside[parts]

    def _texts(self, parts: tuple[str, ...]) -> tuple[bytes | None, bytes | None]:
        first, second = (self._text("/".join((*parts, name))) if name in self._files else None for name in RULE_FILES)
        return first, second

    def _text(self, path: str) -> bytes | None:
        try:
            entry = self._backend.entry(self._snapshot, path)
        except PathNotFound:
            return None
        if entry.kind is not Kind.FILE or entry.size > MAX_RULE_FILE:
            return None
        with self._backend.read(entry) as content:
            return content.read()


class HermesThen:
    """What Hermes, which took a snapshot itself, would have left out of it without a word.

    Its excludes, the workspace's ``.gitignore`` files and the user's own one;
    files (and links to files) beyond its limit; and repositories inside the workspace.
    """

    def __init__(self, backend: Backend, snapshot: str, max_file_size: int, changes: Collection[Change]) -> None:
        excludes = (*_users_excludes(), *DEFAULT_EXCLUDES)
        self._workspace = backend.place.workspace
        self._rules = RulesOfThen(backend, snapshot, excludes, (".gitignore",))
        self._limit = min(max_file_size or DEFAULT_MAX_FILE_SIZE, DEFAULT_MAX_FILE_SIZE)
        repositories = (change.path.rpartition("/") for change in changes if change.before is not None)
        self._repositories = {above for above, _, name in repositories if above and name == ".git"}

    def why(self, path: str, entry: Entry) -> str | None:
        """Why a path could have been there without being in the snapshot; ``None`` when it came later."""
        if self._repositories.intersection((path, *ancestors(path))):
            return "it is in a repository of its own, and Hermes's own snapshots hold none"
        if self._size(path, entry) > self._limit:
            return f"Hermes's own snapshots hold nothing larger than {self._limit} bytes"
        if self._rules.ignore(path, entry):
            return "Hermes's own rules would have left it out"
        return None

    def _size(self, path: str, entry: Entry) -> int:
        if entry.kind is Kind.LINK:  # Hermes took it for the file that it leads to
            with suppress(OSError, ValueError):
                target = (self._workspace / path).stat()
                return target.st_size if stat.S_ISREG(target.st_mode) else 0
        return entry.size


def _users_excludes() -> list[str]:
    """The ignore file that git reads for a user without being told to, as it did for Hermes."""
    above = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    try:
        with open(os.path.join(above, "git", "ignore"), encoding="utf-8", errors="surrogateescape") as file:
            return file.read(MAX_RULE_FILE).splitlines()
    except OSError:
        return []
