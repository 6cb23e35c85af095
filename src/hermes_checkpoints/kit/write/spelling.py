"""Directories that do not tell names apart: ext4 with casefold, APFS. One entry there has many spellings."""

import os
import unicodedata
from contextlib import suppress

from hermes_checkpoints.contract import WorkspaceError
from hermes_checkpoints.kit.walk.reading import is_scratch
from hermes_checkpoints.kit.write.swapping import renames


def fold(path: str) -> str:
    """Equal for paths that some filesystem may take for one: letters' case and Unicode's compositions do not count."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def other_spelling(dir_fd: int, name: str) -> str | None:
    """How a name that is there is really spelled; ``None`` when just so."""
    names = os.listdir(dir_fd)
    if name in names:
        return None
    return next((listed for listed in names if fold(listed) == fold(name)), None)


def respell(dir_fd: int, old: str, new: str, note: str, aside: str) -> None:
    """Rename an entry to another spelling of its own name.

    Linux takes such a rename for one onto itself and does nothing; the entry
    then has to go by way of ``aside``. A symlink called ``note`` says meanwhile
    what its name was, so that ``put_back`` can give it back after a kill.
    """
    os.rename(old, new, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    if new in os.listdir(dir_fd):
        return
    os.symlink(f"{aside}/{old}", note, dir_fd=dir_fd)
    try:
        renames().rename_new(dir_fd, old, aside)
        try:
            renames().rename_new(dir_fd, aside, new)
        except BaseException:
            renames().rename_new(dir_fd, aside, old)
            raise
    except FileExistsError as error:
        raise WorkspaceError(f"{old!r} could not be renamed: somebody else uses the name now") from error
    finally:
        put_back(dir_fd, note)


def put_back(dir_fd: int, note: str) -> None:
    """Finish with a note: what is still aside gets its old name back, if that is free. Else both stay."""
    with suppress(OSError):
        aside, _, old = os.readlink(note, dir_fd=dir_fd).partition("/")
        if not is_scratch(aside) or old in ("", ".", "..") or "/" in old:
            return
        with suppress(FileNotFoundError):
            renames().rename_new(dir_fd, aside, old)
        os.unlink(note, dir_fd=dir_fd)
