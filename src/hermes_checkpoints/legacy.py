"""What Hermes left of the time before its shared store: one repository a workspace, put aside in archives."""

import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hermes_checkpoints.contract import CheckpointError, StoreError
from hermes_checkpoints.kit.store.space import space_of

if TYPE_CHECKING:
    from hermes_checkpoints.policy.budget import Archive

_PREFIX = "legacy-"
# Nothing else is ours to remove: a store may be made in a directory where somebody keeps "legacy-app".
_ARCHIVE = re.compile(r"legacy-\d{8}-\d{6}")
_REPOSITORY = re.compile("[0-9a-f]{16}")
WORKSPACE_NOTE = "HERMES_WORKDIR"
"""The file in a repository of that time that names its workspace."""


def move_pre_v2(base: Path) -> None:
    """Put every repository of that time aside, by rename, into one archive named for the time of day.

    Nothing else in ``base`` is touched. Killed half-way, or done by two
    processes at once, it can be repeated. Raises ``StoreError``.
    """
    archive = base / f"{_PREFIX}{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        for repository in list(pre_v2(base)):
            archive.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):  # another process was faster
                repository.rename(archive / repository.name)
        with suppress(OSError):
            archive.rmdir()  # when the other process moved them all
    except OSError as error:
        raise StoreError(f"cannot put old snapshots aside in {archive}: {error.strerror}. Nothing was lost.") from error


def pre_v2(base: Path) -> Iterator[Path]:
    """The repositories of that time that stand where Hermes made them. Raises ``StoreError``."""
    for child in _directories(base):
        if _REPOSITORY.fullmatch(child.name) and all((child / mark).is_file() for mark in ("HEAD", WORKSPACE_NOTE)):
            yield child


def archives(base: Path, *, measure: bool = True) -> "Sequence[Archive]":
    """Every archive, the oldest first: bytes on disk (0 unless measured), and when something was put into it last."""
    from hermes_checkpoints.policy.budget import Archive

    found = []
    for child in _directories(base):
        if _ARCHIVE.fullmatch(child.name):
            with suppress(FileNotFoundError):
                size = space_of(child).real if measure else 0
                found.append(Archive(child, size, child.lstat().st_mtime))
    return sorted(found, key=lambda archive: (archive.mtime, archive.path))


def remove_archives(base: Path, paths: Iterable[Path]) -> None:
    """Remove archives; those that are gone already are passed over.

    Raises ``CheckpointError`` for anything that is no archive of this base,
    symlinks included, before any is removed; ``StoreError`` when one cannot be.
    """
    import shutil  # 3 ms; every command imports this module

    wanted = list(paths)
    for path in wanted:
        if path.parent != base or not path.name.startswith(_PREFIX) or not _is_archive(path, missing=True):
            raise CheckpointError(f"{path} is no archive of old snapshots in {base}. Nothing was removed.")
    for path in wanted:
        try:
            if _is_archive(path):
                shutil.rmtree(path)
        except FileNotFoundError:
            continue  # somebody else removes it, too
        except OSError as error:
            raise StoreError(f"cannot remove {path}: {error.strerror}. What is left is still an archive.") from error


def _is_archive(path: Path, *, missing: bool = False) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode) and _ARCHIVE.fullmatch(path.name) is not None
    except FileNotFoundError:
        return missing


def _directories(base: Path) -> Iterator[Path]:
    try:
        with os.scandir(base) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot read {base}: {error.strerror}. Nothing was changed.") from error
    yield from (base / name for name in names)
