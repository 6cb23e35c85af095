"""What one of git's trees says, as the entries of a directory."""

import os
from collections.abc import Iterator

from hermes_checkpoints.contract import Entry, Kind, Reason, StoreDamaged
from hermes_checkpoints.kit.git import Objects, decode_tree

_LINK = 0o120000
_REPOSITORY = 0o160000
_TREE = 0o040000
_FILE = 0o100000
_TYPE = 0o170000
# As git checks them out; it stores no more than whether the owner may execute.
_PLAIN, _EXECUTABLE, DIRECTORY, _ANY = 0o644, 0o755, 0o755, 0o777


def entries_of(objects: Objects, tree: bytes) -> dict[str, Entry]:
    """The entries of a directory. Raises ``StoreDamaged``.

    A repository inside the workspace, of which Hermes stores a commit's id and
    no file, was left out.
    """
    kind, data = objects.read(tree)
    if kind != "tree":
        raise StoreDamaged(f"object {tree.hex()} is a {kind} and no directory. Nothing was changed.")
    rows = list(_rows(tree, data))
    files = [oid for mode, _, oid in rows if mode & _TYPE == _FILE]
    sizes = dict(zip(files, objects.sizes(files), strict=True))
    found = {}
    for mode, name, oid in rows:
        if mode & _TYPE == _REPOSITORY or name.lower() == b".git":
            entry = Entry.left_out(Reason.VERSION_CONTROL)
        elif mode & _TYPE == _TREE:
            entry = Entry(Kind.DIR, DIRECTORY, key=oid)
        elif mode & _TYPE == _LINK:
            entry = Entry(Kind.LINK, _ANY, key=objects.read(oid)[1])
        elif mode & _TYPE == _FILE:
            size = sizes[oid]  # of what is missing, reading says so
            entry = Entry(Kind.FILE, _EXECUTABLE if mode & 0o100 else _PLAIN, size=size.content if size else 0, key=oid)
        else:
            raise StoreDamaged(f"directory {tree.hex()} has an entry of the mode {mode:o}. Nothing was changed.")
        found[os.fsdecode(name)] = entry
    return found


def _rows(tree: bytes, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Mode, name and object id of each entry."""
    for mode, name, oid in decode_tree(data):
        if not mode.isdigit() or not set(mode) <= set(b"01234567"):
            raise StoreDamaged(f"directory {tree.hex()} cannot be understood. Nothing was changed.")
        yield int(mode, 8), name, oid
