"""Differences in text, as git prints them and a terminal can take them."""

from collections.abc import Iterable, Sequence

from hermes_checkpoints.results import FileDiff
from hermes_checkpoints.wording import counted, harmless

# Nobody reads more; beyond it (bytes) differences are only counted.
_MOST_TEXT = 8 << 20
_WIDTH = 40  # of the longest bar of plus and minus signs


def in_words(diffs: Iterable[FileDiff]) -> tuple[str, str]:
    """Differences as git prints them: the figures of each file, and the unified diff."""
    rows, pieces, size = [], [], 0
    for diff in diffs:
        rows.append(diff._replace(text=b""))
        size += len(diff.text)
        if size <= _MOST_TEXT:
            pieces.append(diff.text)
    text = _harmless_lines(b"".join(pieces).decode("utf-8", "surrogateescape"))
    if len(pieces) < len(rows):
        text += f"\n… and {len(rows) - len(pieces)} more files, which are too much to show\n"
    return _stat(rows), text


def _harmless_lines(text: str) -> str:
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(harmless, line.split("\t"))) for line in text.split("\n"))


def _stat(rows: Sequence[FileDiff]) -> str:
    if not rows:
        return ""
    names = [harmless(row.path) for row in rows]
    longest, most = max(map(len, names)), max(row.added + row.removed for row in rows)
    lines = []
    for name, row in zip(names, rows, strict=True):
        scale = min(1.0, _WIDTH / most) if most else 0.0
        bar = "+" * round(row.added * scale) + "-" * round(row.removed * scale)
        lines.append(f" {name:<{longest}} | {'Bin' if row.binary else f'{row.added + row.removed} {bar}'.rstrip()}")
    added, removed = sum(row.added for row in rows), sum(row.removed for row in rows)
    figures = [f" {counted(len(rows), 'file')} changed"]
    figures += [f"{counted(added, 'insertion')}(+)"] if added or not removed else []
    figures += [f"{counted(removed, 'deletion')}(-)"] if removed or not added else []
    return "\n".join([*lines, ", ".join(figures)])
