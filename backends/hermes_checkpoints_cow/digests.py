"""What contents were when they were stored: how damage is told from what was meant.

A key has the digest of all that was read when it was stored. A large clone was
not read: what it held when somebody first did stands in its batch, in a file
``digests``, a line each and their own digest last.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints.kit import publish, sync_path
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints_cow.copying import BLOCK
from hermes_checkpoints_cow.keys import DIGEST_SIZE
from hermes_checkpoints_cow.opening import unreadable

DIGESTS = "digests"
_SEAL = b"sha256 "


class Digest:
    """The digest of bytes that come one after another: the beginning of their sha256, which processors have."""

    def __init__(self) -> None:
        self._sha256 = sha256()
        self.update = self._sha256.update

    def digest(self) -> bytes:
        return self._sha256.digest()[:DIGEST_SIZE]


def digest_of(data: bytes | memoryview) -> bytes:
    return sha256(data).digest()[:DIGEST_SIZE]


def digest_of_file(fd: int, pause: Callable[[], None] = lambda: None) -> bytes:
    """Of all that a file holds, wherever its offset is. ``pause`` is called after each block, and may raise."""
    digest = Digest()
    offset = 0
    while block := os.pread(fd, BLOCK, offset):
        digest.update(block)
        offset += len(block)
        pause()
    return digest.digest()


def recorded(batch: Path) -> dict[int, bytes]:
    """The digests of large clones that a batch's ``digests`` has, by number. Raises ``StoreDamaged``."""
    text = _text(batch)
    body, _, seal = text.rpartition(_SEAL)
    if text and seal != _seal(batch, body):
        raise StoreDamaged(f"{batch / DIGESTS} has other bytes than were written. Nothing was changed.")
    return dict(_lines(body))


def legible(batch: Path) -> dict[int, bytes]:
    """What can be read in a ``digests`` that is damaged; any of it may be wrong."""
    return dict(_lines(_text(batch)))


def record(batch: Path, digests: Mapping[int, bytes], scratch: Path) -> None:
    """Replace a batch's ``digests``, durably. Raises ``StoreError`` or ``OSError`` with the old one in place."""
    if not digests:
        (batch / DIGESTS).unlink(missing_ok=True)
        sync_path(batch)
        return
    body = b"".join(b"%d %s\n" % (number, digests[number].hex().encode()) for number in sorted(digests))
    publish(batch / DIGESTS, body + _SEAL + _seal(batch, body), scratch=scratch)


def _seal(batch: Path, body: bytes) -> bytes:
    # With the batch's name: another batch's digests must not vouch for what is in this one.
    return digest_of(f"{batch.name}\n".encode() + body).hex().encode() + b"\n"


def _text(batch: Path) -> bytes:
    try:
        return read_plain(batch / DIGESTS)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        raise unreadable(batch / DIGESTS, error) from error


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    for line in body.splitlines():
        number, _, digest = line.partition(b" ")
        if number.isdigit() and len(digest) == 2 * DIGEST_SIZE:
            try:
                yield int(number), bytes.fromhex(digest.decode("ascii"))
            except ValueError:
                continue
