"""Putting back what damage took, exactly as it was stored or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Entry, Mended, Mending, Progress, StoreDamaged, StoreError
from hermes_checkpoints.kit import private_directory, sync, sync_path
from hermes_checkpoints.kit.store.plain import is_plain
from hermes_checkpoints.kit.store.scratch import clean_scratch
from hermes_checkpoints.kit.write.making import write_new_file
from hermes_checkpoints_cow.cloning import place_content
from hermes_checkpoints_cow.digests import DIGESTS, digest_of, digest_of_file, legible, record, recorded
from hermes_checkpoints_cow.holes import alone, writing
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.listing import QUARANTINE
from hermes_checkpoints_cow.opening import opened
from hermes_checkpoints_cow.vault import Vault


def put_back(vault: Vault, entry: Entry, content: BinaryIO, *, scratch: Path, dry_run: bool) -> bool:
    """Store bytes again, durably, where a key says that they were; ``False``, with nothing stored, for other bytes.

    ``False`` also for a large clone of which no digest is known. ``scratch`` is
    the caller's alone. Killed at any moment, it can be repeated. Raises ``OSError``.
    """
    where = parse(entry.key)
    if isinstance(where, Packed):
        data = content.read(where.length + 1)
        if digest_of(data) != where.digest:
            return False
        if not dry_run:
            _write_range(vault, where, data)
        return True
    known = vault.known(where)
    if not known or digest_of_content(content) != known:
        return False
    if dry_run:
        return True
    beside = clean_scratch(scratch) / str(where.number)
    try:
        _place(content, beside)
        with opened(beside) as fd:
            # Looked at again: somebody may be writing to the content.
            if os.fstat(fd).st_size != entry.size or digest_of_file(fd) != known:
                return False
            sync(fd)
        directory = _directory(vault, where)
        _make_way(directory / beside.name, _quarantine(vault))
        beside.rename(directory / beside.name)
        sync_path(directory)
    finally:
        beside.unlink(missing_ok=True)
    return True


def _place(content: BinaryIO, target: Path) -> None:
    """A clone of an open file where that is possible."""
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        source = _descriptor(content)
        if source is None:
            write_new_file(directory, target.name, content, 0o400)
        else:
            place_content(source, directory, target.name, mode=0o400)
    finally:
        os.close(directory)


def digest_of_content(content: BinaryIO) -> bytes:
    """Of all of a content, which can be read from its beginning then."""
    fd = _descriptor(content)
    if fd is not None:
        return digest_of_file(fd)
    digest = digest_of(content.read())
    content.seek(0)
    return digest


def _descriptor(content: BinaryIO) -> int | None:
    try:
        fd = content.fileno()
    except (AttributeError, OSError):
        return None
    return fd if stat.S_ISREG(os.fstat(fd).st_mode) and not content.tell() else None


def _directory(vault: Vault, where: Own | Packed) -> Path:
    """A batch's directory, made again when it is gone. Raises ``StoreError`` when it lies elsewhere."""
    directory = vault.batch(where)
    if directory.is_symlink() and directory.is_dir():
        raise StoreError(f"{directory} is a link. Nothing was changed; put the directory back in its place.")
    if not directory.is_dir():
        if os.path.lexists(directory):
            put_aside(directory, _quarantine(vault))
        directory.mkdir(mode=0o700)
        sync_path(vault.batches)
    return directory


def _make_way(path: Path, quarantine: Path) -> None:
    """Put aside what stands in a stored file's place and is no file."""
    if not is_plain(path):
        put_aside(path, quarantine)


def _quarantine(vault: Vault) -> Path:
    return vault.batches.parent / QUARANTINE / vault.batches.name


def _write_range(vault: Vault, where: Packed, data: bytes) -> None:
    """In the place itself: its neighbours are others' contents, and what is overwritten is known to be damaged."""
    directory = _directory(vault, where)
    path = vault.path(where)
    _make_way(path, _quarantine(vault))
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400))
    with writing(path) as fd, alone(fd):
        done = 0
        while done < len(data):
            done += os.pwrite(fd, memoryview(data)[done:], where.offset + done)
        sync(fd)
    sync_path(directory)


def put_aside(path: Path, quarantine: Path) -> Path:
    """Move something out of the way, durably, under a name of its own; where it is now.

    Raises ``OSError``, ``StoreError``.
    """
    kept = private_directory(quarantine) / f"{path.name}-{os.urandom(4).hex()}"
    sync_path(quarantine.parent)
    path.rename(kept)
    sync_path(kept.parent)
    sync_path(path.parent)
    return kept


def rebuilt(home: Path, progress: Progress, *, dry_run: bool) -> Iterator[Mended]:
    """Make damaged files of digests anew: of a digest that the content still has, both are proved.

    The others are dropped; those contents are taken as they are when they are
    next verified.
    """
    for number, directory in enumerate(sorted((home / "batches").iterdir())):
        progress(number)
        try:
            recorded(directory)
        except StoreDamaged:
            proved = _proved(directory)
            if not dry_run:
                _make_way(directory / DIGESTS, home / QUARANTINE / "batches")
                record(directory, proved, home / "trash")
            how = f"{len(proved)} of its digests are those of contents; other large contents of the batch are taken"
            yield Mended(Mending.REBUILT, "", "", f"{directory / DIGESTS}: {how} as they are")


def _proved(directory: Path) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    try:
        claimed = legible(directory)
    except StoreDamaged:
        return found
    for number, digest in claimed.items():
        try:
            with opened(directory / str(number)) as fd:
                if digest_of_file(fd) == digest:
                    found[number] = digest
        except OSError:
            continue
    return found
