"""Hermes Agent's ``tools.checkpoint_manager`` on this engine: the calls of 0.19.0 and the newer ones.

The plugin (:mod:`hermes_checkpoints.hermes.plugin`) puts this very module in
the place of Hermes's own. Here alone answers are dicts, and none of these
raises. Who calls what is in ``docs/hermes.md``.
"""

import os
from pathlib import Path

from hermes_checkpoints.contract import DEFAULT_EXCLUDES as _EXCLUDES
from hermes_checkpoints.hermes.guarding import log
from hermes_checkpoints.hermes.listing import format_checkpoint_list
from hermes_checkpoints.hermes.maintenance import (
    clear_all,
    clear_legacy,
    maybe_auto_prune_checkpoints,
    prune_checkpoints,
    store_status,
)
from hermes_checkpoints.hermes.manager import CheckpointManager
from hermes_checkpoints.settings import hermes_home

__all__ = [
    "CHECKPOINT_BASE",
    "DEFAULT_EXCLUDES",
    "CheckpointManager",
    "clear_all",
    "clear_legacy",
    "format_checkpoint_list",
    "maybe_auto_prune_checkpoints",
    "prune_checkpoints",
    "store_status",
]

logger = log

CHECKPOINT_BASE: Path | str = hermes_home(os.environ) / "checkpoints"
"""Where the store is; looked up at every call, so that whoever replaces it here is heard."""
DEFAULT_EXCLUDES = list(_EXCLUDES)
"""What no snapshot holds, in gitignore syntax."""
