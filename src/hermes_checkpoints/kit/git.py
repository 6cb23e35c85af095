"""Asking git about a repository, so that nothing of the user's machine reaches the answer.

Most takes start no git, and do not pay for what is needed to start one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeVar, cast

from hermes_checkpoints.contract import BackendUnusable, StoreBusy, StoreDamaged, StoreError

if TYPE_CHECKING:
    import subprocess

Answer = TypeVar("Answer")
_ID_SIZE = 20
_BLOCK = 1 << 20
_SPOOL = 8 << 20  # bytes of a content kept in memory before it goes to disk
# Questions put before the answers are read: both directions fit into a pipe's 64 KiB.
_AT_ONCE = 500


class Size(NamedTuple):
    """Bytes of an object: its content, and what it takes in the repository."""

    content: int
    stored: int


def decode_tree(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Mode, name and object id of each entry of a tree, in its order. Raises ``StoreDamaged`` when it is cut short."""
    entries = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position)
        end = data.find(b"\0", space)
        after = end + 1 + _ID_SIZE
        if space < 0 or end < 0 or after > len(data):
            raise StoreDamaged("A stored directory listing is cut short. Nothing was changed. `git fsck` tells more.")
        entries.append((data[position:space], data[space + 1 : end], data[end + 1 : after]))
        position = after
    return entries


def environment(store: Path) -> dict[str, str]:
    """The caller's environment without any git setting, pointing at the repository."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return clean | {
        "GIT_DIR": os.fspath(store),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "HOME": os.devnull,  # for git before 2.32, which does not know GIT_CONFIG_GLOBAL
        "XDG_CONFIG_HOME": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }


def start(store: Path, arguments: Sequence[str], stderr: int) -> subprocess.Popen[bytes]:
    """A git process on a repository, without a terminal, and out of reach of Ctrl-C.

    Raises ``BackendUnusable`` without git.
    """
    import subprocess

    try:
        return subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=store,  # a "." in PATH must not find a git that lies in the workspace
            env=environment(store),
            start_new_session=True,
        )
    except OSError as error:
        if isinstance(error, FileNotFoundError) and store.is_dir():
            raise BackendUnusable(
                f"git was not found, and {store} cannot be read without it. Nothing was changed. Install git."
            ) from error
        raise StoreError(f"git could not be started in {store}: {error}. Nothing was changed.") from error


def run(store: Path, *arguments: str, until: float = math.inf) -> bytes:
    """What ``git arguments…`` prints. Raises ``StoreBusy`` when it has not ended at ``until``, else ``StoreError``."""
    import subprocess

    process = start(store, arguments, subprocess.PIPE)
    try:
        seconds = None if until == math.inf else max(0.0, until - time.monotonic())
        output, words = process.communicate(timeout=seconds)
    except BaseException as error:
        process.terminate()  # not killed: it removes its temporary files
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise StoreBusy(f"git {arguments[0]} in {store} needs longer than it was given.") from error
        raise
    if process.returncode:
        said = words.decode(errors="replace").strip()
        raise StoreError(f"git {arguments[0]} failed in {store}: {said or f'exit status {process.returncode}'}")
    return output


class _Died(Exception):
    """The process went away in the middle of a question."""


class _Pipe:
    """One ``git cat-file`` process, started at the first question; threads may share it, a forked child has its own."""

    def __init__(self, store: Path, argument: str) -> None:
        self._store = store
        self._argument = argument
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def asked(self, questions: bytes) -> Iterator[BinaryIO]:
        """Put questions; the answers, which are to be read to their end."""
        with self._lock:
            if self._process is not None and self._owner != os.getpid():
                self._process = None  # our parent's, which goes on reading from it
            if self._process is None:
                from subprocess import DEVNULL

                self._process = start(self._store, ("cat-file", self._argument), DEVNULL)
                self._owner = os.getpid()
            source, sink = self._process.stdout, self._process.stdin
            assert source is not None
            assert sink is not None
            try:
                sink.write(questions)
                sink.flush()
                yield cast(BinaryIO, source)
            except StoreDamaged:
                raise  # the answer was read to its end
            except BaseException as error:
                self._end()  # what is left of the answer would be taken for the next one
                if isinstance(error, BrokenPipeError):
                    raise _Died from error
                raise

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()

    def close(self) -> None:
        with self._lock:
            self._end()


class Objects:
    """Reads objects; every content is checked against its id, which git itself does not do here."""

    def __init__(self, store: Path, spool: Path | None = None) -> None:
        """``spool``: where large contents are copied to, in files without a name; else where temporary files go."""
        self._store = store
        self._spool = os.fspath(spool) if spool is not None else None
        self._contents = _Pipe(store, "--batch")
        self._sizes = _Pipe(store, "--batch-check=%(objectsize) %(objectsize:disk)")

    def read(self, oid: bytes) -> tuple[str, bytes]:
        """An object's kind and content. Raises ``StoreDamaged`` when it is missing or has other bytes."""
        blocks: list[bytes] = []
        kind = self._fetch(oid, blocks.append, blocks.clear)
        return kind, b"".join(blocks)

    def stream(self, oid: bytes) -> BinaryIO:
        """An object's content, whole and checked before its first byte is handed out."""
        import tempfile

        spool = tempfile.SpooledTemporaryFile(_SPOOL, dir=self._spool)  # noqa: SIM115 the caller's

        def empty() -> None:
            spool.seek(0)
            spool.truncate()

        try:
            self._fetch(oid, spool.write, empty)
            spool.seek(0)
        except OSError as error:
            spool.close()
            raise StoreError(f"{oid.hex()} could not be copied to a temporary file: {error}") from error
        except BaseException:
            spool.close()
            raise
        return cast(BinaryIO, spool)

    def sizes(self, oids: Sequence[bytes]) -> list[Size | None]:
        """The sizes of objects, without reading them; ``None`` for one that is missing."""
        found: list[Size | None] = []
        for begin in range(0, len(oids), _AT_ONCE):
            some = oids[begin : begin + _AT_ONCE]
            found += self._retried(functools.partial(self._ask_sizes, some), some[0])
        return found

    def _ask_sizes(self, oids: Sequence[bytes]) -> list[Size | None]:
        found: list[Size | None] = []
        with self._sizes.asked(b"".join(oid.hex().encode() + b"\n" for oid in oids)) as answers:
            for _ in oids:
                line = answers.readline()
                if not line:
                    raise _Died
                first, second = line.split()
                found.append(Size(int(first), int(second)) if second.isdigit() else None)
        return found

    def _fetch(self, oid: bytes, write: Callable[[bytes], object], empty: Callable[[], None]) -> str:
        def ask() -> str:
            empty()
            return self._ask(oid, write)

        return self._retried(ask, oid)

    def _retried(self, ask: Callable[[], Answer], oid: bytes) -> Answer:
        try:
            try:
                return ask()
            except _Died:
                return ask()  # somebody ended the process; a second time, it is this object that git cannot bear
        except _Died as error:
            raise StoreDamaged(f"git cannot read object {oid.hex()} in {self._store}. Nothing was changed.") from error

    def _ask(self, oid: bytes, write: Callable[[bytes], object]) -> str:
        with self._contents.asked(oid.hex().encode() + b"\n") as answer:
            words = answer.readline().split()
            if words[1:] == [b"missing"]:
                raise StoreDamaged(f"object {oid.hex()} is missing from {self._store}. Nothing was changed.")
            if len(words) != 3:
                raise _Died
            kind, left = words[1], int(words[2])
            digest = hashlib.sha1(b"%s %d\0" % (kind, left), usedforsecurity=False)
            while left:
                block = answer.read(min(left, _BLOCK))
                if not block:
                    raise _Died
                digest.update(block)
                write(block)
                left -= len(block)
            answer.read(1)  # the newline after the content
            if digest.digest() != oid:
                raise StoreDamaged(f"object {oid.hex()} in {self._store} has other bytes than were stored.")
        return kind.decode()

    def close(self) -> None:
        """End the processes. Safe to call twice; a later question starts others."""
        self._contents.close()
        self._sizes.close()
