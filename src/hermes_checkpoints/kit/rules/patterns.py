"""A rule file in gitignore syntax as a quick test of names. Pure; each text is compiled once a process."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from hermes_checkpoints.kit.rules.wildmatch import is_plain, translate

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Match = Callable[[bytes], re.Match[bytes] | None]


class Pattern(NamedTuple):
    """One line of a rule file."""

    ignored: bool
    """False for a line that begins with ``!``."""
    dir_only: bool
    anchored: bool
    """It is compared with the path below the rule file's directory, not with the name alone."""
    glob: bytes

    @property
    def is_suffix(self) -> bool:
        """``*.log`` and the like."""
        return not self.anchored and self.glob.startswith(b"*") and is_plain(self.glob[1:])


class Group(NamedTuple):
    """Several lines as one test of a name.

    Sets and suffixes take the lines without wildcards, which are nearly all in
    practice: they cost nothing to compile and little to ask.
    """

    names: frozenset[bytes]
    suffixes: tuple[bytes, ...]
    name_match: Match | None
    paths: frozenset[bytes]
    path_match: Match | None

    def fits(self, name: bytes, path: bytes) -> bool:
        """Whether any of the lines fits; ``path`` is the name's, below the rule file's directory."""
        names, suffixes, name_match, paths, path_match = self
        return (
            name in names
            or path in paths
            or name.endswith(suffixes)
            or (name_match is not None and name_match(name) is not None)
            or (path_match is not None and path_match(path) is not None)
        )


class Tests(NamedTuple):
    """What a rule file says of files, or of directories."""

    screen: Group
    """All lines. Most names fit none, and one test tells."""
    runs: tuple[tuple[bool, Group], ...]
    """Consecutive lines of one polarity, the last first: the first that fits decides by its ``ignored``."""

    def decide(self, name: bytes, path: bytes) -> bool | None:
        """Whether the rule file ignores a name; None when it says nothing of it."""
        if self.screen.fits(name, path):
            for ignored, group in self.runs:
                if group.fits(name, path):
                    return ignored
        return None


class RuleFile(NamedTuple):
    for_files: Tests
    for_dirs: Tests


@lru_cache(maxsize=128)
def compile_rules(text: bytes) -> RuleFile:
    """The tests that a rule file asks for. A line that can match nothing never disturbs the others."""
    patterns = list(parse(text))
    return RuleFile(_tests([p for p in patterns if not p.dir_only]), _tests(patterns))


def parse(text: bytes) -> Iterator[Pattern]:
    """The patterns of a rule file, in the order of its lines."""
    for line in text.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        if line.startswith(b"#"):
            continue
        # git reads lines as C strings, so that a NUL ends one
        glob = _trimmed(line.removesuffix(b"\r").partition(b"\0")[0])
        ignored = not glob.startswith(b"!")
        glob = glob[not ignored :]
        dir_only = glob.endswith(b"/")
        glob = glob.removesuffix(b"/")
        anchored = b"/" in glob
        glob = glob.removeprefix(b"/")
        if glob:
            yield Pattern(ignored, dir_only, anchored, glob)


def _trimmed(line: bytes) -> bytes:
    """The line without its trailing spaces; a backslash keeps the one after it."""
    bare = line.rstrip(b" ")
    backslashes = len(bare) - len(bare.rstrip(b"\\"))
    return line[: len(bare) + backslashes % 2]


def _tests(patterns: list[Pattern]) -> Tests:
    runs = [(ignored, _group(list(lines))) for ignored, lines in groupby(patterns, lambda pattern: pattern.ignored)]
    return Tests(_group(patterns), tuple(reversed(runs)))


def _group(patterns: list[Pattern]) -> Group:
    plain = [p for p in patterns if is_plain(p.glob)]
    globs = [p for p in patterns if not is_plain(p.glob) and not p.is_suffix]
    return Group(
        names=frozenset(p.glob for p in plain if not p.anchored),
        suffixes=tuple(p.glob[1:] for p in patterns if p.is_suffix),
        name_match=_any_of([p.glob for p in globs if not p.anchored]),
        paths=frozenset(p.glob for p in plain if p.anchored),
        path_match=_any_of([p.glob for p in globs if p.anchored]),
    )


def _any_of(globs: list[bytes]) -> Match | None:
    regexes = [regex for regex in map(translate, globs) if regex is not None]
    return re.compile(b"|".join(regexes), re.DOTALL).match if regexes else None
