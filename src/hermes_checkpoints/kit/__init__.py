"""Machinery that backend authors may use."""

from hermes_checkpoints.kit.batch import Batch, BytesBatch, LeaveOut
from hermes_checkpoints.kit.format import open_format
from hermes_checkpoints.kit.locks import locked
from hermes_checkpoints.kit.nodes import decode_header, encode_node, id_of
from hermes_checkpoints.kit.publish import private_directory, publish, sync, sync_all, sync_path
from hermes_checkpoints.kit.space import space_of
from hermes_checkpoints.kit.trees import TreeBackend

__all__ = [
    "Batch",
    "BytesBatch",
    "LeaveOut",
    "TreeBackend",
    "decode_header",
    "encode_node",
    "id_of",
    "locked",
    "open_format",
    "private_directory",
    "publish",
    "space_of",
    "sync",
    "sync_all",
    "sync_path",
]
