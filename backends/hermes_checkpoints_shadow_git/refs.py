"""The refs: the names that say which snapshots there are."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.store.names import created_name, listed, plain_names
from hermes_checkpoints.kit.store.plain import is_damage, read_plain
from hermes_checkpoints_shadow_git.repository import REFS

_OURS = re.compile("[0-9a-f]{16}-[0-9a-f]{40}")  # the name says what is in it: thousands need not be read
_HEX = frozenset(b"0123456789abcdef")


def every_ref(repository: Path) -> Iterator[tuple[bytes, Path]]:
    """Each ref's object and file, also of refs that somebody made or packed with git by hand.

    Raises ``StoreDamaged`` for anything among the refs that is neither a ref nor a directory.
    """
    _refuse_link(repository / "refs")  # which a walk would follow
    for directory, below, names in os.walk(repository / "refs", onerror=_unlistable):
        for name in (*below, *names):
            path = Path(directory, name)
            if name in below and not _OURS.fullmatch(name):
                _refuse_link(path)
            elif _OURS.fullmatch(name):
                yield bytes.fromhex(name[17:]), path
            elif not name.endswith(".lock"):
                with suppress(FileNotFoundError):  # forgotten since it was listed
                    if (oid := _id_in(_content(path), path)) is not None:
                        yield oid, path
    packed = repository / "packed-refs"
    with suppress(FileNotFoundError):
        for line in _content(packed).splitlines():
            if line[:1] not in (b"#", b"^") and (oid := _id_in(line.partition(b" ")[0], packed)) is not None:
                yield oid, packed


def workspace_refs(repository: Path) -> Iterator[Path]:
    """The directory of each workspace's refs; other files are passed over. Raises ``StoreDamaged`` for a link."""
    for name in sorted(plain_names(repository / REFS)):
        directory = repository / REFS / name
        _refuse_link(directory)
        if directory.is_dir():
            yield directory


def altered_refs(repository: Path) -> Iterator[tuple[Path, str]]:
    """The refs in which there is something else than the id in their name, and that id."""
    for directory in workspace_refs(repository):
        for snapshot, created in listed(directory).items():
            path = directory / created_name(created, snapshot)
            try:
                altered = read_plain(path) != f"{snapshot}\n".encode()
            except FileNotFoundError:
                continue  # forgotten since it was listed
            except OSError as error:
                if not is_damage(error):
                    raise StoreError(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error
                altered = True
            if altered:
                yield path, snapshot


def misnamed_refs(repository: Path) -> Iterator[tuple[Path, str]]:
    """What stands among a workspace's refs under a name that no snapshot has, and the snapshot that it names."""
    for directory in workspace_refs(repository):
        for name in sorted(plain_names(directory)):
            path = directory / name
            if not _OURS.fullmatch(name) and not name.endswith(".lock"):
                with suppress(FileNotFoundError, StoreDamaged):
                    if (oid := _id_in(_content(path), path)) is not None:
                        yield path, oid.hex()


def strays(repository: Path) -> Iterator[Path]:
    """What is among the snapshots' refs and is none: it has no snapshot's name, and there is no id in it."""
    for directory in (repository / REFS, *workspace_refs(repository)):
        for name in sorted(plain_names(directory)):
            path = directory / name
            if _OURS.fullmatch(name) or name.endswith(".lock") or (path.is_dir() and not path.is_symlink()):
                continue
            try:
                _id_in(_content(path), path)
            except FileNotFoundError:
                continue
            except StoreDamaged:
                yield path


def no_refs(repository: Path) -> Iterator[str]:
    """What keeps ``every_ref`` from telling which objects are alive, if anything does, for people."""
    try:
        for _ in every_ref(repository):
            pass
    except StoreDamaged as damage:
        yield str(damage)


def _refuse_link(path: Path) -> None:
    # It would be followed where snapshots are listed, and not where the living are marked.
    if path.is_symlink():
        raise StoreDamaged(f"{path} is a link. Nothing was changed; put what it names in its place.")


def _unlistable(error: OSError) -> None:
    """A directory that cannot be listed must not look like one without snapshots."""
    if not isinstance(error, FileNotFoundError):
        raise StoreError(f"{error.filename} could not be listed: {error.strerror}. Nothing was deleted.") from error


def _content(path: Path) -> bytes:
    try:
        return read_plain(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        kind = StoreDamaged if is_damage(error) else StoreError
        raise kind(f"{path} cannot be read: {error.strerror}. Nothing was changed.") from error


def _id_in(content: bytes, path: Path) -> bytes | None:
    text = content.strip()
    if text.startswith(b"ref: "):
        return None  # another name of a ref that is listed, too
    if len(text) != 40 or not _HEX.issuperset(text):
        raise StoreDamaged(f"{path} is no ref. Nothing was deleted; move it away if it does not belong there.")
    return bytes.fromhex(text.decode())
