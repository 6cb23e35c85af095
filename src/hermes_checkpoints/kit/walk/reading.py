"""Opening what a workspace holds without being led astray or held up."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager

# git reads no larger ones either, by a wide margin; a walk must not load a gigabyte because of its name.
MAX_RULE_FILE = 1024 * 1024
# NONBLOCK: a FIFO put in the file's place must not hang us. NOCTTY: nor a terminal become ours.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


SCRATCH_PREFIX = ".hermes-checkpoints-"
"""What a restore writes beside its target is called so, with 16 hex digits, until it takes the target's name.

The first eight are the restore's token, the others a counter.
"""
_SCRATCH = re.compile(re.escape(SCRATCH_PREFIX) + "[0-9a-f]{16}")


def scratch_name(token: str, number: int) -> str:
    """The name of the ``number``-th thing that the restore with that token writes beside its target."""
    return f"{SCRATCH_PREFIX}{token}{number:08x}"


def is_scratch(name: str) -> bool:
    """Whether a name was left by a restore that was killed: it is ours and no part of any snapshot."""
    return name.startswith(SCRATCH_PREFIX) and _SCRATCH.fullmatch(name) is not None


class Changed(Exception):
    """A name turned into something else while it was looked at."""


def opened(dir_fd: int, name: str) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file, which the caller closes, and its status.

    ``Changed`` when it is (now) anything else, ``OSError`` as usual.
    """
    fd = os.open(name, _FLAGS, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
    except BaseException:
        os.close(fd)
        raise
    if stat.S_ISREG(status.st_mode):
        return fd, status
    os.close(fd)
    raise Changed(name)


@contextmanager
def open_regular(dir_fd: int, name: str) -> Iterator[int]:
    """A descriptor of a regular file for as long as the block lasts. Raises like ``opened``."""
    fd, _ = opened(dir_fd, name)
    try:
        yield fd
    finally:
        os.close(fd)


def read_rule_file(dir_fd: int, name: str) -> bytes | None:
    """The text of an ignore file; ``None`` for a symlink (as git has it), what is too large or cannot be read."""
    try:
        with open_regular(dir_fd, name) as fd, os.fdopen(os.dup(fd), "rb") as file:
            text = file.read(MAX_RULE_FILE + 1)
    except (OSError, Changed):
        return None
    return text if len(text) <= MAX_RULE_FILE else None


def status_of(dir_fd: int, name: str) -> os.stat_result | None:
    """``lstat`` of a name; ``None`` when nothing is there."""
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
