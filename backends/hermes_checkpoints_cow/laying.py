"""Many new files at once, of stored contents: what a restore of whole directories asks for.

Like ``place_content`` for each, in fewer calls: a content that has a digest is
read once, is checked, and is cloned by the same descriptor; where it cannot be
cloned the bytes that were read are written.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial

from hermes_checkpoints.contract import NewFile
from hermes_checkpoints.kit.store.plain import open_plain
from hermes_checkpoints.kit.write.making import make_file, workspace_errors
from hermes_checkpoints_cow.clone_linux import share
from hermes_checkpoints_cow.cloning import NOT_HERE, place_content
from hermes_checkpoints_cow.copying import BLOCK
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.opening import unreadable
from hermes_checkpoints_cow.vault import Vault

# Files that the disk is asked for at once: the numbers of those of one directory are near each other.
_AHEAD = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def laid(vault: Vault, files: Iterable[NewFile]) -> Iterator[int]:
    """``Backend.materialise_all``."""
    batches, asked = os.fspath(vault.batches), set[tuple[bytes, int]]()
    for file in files:
        where = parse(file.entry.key)
        if isinstance(where, Packed):
            yield _made(file, vault.packed(where))
        elif where.digest and file.entry.size <= BLOCK and sys.platform == "linux":
            yield _cloned(vault, where, f"{batches}/{where.batch.hex()}", file, asked)
        else:
            with vault.intact(file.entry) as stored, workspace_errors(file.name):
                place_content(stored, file.dir_fd, file.name, mode=0o600)
                made = os.open(file.name, _READ, dir_fd=file.dir_fd)
            yield made


def _cloned(vault: Vault, where: Own, batch: str, file: NewFile, asked: set[tuple[bytes, int]]) -> int:
    path = f"{batch}/{where.number}"
    try:
        stored = open_plain(path)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        try:
            data = _in_memory(stored, file.entry.size)
            if data is None:
                group = where.number // _AHEAD
                if (where.batch, group) not in asked:
                    asked.add((where.batch, group))
                    _ask_for(batch, range(group * _AHEAD, (group + 1) * _AHEAD))
                data = os.pread(stored, file.entry.size + 1, 0)
        except OSError as error:
            raise unreadable(path, error) from error
        vault.check(where, data, file.entry.size)
        return _made(file, data, stored)
    finally:
        os.close(stored)


def _in_memory(fd: int, size: int) -> bytes | None:
    """The ``size`` bytes that a file holds; ``None`` when the disk has to be asked, or it is another size."""
    data = bytearray(size + 1)
    try:
        read = os.preadv(fd, [data], 0, os.RWF_NOWAIT)
    except OSError:
        return None
    return bytes(data[:read]) if read == size else None


def _ask_for(batch: str, numbers: range) -> None:
    """Have the disk begin to read files of a batch: a clone's content is in memory only once somebody has read it."""
    for number in numbers:
        with suppress(OSError):
            fd = open_plain(f"{batch}/{number}")
            try:
                os.posix_fadvise(fd, 0, BLOCK, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(fd)


def _made(file: NewFile, data: bytes, clone_of: int | None = None) -> int:
    """A new file with these bytes: those that another one holds, of which it is to be a clone."""
    entry, dir_fd, name = file
    mode = entry.mode & 0o777 | 0o200
    with workspace_errors(name):
        if clone_of is None or not data:
            return make_file(dir_fd, name, data, mode)
        return make_file(dir_fd, name, data, mode, partial(_clone, clone_of))


def _clone(source: int, target: int) -> bool:
    try:
        share(source, target)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        return False
    return True
