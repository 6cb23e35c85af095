"""The version of a backend's part of the store, written once and checked at every opening."""

from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError, StoreRefused
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish

FORMAT_FILE = "hermes-checkpoints-format"


def open_format(home: Path, version: int) -> None:
    """Make ``home`` a private directory of that format version, or find that it is one.

    Raises ``StoreRefused`` for another user's directory or a version we do not
    know, and ``StoreDamaged`` for what is no version, with nothing touched.
    """
    private_directory(home)
    mark = home / FORMAT_FILE
    try:
        found = read_plain(mark).decode("ascii").strip()
    except FileNotFoundError:
        publish(mark, f"{version}\n".encode(), scratch=home)
        return
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {mark}: {error}. Nothing was changed.") from error
    if not found.isdecimal():
        raise StoreDamaged(
            f"{mark} holds {found!r}, which is no version. Nothing was touched; if this version made the store, "
            f"write {version} into that file."
        )
    if found != str(version):
        raise StoreRefused(
            f"{home} has format {found!r}, and this version knows {version}. "
            "Nothing was touched; use the version that wrote it, or another store (--store)."
        )
