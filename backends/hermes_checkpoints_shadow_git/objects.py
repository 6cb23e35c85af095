"""Git's object formats, as pure functions of bytes. An object id is 20 bytes here, 40 hex digits inside a commit."""

import hashlib
import struct
from collections.abc import Iterable

FILE = b"100644"
EXECUTABLE = b"100755"
LINK = b"120000"
DIRECTORY = b"40000"

ID_SIZE = 20
PACK_HEADER = struct.Struct(">4sII")

_TYPE_BITS = {b"commit": 1, b"tree": 2, b"blob": 3}
_KINDS = {bits: kind for kind, bits in _TYPE_BITS.items()}

# fsck wants the brackets; an address that could be somebody's is not ours to invent.
_IDENTITY = b"hermes-checkpoints <>"

TreeEntry = tuple[bytes, bytes, bytes]
"""Mode, name, object id."""


def object_prefix(kind: bytes, size: int) -> bytes:
    """What git hashes before an object's bytes."""
    return b"%s %d\0" % (kind, size)


def object_id(kind: bytes, data: bytes) -> bytes:
    """The id of an object of that kind (``b"blob"``, ``b"tree"``, ``b"commit"``)."""
    digest = hashlib.sha1(object_prefix(kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.digest()


def encode_tree(entries: Iterable[TreeEntry]) -> bytes:
    """A tree's body, in git's order whatever the order given.

    Raises ``ValueError`` for a name that no directory can hold.
    """
    return b"".join([b"%s %s\0%s" % entry for entry in sorted(entries, key=_tree_order)])


def _tree_order(entry: TreeEntry) -> bytes:
    mode, name, _ = entry
    if not name or b"/" in name or b"\0" in name:
        raise ValueError(f"{name!r} is not a name in a directory")
    return name + b"/" if mode == DIRECTORY else name


def encode_commit(tree: bytes, message: bytes, when_ns: int) -> bytes:
    """The body of a commit without parents, by us, at ``when_ns`` (nanoseconds since the epoch; git keeps seconds).

    Raises ``ValueError`` for a NUL in the message: git would not show what follows it.
    """
    if b"\0" in message:
        raise ValueError("a commit message cannot hold a NUL")
    who = b"%s %d +0000" % (_IDENTITY, max(0, when_ns // 1_000_000_000))
    return b"tree %s\nauthor %s\ncommitter %s\n\n%s" % (tree.hex().encode(), who, who, message)


def pack_prefix(kind: bytes, size: int) -> bytes:
    """What stands before an object's deflated bytes in a pack: its kind, and its size, 4 bits and then 7 a byte."""
    byte = _TYPE_BITS[kind] << 4 | size & 15
    size >>= 4
    prefix = bytearray()
    while size:
        prefix.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    prefix.append(byte)
    return bytes(prefix)


def split_prefix(packed: bytes) -> tuple[bytes | None, int, int]:
    """The kind and size that an object's packed bytes begin with, and how many bytes that took.

    The kind is ``None`` for what we never write: tags, and differences from
    another object. Raises ``ValueError`` when it is cut short.
    """
    if not packed:
        raise ValueError("nothing is there")
    size, shift = packed[0] & 15, 4
    length = 1
    while packed[length - 1] & 0x80:
        if length == len(packed):
            raise ValueError("its size is cut short")
        size |= (packed[length] & 0x7F) << shift
        shift += 7
        length += 1
    return _KINDS.get(packed[0] >> 4 & 7), size, length


def pack_header(count: int) -> bytes:
    """The first bytes of a pack of that many objects."""
    return PACK_HEADER.pack(b"PACK", 2, count)
