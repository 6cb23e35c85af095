"""Machinery that backend authors may use."""

from hermes_checkpoints.kit.store.batch import Batch, BytesBatch, LeaveOut, checked, key_of
from hermes_checkpoints.kit.store.format import open_format
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.nodes import decode_header, encode_node, id_of
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync, sync_all, sync_path
from hermes_checkpoints.kit.store.space import space_of
from hermes_checkpoints.kit.trees import TreeBackend

__all__ = [
    "Batch",
    "BytesBatch",
    "LeaveOut",
    "TreeBackend",
    "checked",
    "decode_header",
    "encode_node",
    "id_of",
    "key_of",
    "locked",
    "open_format",
    "private_directory",
    "publish",
    "space_of",
    "sync",
    "sync_all",
    "sync_path",
]
