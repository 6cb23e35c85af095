"""Starting git so that nothing of the user's machine reaches it, and reading objects through one long-lived process."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import IO, BinaryIO, cast

from hermes_checkpoints.contract import BackendUnusable, StoreDamaged, StoreError
from hermes_checkpoints_shadow_git.objects import object_prefix
from hermes_checkpoints_shadow_git.repository import Repository

_BLOCK = 1 << 20
_SPOOL = 8 << 20  # bytes a stream keeps in memory before it goes to disk

# git in the C locale says one of these when an object, a pack or a ref is not what was stored.
_DAMAGE = ("corrupt", "bad object", "missing", "mismatch", "inflate", "unable to read", "could not read", "broken link")


def environment(repository: Repository) -> dict[str, str]:
    """The caller's environment without any git setting, pointing at our repository."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {
        "GIT_DIR": os.fspath(repository.path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        # git before 2.32 does not know GIT_CONFIG_GLOBAL; no file can lie below /dev/null.
        "HOME": os.devnull,
        "XDG_CONFIG_HOME": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }
    return clean


def _start(repository: Repository, arguments: tuple[str, ...], stderr: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            ["git", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=repository.path,  # a "." in PATH must not find a git that lies in the workspace
            env=environment(repository),
            start_new_session=True,  # no terminal to ask on, and no Ctrl-C meant for the agent
        )
    except OSError as error:
        if not repository.path.is_dir():
            raise StoreError(f"The shadow-git store {repository.path} is not there: {error}.") from error
        if not isinstance(error, FileNotFoundError):
            raise StoreError(f"git could not be started: {error}. Nothing was changed.") from error
        raise BackendUnusable(
            f"git could not be started: {error}. Nothing was changed. "
            f"Install git, or choose another backend with HERMES_CHECKPOINT_BACKEND."
        ) from error


def _failure(what: str, status: int, words: bytes) -> StoreError:
    text = words.decode(errors="replace").strip()
    if status < 0:
        return StoreError(f"{what}: it was ended by signal {-status}. Nothing was changed; try again. {text}".rstrip())
    kind = StoreDamaged if any(word in text.lower() for word in _DAMAGE) else StoreError
    return kind(f"{what} with exit status {status}: {text or 'it gave no reason'}")


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # unsent bytes, and nobody to read them
                pipe.close()


class _GitDied(Exception):
    """The process went away in the middle of a question."""


class ObjectReader:
    """Reads objects through one ``git cat-file --batch``, started at the first question.

    Threads may share it; a forked child starts its own. Every object's bytes are
    checked against its id, which git itself does not do here.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._owner = 0

    def read(self, oid: bytes) -> tuple[str, bytes]:
        """An object's kind and content. Raises ``StoreDamaged`` when it is missing or has other bytes."""
        blocks: list[bytes] = []
        with self._lock:
            kind = self._fetch(oid, blocks.append, blocks.clear)
        return kind, blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def stream(self, oid: bytes) -> BinaryIO:
        """An object's content, at its beginning; beyond 8 MiB it is on disk, in a file without a name.

        Copied first and not handed over as it comes: the caller then never sees
        a byte that is not the stored one, holds no lock, and costs no process a file.
        """
        spool = tempfile.SpooledTemporaryFile(_SPOOL, dir=os.fspath(self._repository.tmp))  # noqa: SIM115 the caller's

        def empty() -> None:
            spool.seek(0)
            spool.truncate()

        try:
            with self._lock:
                self._fetch(oid, spool.write, empty)
            spool.seek(0)
        except OSError as error:
            spool.close()
            raise StoreError(f"{oid.hex()} could not be copied to {self._repository.tmp}: {error}") from error
        except BaseException:
            spool.close()
            raise
        return cast(BinaryIO, spool)

    def close(self) -> None:
        """End the process. Safe to call twice; a later question starts another one."""
        with self._lock:
            self._end()

    def _fetch(self, oid: bytes, write: Callable[[bytes], object], empty: Callable[[], None]) -> str:
        try:
            try:
                return self._ask(oid, write)
            except _GitDied:
                self._end()
                empty()
                return self._ask(oid, write)
        except _GitDied as error:
            status, words = self._end(grace=5)
            what = f"Object {oid.hex()} could not be read from {self._repository.path}: git cat-file ended"
            failure = _failure(what, status, words)
            # With an exit status of its own choosing, it is this object that git could not bear.
            raise (failure if status < 0 else StoreDamaged(str(failure))) from error
        except StoreDamaged:
            raise  # the answer was read to its end
        except BaseException:
            self._end()  # the answer is half read: the rest would be taken for the next one
            raise

    def _ask(self, oid: bytes, write: Callable[[bytes], object]) -> str:
        """Put one question and hand on the whole answer, 1 MiB at a time."""
        if self._process is not None and self._owner != os.getpid():
            self._process = self._words = None  # our parent's, which goes on reading from it
        process = self._process or self._begin()
        source, sink = process.stdout, process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(oid.hex().encode() + b"\n")
            sink.flush()
        except BrokenPipeError as error:
            raise _GitDied from error
        answer = source.readline().split()
        if answer[1:] == [b"missing"]:
            raise StoreDamaged(f"Object {oid.hex()} is missing from {self._repository.path}. Nothing was changed.")
        if len(answer) != 3:
            raise _GitDied
        _, kind, size = answer
        left = int(size)
        digest = hashlib.sha1(object_prefix(kind, left), usedforsecurity=False)
        while left:
            block = source.read(min(left, _BLOCK))
            if not block:
                raise _GitDied
            digest.update(block)
            write(block)
            left -= len(block)
        source.read(1)  # the newline after the content
        if digest.digest() != oid:
            raise StoreDamaged(f"Object {oid.hex()} in {self._repository.path} has other bytes than were stored.")
        return kind.decode()

    def _begin(self) -> subprocess.Popen[bytes]:
        try:
            # Not a pipe: that could fill up and stop git.
            self._words = tempfile.TemporaryFile(dir=self._repository.tmp)  # noqa: SIM115 closed with the process
        except OSError as error:
            raise StoreError(f"No temporary file could be made in {self._repository.tmp}: {error}") from error
        self._process = _start(self._repository, ("cat-file", "--batch"), self._words)
        self._owner = os.getpid()
        return self._process

    def _end(self, grace: float = 0) -> tuple[int, bytes]:
        """Reap the process, killed after ``grace`` seconds; its exit status and last words."""
        process, words = self._process, self._words
        self._process = self._words = None
        status, said = 0, b""
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
            process.kill()  # it only reads; and a forked child may hold its stdin open, so closing that is not enough
            status = process.wait()
            _close_pipes(process)
        if words is not None:
            with words:
                words.seek(0)
                said = words.read()
        return status, said
