"""How names, sizes and times are put into words, for every door."""

import os
import time


def shown(name: str) -> str:
    """A name for eyes: in quotes, with escapes, when it holds what a terminal could act on or what cannot be read.

    The workspace itself, whose path is empty, is ``.``.
    """
    if not name:
        return "."
    if name.isprintable() and not name.startswith('"') and "\\" not in name:
        return name
    return '"' + harmless(name.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def harmless(text: str) -> str:
    """Text in which nothing moves a cursor, colours a terminal or turns the reading direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _ESCAPES.get(c) or _octal(c) for c in text)


_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _octal(character: str) -> str:
    """The bytes of a character as git writes them."""
    is_byte = "\udc80" <= character <= "\udcff"
    return "".join(
        f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
    )


def portable(name: str) -> str:
    """A name for JSON: UTF-8 as it is, and a lone surrogate U+DC80..U+DCFF for each other byte, in any locale."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def iso(nanoseconds: int) -> str:
    """Nanoseconds since the epoch as local time, ISO 8601 with offset and milliseconds."""
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(nanoseconds // 10**9, UTC).replace(microsecond=nanoseconds % 10**9 // 1000)
    return moment.astimezone().isoformat(timespec="milliseconds")


def when(nanoseconds: int, now: float | None = None) -> str:
    """Nanoseconds since the epoch for eyes: local time, and how long ago."""
    seconds = nanoseconds / 1e9
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return f"{day} ({ago((time.time() if now is None else now) - seconds)})"


def ago(seconds: float) -> str:
    """How long ago, to one figure: ``3 min ago``."""
    if seconds < 0:
        return "in the future"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def size(count: int) -> str:
    """Bytes for eyes: ``1.2 MB``."""
    if count < 1000:
        return f"{count} B"
    amount, units = count / 1000, iter(("kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while amount >= 999.95 and (larger := next(units, None)):
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"


def counted(count: int, noun: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
