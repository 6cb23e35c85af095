"""Our own bare git repository: laid out by Python, so that creating or opening it starts no process."""

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync_path

REFS = "refs/hermes-checkpoints"
"""Where the snapshots' refs are, a directory for each workspace."""

# No commit is ever put there: our snapshots have refs of their own.
_HEAD = b"ref: refs/heads/unborn\n"

# Comes before every .gitattributes in a tree, so that none of them changes a byte that plain git gives out.
# `-text` says "no line ends to convert", whatever core.autocrlf says; `!x` puts x back to unspecified, which is the
# only form that `working-tree-encoding` takes ("-working-tree-encoding" makes git die) and leaves diffs readable.
_ATTRIBUTES = b"""\
* -text !ident !filter !working-tree-encoding !export-ignore !export-subst
* !diff !merge !whitespace !conflict-marker-size !delta
"""

# What fsck calls an error in a project is content like any other in a snapshot of one. Only ids that git 2.39 knows:
# `git fsck` dies at an id that it does not know.
_FSCK_IGNORED = (
    "hasDotgit",
    "gitmodulesBlob",
    "gitmodulesLarge",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesSymlink",
    "gitmodulesUpdate",
    "gitmodulesUrl",
    "gitattributesBlob",
    "gitattributesLarge",
    "gitattributesLineLength",
    "gitattributesSymlink",
    "gitignoreSymlink",
    "mailmapSymlink",
)

# pack.window and pack.depth: deltas would make one turn's content depend on another's, and cost the time we save.
# packSizeLimit: a repack by hand must not make packs that cannot be rewritten without much room.
# protectNTFS: a file may be called `git~1` here, and git would refuse to check it out.
_CONFIG = """\
# Written by hermes-checkpoints, and written again at every opening: changes made here are lost.
[core]
	repositoryformatversion = 0
	bare = true
	filemode = true
	symlinks = true
	ignorecase = false
	precomposeunicode = false
	protectNTFS = false
	logallrefupdates = false
	autocrlf = false
	safecrlf = false
	attributesFile = /dev/null
	hooksPath = /dev/null
	fsmonitor = false
	fsync = all
[gc]
	auto = 0
	autoDetach = false
	packRefs = false
[maintenance]
	auto = false
[pack]
	window = 0
	depth = 0
	packSizeLimit = 32m
[repack]
	writeBitmaps = false
[transfer]
	fsckObjects = false
[fsck]
""" + "".join(f"\t{name} = ignore\n" for name in _FSCK_IGNORED)

# tmp/reclaiming and the lock are there beforehand: a full disk has no room for them when space is to be given back.
_DIRECTORIES = ("", "tmp", "tmp/reclaiming", "info", "objects", "objects/info", "objects/pack", "refs")
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_FILES = {"config": _CONFIG.encode(), "info/attributes": _ATTRIBUTES, "HEAD": _HEAD}


@dataclass(frozen=True, slots=True)
class Repository:
    """A bare repository that git accepts; make one with :meth:`open`."""

    path: Path

    @property
    def tmp(self) -> Path:
        """Where files are made before they are renamed into place."""
        return self.path / "tmp"

    @property
    def reclaim_lock(self) -> Path:
        """The lock file of whoever gives space back."""
        return self.path / "reclaiming"

    @property
    def quarantine(self) -> Path:
        """Where what was damaged is kept; made when it is needed."""
        return self.path / "quarantine"

    def put_aside(self, *paths: Path, prefix: str = "") -> Path:
        """Move things that are there to the quarantine, durably, where no name is used twice; that directory.

        Raises ``OSError`` and ``StoreError``.
        """
        quarantine = private_directory(self.quarantine)
        token = os.urandom(4).hex()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                path.rename(quarantine / f"{prefix}{path.stem}-{token}{path.suffix}")
        sync_directory(quarantine)
        for directory in {path.parent for path in paths}:
            sync_directory(directory)
        return quarantine

    @property
    def packs(self) -> Path:
        """Where git looks for packs and their indexes."""
        return self.path / "objects" / "pack"

    @classmethod
    def open(cls, path: Path) -> Self:
        """The repository at ``path``, created if absent, whatever is missing or altered put back.

        Idempotent; two processes at once write the same bytes by rename.
        Touches no object and no ref. A repository on a read-only filesystem is
        opened as it is, for reading. Raises ``StoreError``.
        """
        repository = cls(path)
        try:
            repository._lay_out()
        except (OSError, StoreError) as error:
            number = getattr(error if isinstance(error, OSError) else error.__cause__, "errno", None)
            if number in _READ_ONLY and (path / "objects").is_dir():
                return repository  # whoever wants to write is told then
            if isinstance(error, StoreError):
                raise
            raise StoreError(
                f"The shadow-git store {path} could not be opened: {error}. No snapshot was changed. "
                f"Check that the directory is writable and its disk is not full."
            ) from error
        return repository

    def _lay_out(self) -> None:
        for name in _DIRECTORIES:
            _make_directory(self.path / name)
        for name, content in _FILES.items():
            self._put(name, content)
        if not self.reclaim_lock.exists():
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self.reclaim_lock, flags, 0o600))

    def _put(self, name: str, content: bytes) -> None:
        """Make the file hold ``content``.

        Not synced: no snapshot leans on it, and what a power cut takes of it the
        next opening puts back.
        """
        target = self.path / name
        with contextlib.suppress(FileNotFoundError):
            if read_plain(target) == content:
                return
        publish(target, content, scratch=self.tmp, durable=False)


class TemporaryFile:
    """A file that becomes part of the store by rename; its owner may read it, nobody may write it.

    Raises ``StoreError`` naming its path.
    """

    def __init__(self, directory: Path, prefix: str) -> None:
        self.path = os.fspath(directory)
        try:
            _make_directory(directory)
            self.path = os.path.join(directory, f"{prefix}{os.urandom(8).hex()}")
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._file = os.fdopen(handle, "wb", buffering=1 << 20)
            os.fchmod(handle, 0o400)
        except OSError as error:
            raise self._failure(error) from error

    def write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error

    def sync(self) -> None:
        """After closing: the disk may have worked on it meanwhile."""
        try:
            sync_path(Path(self.path))
        except OSError as error:
            raise self._failure(error) from error

    def publish(self, target: Path) -> None:
        try:
            os.rename(self.path, target)
        except OSError as error:
            raise self._failure(error) from error

    def remove(self) -> None:
        """Whatever state it is in, also when it is gone."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _failure(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path} could not be written: {error}. No snapshot was taken, none was changed.")


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(0o700)  # the umask may have taken our own bits


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the medium. Raises ``StoreError``."""
    try:
        sync_path(path)
    except OSError as error:
        raise StoreError(f"{path} could not be brought to disk: {error}") from error
