"""How one path differs, as a git-style unified diff that ``git apply`` and ``patch -p1`` take. No IO.

Everything is bytes, so any encoding passes through. Time is bounded: difflib, which is
quadratic, only sees the short gaps between lines that occur once on both sides; what is
beyond its budget becomes one replaced block, which is longer to read and just as right.
"""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import NamedTuple

from hermes_checkpoints.contract import Entry, Kind
from hermes_checkpoints.results import FileDiff

CONTEXT = 3  # lines around a change, as in git and diff -u
BINARY_PROBE = 8000  # bytes looked at for a NUL, as in git
BUDGET = 20_000_000  # of `_cost`, for one file: a second at worst

FILE, EXECUTABLE, LINK = 0o100644, 0o100755, 0o120000  # the modes that git knows


class Side(NamedTuple):
    """One of the two states of a path."""

    content: bytes
    """The bytes of a file, the target of a symlink."""
    mode: int = FILE
    """Type and permission bits, as ``st_mode`` has them."""

    @classmethod
    def of(cls, entry: Entry, content: bytes = b"") -> "Side":
        """The side of a file with that content, or of a symlink, which brings its own."""
        if entry.kind is Kind.LINK:
            return cls(entry.key, LINK)
        return cls(content, 0o100000 | entry.mode)

    @property
    def git_mode(self) -> int:
        """The mode as git says it: link, executable or plain."""
        if self.mode & 0o170000 == LINK:
            return LINK
        return EXECUTABLE if self.mode & 0o100 else FILE


class Change(NamedTuple):
    """Lines ``before[start:end]`` became lines ``after[new_start:new_end]``."""

    start: int
    end: int
    new_start: int
    new_end: int


def unified(path: str, before: Side | None, after: Side | None) -> FileDiff:
    """How ``path`` got from ``before`` to ``after``; ``None`` where it does not exist.

    ``path`` is relative to the workspace, as ``os.fsdecode`` gives it. The text is
    empty when the two sides are equal. A file that became a symlink, or the other way
    round, is one deletion and one creation, as in git.
    """
    if before and after and (before.git_mode == LINK) != (after.git_mode == LINK):
        gone, come = unified(path, before, None), unified(path, None, after)
        return FileDiff(path, gone.text + come.text, gone.added + come.added, gone.removed + come.removed,
                        binary=gone.binary or come.binary)  # fmt: skip
    name = os.fsencode(path)
    modes = _mode_lines(before, after)
    old, new = before.content if before else b"", after.content if after else b""
    if old == new and not modes:
        return FileDiff(path, b"", 0, 0)
    text = [b"diff --git %s %s\n" % (quoted(b"a/" + name), quoted(b"b/" + name)), modes]
    if old == new:
        return FileDiff(path, b"".join(text), 0, 0)
    old_name = quoted(b"a/" + name) if before else b"/dev/null"
    new_name = quoted(b"b/" + name) if after else b"/dev/null"
    if is_binary(old) or is_binary(new):
        text.append(b"Binary files %s and %s differ\n" % (old_name, new_name))
        return FileDiff(path, b"".join(text), 0, 0, binary=True)
    # The tab ends a name that holds blanks; patch would stop reading at the first one.
    end = b"\t\n" if b" " in name else b"\n"
    text += [b"--- ", old_name, end if before else b"\n", b"+++ ", new_name, end if after else b"\n"]
    old_lines, new_lines = BytesIO(old).readlines(), BytesIO(new).readlines()
    changes = list(_changes(old_lines, new_lines))
    for group in _grouped(changes):
        text += _hunk(old_lines, new_lines, group)
    added = sum(change.new_end - change.new_start for change in changes)
    removed = sum(change.end - change.start for change in changes)
    return FileDiff(path, b"".join(text), added, removed)


def is_binary(content: bytes) -> bool:
    """Git's rule: a NUL near the beginning."""
    return b"\0" in content[:BINARY_PROBE]


def quoted(name: bytes) -> bytes:
    """A name in git's C style: in quotes if it holds a control character, a quote or a backslash."""
    if not any(byte < 0x20 or byte in b'"\\\x7f' for byte in name):
        return name
    return b'"' + b"".join(_ESCAPES.get(byte, bytes((byte,))) for byte in name) + b'"'


_ESCAPES = {byte: b"\\%03o" % byte for byte in (*range(0x20), 0x7F)} | {
    ord(plain): b"\\" + letter
    for plain, letter in zip('\a\b\t\n\v\f\r"\\', (b"a", b"b", b"t", b"n", b"v", b"f", b"r", b'"', b"\\"), strict=True)
}


def _mode_lines(before: Side | None, after: Side | None) -> bytes:
    if before is None and after is None:
        return b""
    if before is None:
        assert after is not None
        return b"new file mode %06o\n" % after.git_mode
    if after is None:
        return b"deleted file mode %06o\n" % before.git_mode
    if before.git_mode != after.git_mode:
        return b"old mode %06o\nnew mode %06o\n" % (before.git_mode, after.git_mode)
    if before.mode != after.mode and before.git_mode != LINK:
        # Git would not see it and a restore does: the permission bits in full.
        return b"old mode %06o\nnew mode %06o\n" % (before.mode, after.mode)
    return b""


def _changes(before: Sequence[bytes], after: Sequence[bytes]) -> Iterator[Change]:
    """What is between lines that stayed, in order."""
    start = new_start = 0
    for end, new_end in [*_kept(before, after), (len(before), len(after))]:
        if end > start or new_end > new_start:
            yield Change(start, end, new_start, new_end)
        start, new_start = end + 1, new_end + 1


def _kept(before: Sequence[bytes], after: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """The lines that stayed: increasing pairs of indices of equal lines."""
    head, tail = _common_ends(before, after)
    yield from zip(range(head), range(head), strict=True)
    end, new_end = len(before) - tail, len(after) - tail
    anchors = [(head + a, head + b) for a, b in _anchors(before[head:end], after[head:new_end])]
    start, new_start, budget = head, head, BUDGET
    for anchor, new_anchor in [*anchors, (end, new_end)]:
        gap, new_gap = before[start:anchor], after[new_start:new_anchor]
        cost = _cost(gap, new_gap)
        for a, b in _kept_in_gap(gap, new_gap, affordable=cost <= budget):
            yield start + a, new_start + b
        budget -= cost if cost <= budget else 0
        if anchor < end:
            yield anchor, new_anchor
        start, new_start = anchor + 1, new_anchor + 1
    yield from zip(range(end, len(before)), range(new_end, len(after)), strict=True)


def _common_ends(before: Sequence[bytes], after: Sequence[bytes]) -> tuple[int, int]:
    """How many lines are equal at the beginning, and of the rest at the end."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, tail


def _anchors(before: Sequence[bytes], after: Sequence[bytes]) -> list[tuple[int, int]]:
    """Patience diff: lines that occur once on each side, in the longest order common to both."""
    counts, new_counts = Counter(before), Counter(after)
    where = {line: index for index, line in enumerate(after) if new_counts[line] == 1}
    unique = [(index, where[line]) for index, line in enumerate(before) if counts[line] == 1 and line in where]
    tops: list[int] = []  # smallest last position of an increasing run of each length
    ends: list[int] = []  # which of `unique` that is
    previous: list[int] = []
    for index, (_, position) in enumerate(unique):
        length = bisect_left(tops, position)
        previous.append(ends[length - 1] if length else -1)
        tops[length : length + 1], ends[length : length + 1] = [position], [index]
    anchors = []
    index = ends[-1] if ends else -1
    while index >= 0:
        anchors.append(unique[index])
        index = previous[index]
    return anchors[::-1]


def _kept_in_gap(before: Sequence[bytes], after: Sequence[bytes], *, affordable: bool) -> Iterator[tuple[int, int]]:
    head, tail = _common_ends(before, after)
    yield from zip(range(head), range(head), strict=True)
    end, new_end = len(before) - tail, len(after) - tail
    if affordable and head < end and head < new_end:
        from difflib import SequenceMatcher  # 3 ms, and most commands compare nothing

        for block in SequenceMatcher(None, before[head:end], after[head:new_end]).get_matching_blocks():
            for offset in range(block.size):
                yield head + block.a + offset, head + block.b + offset
    yield from zip(range(end, len(before)), range(new_end, len(after)), strict=True)


def _cost(before: Sequence[bytes], after: Sequence[bytes]) -> int:
    """What difflib's time is bounded by: it looks at every pair of equal lines once for each block it finds."""
    counts = Counter(before)
    return sum(counts[line] for line in after) * min(len(before), len(after))


def _grouped(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes whose context touches share a hunk."""
    group: list[Change] = []
    for change in changes:
        if group and change.start - group[-1].end > 2 * CONTEXT:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _hunk(before: Sequence[bytes], after: Sequence[bytes], group: Sequence[Change]) -> Iterator[bytes]:
    lead = min(CONTEXT, group[0].start)
    start, new_start = group[0].start - lead, group[0].new_start - lead
    trail = min(CONTEXT, len(before) - group[-1].end)
    end, new_end = group[-1].end + trail, group[-1].new_end + trail
    yield b"@@ -%s +%s @@\n" % (_range(start, end), _range(new_start, new_end))
    position = start
    for change in group:
        yield from _lines(b" ", before[position : change.start])
        yield from _lines(b"-", before[change.start : change.end])
        yield from _lines(b"+", after[change.new_start : change.new_end])
        position = change.end
    yield from _lines(b" ", before[position:end])


def _range(start: int, end: int) -> bytes:
    """Line numbers count from 1; an empty range names the line before it."""
    length = end - start
    if length == 1:
        return b"%d" % (start + 1)
    return b"%d,%d" % (start + 1 if length else start, length)


def _lines(sign: bytes, lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield sign
        yield line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"
