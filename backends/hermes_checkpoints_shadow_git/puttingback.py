"""Storing again what was lost, whatever the store says that it has."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Entry, Kind
from hermes_checkpoints.kit.store.nodes import decode_node
from hermes_checkpoints.kit.store.scratch import clean_scratch
from hermes_checkpoints_shadow_git.objects import object_id, object_prefix
from hermes_checkpoints_shadow_git.packfile import MemoryPack, pack_object, publish_packs, write_stream
from hermes_checkpoints_shadow_git.repository import Repository
from hermes_checkpoints_shadow_git.storing import STREAMED, store_node

_BLOCK = 1 << 20


def store(repository: Repository, scratch: Path, objects: Mapping[bytes, tuple[bytes, bytes]]) -> None:
    """Store objects (kind and bytes by id) whatever the store says that it has: durably, and visible together."""
    pack = MemoryPack()
    for oid, (kind, data) in objects.items():
        pack.add(oid, *pack_object(kind, data))
    publish_packs([pack.write(scratch)], repository.packs)


def put_back(repository: Repository, scratch: Path, entry: Entry, content: BinaryIO, *, dry_run: bool) -> bool:
    """Store a lost file or directory again, if these are its bytes. Raises ``StoreError``."""
    objects: dict[bytes, tuple[bytes, bytes]] = {}
    if entry.kind is Kind.DIR:

        def add(kind: bytes, data: bytes) -> bytes:
            oid = object_id(kind, data)
            objects[oid] = kind, data
            return oid

        if store_node(decode_node(content.read()), add) != entry.key:
            return False
    elif entry.size > STREAMED:
        return _put_large_back(repository, scratch, entry, content, dry_run=dry_run)
    else:
        data = content.read()
        if object_id(b"blob", data) != entry.key:
            return False
        objects[entry.key] = b"blob", data
    if not dry_run:
        store(repository, clean_scratch(scratch), objects)
    return True


def stream_id(content: BinaryIO, size: int) -> bytes:
    """The id that a file's content, of that size, has in the store."""
    digest = hashlib.sha1(object_prefix(b"blob", size), usedforsecurity=False)
    while block := content.read(_BLOCK):
        digest.update(block)
    return digest.digest()


def _put_large_back(repository: Repository, scratch: Path, entry: Entry, content: BinaryIO, *, dry_run: bool) -> bool:
    if stream_id(content, entry.size) != entry.key:
        return False
    if dry_run:
        return True
    oid, pack = write_stream(content.fileno(), entry.size, clean_scratch(scratch), lambda _: None)
    if oid != entry.key:  # it has moved since
        pack.remove()
        return False
    publish_packs([pack], repository.packs)
    return True
