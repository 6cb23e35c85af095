"""Which names a snapshot leaves out: git's rules for ``.gitignore``, ours for ``.hermesignore``, and the excludes.

The walk that asks goes from the root down and never enters an ignored
directory. ``docs/ignore-rules.md`` has the precedence and what differs from git.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple, Self

from hermes_checkpoints.kit.rules.patterns import Tests, compile_rules

RULE_FILES = (".gitignore", ".hermesignore")
"""The names whose contents ``Rules.inside`` takes, in this order."""

# Part of every digest: raise it when the same text comes to mean something else.
_MEANING = b"ignore rules 1"


class _Source(NamedTuple):
    """A text of rules, and where its paths begin: the length of its directory's path below the workspace."""

    text: bytes
    offset: int


_Chain = list[tuple[int, Tests]]


class _Sources:
    """Every text in force, the highest precedence first; compiled when first asked."""

    __slots__ = ("_tests", "gitignore", "hermesignore", "rest")

    def __init__(
        self, hermesignore: tuple[_Source, ...], gitignore: tuple[_Source, ...], rest: tuple[_Source, ...]
    ) -> None:
        self.hermesignore = hermesignore
        self.gitignore = gitignore
        self.rest = rest
        self._tests: tuple[_Chain, _Chain] | None = None

    def tests(self, *, for_dirs: bool) -> _Chain:
        """What each text says, in the order of precedence. Two threads may both compile; the result is the same."""
        if self._tests is None:
            chain = (*self.hermesignore, *self.gitignore, *self.rest)
            compiled = [(source.offset, compile_rules(source.text)) for source in chain]
            self._tests = (
                [(offset, rules.for_files) for offset, rules in compiled],
                [(offset, rules.for_dirs) for offset, rules in compiled],
            )
        return self._tests[for_dirs]


class Rules:
    """The rules in force inside one directory. Immutable, and safe to share between threads."""

    __slots__ = ("_path", "_sources", "digest")

    digest: bytes
    """16 bytes; equal digests at the same directory mean equal decisions. No pattern is compiled for it."""

    def __init__(self, digest: bytes, path: bytes, sources: _Sources) -> None:
        self.digest = digest
        self._path = path  # of the directory, below the workspace: b"" or closed by a slash
        self._sources = sources

    @classmethod
    def root(cls, excludes: Sequence[str]) -> Self:
        """The rules before any file of the workspace is read: patterns of the lowest precedence."""
        text = "\n".join(excludes).encode("utf-8", "surrogateescape")
        return cls(_digest(_MEANING, text), b"", _Sources((), (), (_Source(text, 0),)))

    def inside(self, name: str, texts: tuple[bytes | None, bytes | None]) -> "Rules":
        """The rules inside the child directory ``name`` (``""``: the workspace itself).

        ``texts`` are the contents of its ``RULE_FILES``, None where there is none.
        """
        path = self._path + os.fsencode(name) + b"/" if name else self._path
        if texts == (None, None):
            return Rules(self.digest, path, self._sources)
        gitignore, hermesignore = (() if text is None else (_Source(text, len(path)),) for text in texts)
        above = self._sources
        sources = _Sources(hermesignore + above.hermesignore, gitignore + above.gitignore, above.rest)
        # the path counts too: the same text means something else in another directory above
        return Rules(_digest(self.digest, path, *texts), path, sources)

    def ignores(self, name: str, is_dir: bool) -> bool:  # noqa: FBT001  # called for every name, by position
        """Whether ``name``, directly inside this directory, is left out. A symlink to a directory is no directory."""
        raw = os.fsencode(name)
        for offset, tests in self._sources.tests(for_dirs=is_dir):
            ignored = tests.decide(raw, self._path[offset:] + raw)
            if ignored is not None:
                return ignored
        return False


def _digest(*parts: bytes | None) -> bytes:
    """Of the parts with their lengths, so that no two lists of parts run together."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(b"-" if part is None else b"%d:" % len(part))
        state.update(part or b"")
    return state.digest()
