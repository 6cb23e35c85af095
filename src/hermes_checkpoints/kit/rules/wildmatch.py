"""One glob of a gitignore line as a regex over bytes: a port of git's ``wildmatch.c``. Pure.

git compares bytes, and so do we: ``?`` is one byte of a UTF-8 letter, and no locale or encoding plays a part.
"""

import re

_SLASH, _BACKSLASH, _DASH, _OPEN, _CLOSE, _COLON, _STAR, _QUESTION = b"/\\-[]:*?"
_SPECIAL = re.compile(rb"[*?\[\\]")
_EVERY_BYTE = frozenset(range(1, 256))

# Each opens an atomic group (`>`), closed where the next of its kind begins: the leftmost place of what stands
# between two stars is always good enough, so a hostile `*a*a*a*a*b` costs a scan and not every combination.
_ANY_IN_ONE_NAME = b"(?>[^/]*?"
_ANY_DIRS = b"(?>(?:.*?/)??"  # `**/`
_SOME_DIRS = b"(?>.*?/"  # `**\/`, which git does not let match nothing
_ANYTHING = b".*"

# As git's own ctype table has them: ASCII only, and no vertical tab or form feed in `space`.
_PRINT = frozenset(range(0x20, 0x7F))
_DIGIT = frozenset(b"0123456789")
_LOWER = frozenset(b"abcdefghijklmnopqrstuvwxyz")
_UPPER = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CLASSES = {
    b"alnum": _LOWER | _UPPER | _DIGIT,
    b"alpha": _LOWER | _UPPER,
    b"blank": frozenset(b" \t"),
    b"cntrl": frozenset({*range(0x20), 0x7F}),
    b"digit": _DIGIT,
    b"graph": _PRINT - {0x20},
    b"lower": _LOWER,
    b"print": _PRINT,
    b"punct": _PRINT - _LOWER - _UPPER - _DIGIT - {0x20},
    b"space": frozenset(b" \t\n\r"),
    b"upper": _UPPER,
    b"xdigit": _DIGIT | frozenset(b"abcdefABCDEF"),
}


def is_plain(glob: bytes) -> bool:
    """Whether the glob matches itself and nothing else."""
    return not _SPECIAL.search(glob)


def translate(glob: bytes) -> bytes | None:
    r"""The regex of a glob, for ``match`` with ``re.DOTALL`` and closed by ``\Z``.

    None for a glob that can match nothing: an unclosed bracket, an unknown
    class, a backslash at the end.
    """
    special = _SPECIAL.search(glob)
    start = i = special.start() if special else len(glob)
    out = re.escape(glob[:start])
    star = deep = False  # whether a group for `*`, for `**/`, is open
    end = len(glob)
    glob += b"\0"  # so that one may look one ahead
    while i < end:
        char = glob[i]
        i += 1
        if char == _STAR:
            # git compares the plain beginning apart, so that the `**` of `x/a**/b` stands at a beginning, too
            at_boundary = i - 1 == start or glob[i - 2] == _SLASH
            stars = i - 1
            while glob[i] == _STAR:
                i += 1
            double = at_boundary and i - stars > 1
            if double and i == end:
                out += _ANYTHING
            elif double and glob[i] == _SLASH:
                out += b")" * deep + _ANY_DIRS
                deep = True
                i += 1
            elif double and glob[i : i + 2] == b"\\/":
                out += b")" * deep + _SOME_DIRS
                deep = True
                i += 2
            else:
                out += b")" * star + _ANY_IN_ONE_NAME
                star = True
        elif char == _QUESTION:
            out += b"[^/]"
        elif char == _OPEN:
            bracket = _bracket(glob, i)
            if bracket is None:
                return None
            members, i = bracket
            out += _one_of(members - {_SLASH})
        else:
            if char == _BACKSLASH:
                if i == end:
                    return None
                char = glob[i]
                i += 1
            out += re.escape(bytes((char,)))
            if char == _SLASH:
                out += b")" * star
                star = False
    return out + rb"\Z" + b")" * (star + deep)


def _bracket(glob: bytes, i: int) -> tuple[frozenset[int], int] | None:
    """The bytes that the bracket expression stands for whose first byte is at ``i``, and the index after it."""
    negated = glob[i] in b"!^"
    i += negated
    members: set[int] = set()
    previous = 0  # what a range may begin with; 0 when nothing
    while True:
        char = glob[i]
        if char == _DASH and previous and glob[i + 1] not in (0, _CLOSE):
            i += 1 + (glob[i + 1] == _BACKSLASH)
            if not glob[i]:
                return None
            members.update(range(previous, glob[i] + 1))
            previous = 0
        elif char == _OPEN and glob[i + 1] == _COLON and (close := glob.find(b"]", i + 2)) != i + 2:
            if close < 0:
                return None
            if glob[close - 1] == _COLON:
                named = _CLASSES.get(glob[i + 2 : close - 1])
                if named is None:
                    return None
                members |= named
                previous, i = 0, close
            else:
                members.add(char)
                previous = char
        else:
            if char == _BACKSLASH:
                i += 1
                char = glob[i]
            if not char:
                return None
            members.add(char)
            previous = char
        i += 1
        if glob[i] == _CLOSE:
            return (_EVERY_BYTE - members if negated else frozenset(members)), i + 1


def _one_of(members: frozenset[int]) -> bytes:
    """A regex for one byte of the set, written the shorter way round."""
    if not members:
        return b"(?!)"
    if len(members) < 128:
        return b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(members)) + b"]"
    return b"[^" + b"".join(b"\\x%02x" % byte for byte in sorted(set(range(256)) - members)) + b"]"
