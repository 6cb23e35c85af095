"""The stored form of a directory and of a snapshot's header: JSON that another program can read.

A node is a JSON array of entries sorted by the bytes of their names. An entry
is ``[kind, name, mode, mtime_ns, size, key]`` and, where there are any, an
object of extended attributes. ``kind`` is the letter of :class:`Kind`; ``name``
has each byte that is not UTF-8 as a lone surrogate (PEP 383); ``key`` is hex, a
link's text (escaped like a name) or the reason why something was left out;
attribute values are base64. Documented for readers in each backend's FORMAT.md.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from hermes_checkpoints.contract import Entry, Kind, Note, Place, Restoring, Snapshot, StoreDamaged, StoreRefused
from hermes_checkpoints.kit.walk.attributes import Xattrs

FORMAT = 1
Listed = tuple[str, str, int, bytes]
"""A snapshot as a store lists it: its id, the workspace's id and ``created_ns`` that it stands under, its header.

No bytes for a header that is damaged.
"""
_KINDS = {kind.value: kind for kind in Kind}
# Members of an enumeration are slow to get at (0.1 us, their values 0.2), and a first snapshot asks for each file.
_FILE, _DIR = Kind.FILE, Kind.DIR


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def encode_node(entries: Mapping[str, Entry]) -> bytes:
    """The bytes of a directory; the same entries give the same bytes everywhere."""
    rows = []
    for raw, entry in sorted([(os.fsencode(name), entry) for name, entry in entries.items()]):
        kind, mode, mtime_ns, size, key, xattrs = entry
        text = key.hex() if kind is _FILE or kind is _DIR else _text(key)
        row: list[object] = [kind._value_, _text(raw), mode, mtime_ns, size, text]
        if xattrs:
            row.append(_encode_xattrs(xattrs))
        rows.append(row)
    return json.dumps(rows, separators=(",", ":")).encode()


def decode_node(data: bytes) -> dict[str, Entry]:
    """The entries of a directory, in name order. Raises ``StoreDamaged``."""
    try:
        entries = {}
        for letter, name, mode, mtime_ns, size, key, *rest in json.loads(data):
            kind = _KINDS[letter]
            raw = bytes.fromhex(key) if kind in (Kind.FILE, Kind.DIR) else _raw(key)
            _check_name(name)
            entries[os.fsdecode(_raw(name))] = Entry(
                kind, mode & 0o7777, mtime_ns, size, raw, _decode_xattrs(rest[0]) if rest else ()
            )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(f"a stored directory cannot be read: {error}. Nothing was changed.") from error
    return entries


def _check_name(name: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"a directory cannot have the entry {name!r}")


def _encode_xattrs(xattrs: Xattrs) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in xattrs}


def _decode_xattrs(row: Mapping[str, str]) -> Xattrs:
    return tuple(sorted((name, base64.b64decode(value)) for name, value in row.items()))


def encode_header(
    workspace: Path, created_ns: int, note: Note, root: Entry, *, files: int, size: int, changed: int, nonce: int
) -> bytes:
    """The bytes that say everything about a snapshot but its id, which is made from them."""
    restoring = note.restoring
    header: dict[str, object] = {
        "format": FORMAT,
        "workspace": _text(os.fsencode(workspace)),
        "created_ns": created_ns,
        "reason": note.reason,
        "root": [root.mode, root.mtime_ns, root.key.hex(), _encode_xattrs(root.xattrs)],
        "files": files,
        "size": size,
        "changed": changed,
    }
    if note.request is not None:
        header["request"] = note.request
    if restoring is not None:
        paths = [_text(os.fsencode(path)) for path in restoring.paths]
        resumes = {"resumes": restoring.resumes} if restoring.resumes else {}
        header["restoring"] = {"target": restoring.target, "paths": paths, "action": restoring.action} | resumes
    if nonce:
        header["nonce"] = nonce
    return json.dumps(header, separators=(",", ":")).encode()


def decode_header(data: bytes, snapshot_id: str, backend: str) -> tuple[Snapshot, Entry]:
    """A snapshot and its root's entry. Raises ``StoreDamaged``, or ``StoreRefused`` for a later format."""
    try:
        header = json.loads(data)
        if header["format"] > FORMAT:
            raise StoreRefused(
                f"snapshot {snapshot_id[:10]} was written by a newer version (format {header['format']}). "
                "Nothing was touched; update hermes-checkpoints to use it."
            )
        mode, mtime_ns, key, xattrs = header["root"]
        restoring = header.get("restoring")
        note = Note(
            header["reason"],
            header.get("request"),
            restoring
            and Restoring(
                restoring["target"],
                tuple(os.fsdecode(_raw(path)) for path in restoring["paths"]),
                restoring["action"],
                restoring.get("resumes", ""),
            ),
        )
        snapshot = Snapshot(
            id=snapshot_id,
            workspace=Path(os.fsdecode(_raw(header["workspace"]))),
            backend=backend,
            created_ns=header["created_ns"],
            note=note,
            files=header["files"],
            size=header["size"],
            changed=header["changed"],
        )
        root = Entry(Kind.DIR, mode & 0o7777, mtime_ns, 0, bytes.fromhex(key), _decode_xattrs(xattrs))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(f"snapshot {snapshot_id[:10]} cannot be read: {error}. Nothing was changed.") from error
    return snapshot, root


def decode_listed(listed: Listed, backend: str) -> tuple[Snapshot, Entry]:
    """Like ``decode_header``; raises ``StoreDamaged`` also for what stands under another workspace or date."""
    snapshot_id, workspace_id, created_ns, header = listed
    if not header:
        raise StoreDamaged(f"what snapshot {snapshot_id[:10]} says of itself is missing or damaged.")
    snapshot, root = decode_header(header, snapshot_id, backend)
    if (Place(Path(), snapshot.workspace).workspace_id, snapshot.created_ns) != (workspace_id, created_ns):
        raise StoreDamaged(
            f"snapshot {snapshot_id[:10]} is listed in {workspace_id} under the date {created_ns}, but is one of "
            f"{snapshot.workspace}, {snapshot.created_ns}. Nothing was changed."
        )
    return snapshot, root


def id_of(header: bytes) -> str | None:
    """The id that a header's digest makes: 40 hex digits; ``None`` when no letter is among the first ten.

    An all-digit beginning could be taken for a number in a list.
    """
    made = hashlib.sha256(header).hexdigest()[:40]
    return None if made[:10].isdigit() else made
