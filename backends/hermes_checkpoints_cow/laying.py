"""Many new files at once, of stored contents: what a restore of whole directories asks for.

Like ``place_content`` for each, in fewer calls: a content that has a digest is
read once, is checked, and is cloned by the same descriptor; where it cannot be
cloned the bytes that were read are written.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial

from hermes_checkpoints.contract import NewFile
from hermes_checkpoints.kit.write.making import make_file, workspace_errors
from hermes_checkpoints_cow.clone_linux import share
from hermes_checkpoints_cow.cloning import NOT_HERE, place_content
from hermes_checkpoints_cow.copying import BLOCK
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.reading import Reading
from hermes_checkpoints_cow.vault import Vault

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def laid(vault: Vault, files: Iterable[NewFile]) -> Iterator[int]:
    """``Backend.materialise_all``."""
    reading = Reading(vault)
    try:
        for file in files:
            where = parse(file.entry.key)
            if isinstance(where, Packed):
                yield _made(file, reading.packed(where))
            elif where.digest and file.entry.size <= BLOCK and sys.platform == "linux":
                yield _cloned(reading, where, file)
            else:
                with vault.intact(file.entry) as stored, workspace_errors(file.name):
                    place_content(stored, file.dir_fd, file.name, mode=0o600)
                    made = os.open(file.name, _READ, dir_fd=file.dir_fd)
                yield made
    finally:
        reading.close()


def _cloned(reading: Reading, where: Own, file: NewFile) -> int:
    stored, data = reading.opened(where, file.entry.size)
    try:
        return _made(file, data, stored)
    finally:
        os.close(stored)


def _made(file: NewFile, data: bytes | memoryview, clone_of: int | None = None) -> int:
    """A new file with these bytes: those that another one holds, of which it is to be a clone."""
    entry, dir_fd, name = file
    mode = entry.mode & 0o777 | 0o200
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
