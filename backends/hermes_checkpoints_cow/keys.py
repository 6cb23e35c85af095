"""Where a content or a directory lies, as the bytes of a key.

A batch is a directory named by 16 hex digits; its ``data`` file has small
contents and directories one after another, and a file of its own, named by a
number, has each larger content.
"""

import struct
from dataclasses import dataclass

from hermes_checkpoints.contract import StoreDamaged

_OWN = struct.Struct(">8scI16s")
_UNREAD = struct.Struct(">8scI")
_PACKED = struct.Struct(">8scQI16s")
DIGEST_SIZE = 16


@dataclass(frozen=True, slots=True)
class Own:
    """A content in a file of its own."""

    batch: bytes
    number: int
    cloned: bool
    digest: bytes = b""
    """Of the bytes (see ``digests``); empty for a large clone, which nobody read when it was stored."""

    def key(self) -> bytes:
        start = self.batch, b"c" if self.cloned else b"f", self.number
        return _OWN.pack(*start, self.digest) if self.digest else _UNREAD.pack(*start)


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes in a batch's ``data`` file."""

    batch: bytes
    offset: int
    length: int
    digest: bytes
    """Of the bytes."""

    def key(self) -> bytes:
        return _PACKED.pack(self.batch, b"d", self.offset, self.length, self.digest)


def parse(key: bytes) -> Own | Packed:
    """Raises ``StoreDamaged`` for what is no key of ours."""
    if len(key) in (_OWN.size, _UNREAD.size):
        batch, kind, number, *digest = (_OWN if len(key) == _OWN.size else _UNREAD).unpack(key)
        if kind in (b"c", b"f"):
            return Own(batch, number, kind == b"c", *digest)
    elif len(key) == _PACKED.size:
        batch, kind, offset, length, digest = _PACKED.unpack(key)
        if kind == b"d":
            return Packed(batch, offset, length, digest)
    raise StoreDamaged("a stored key cannot be understood. Nothing was changed.")
