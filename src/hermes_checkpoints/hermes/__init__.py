"""Hermes Agent's ``tools.checkpoint_manager``, on this engine: the same calls, whichever generation of Hermes makes them.

The plugin (:mod:`hermes_checkpoints.hermes.plugin`) puts this very module in
the place of Hermes's own. Here alone answers are dicts, and nothing raises.
What Hermes calls is in ``docs/hermes.md``.
"""

import logging
import os
from pathlib import Path

from hermes_checkpoints.contract import DEFAULT_EXCLUDES as _EXCLUDES
from hermes_checkpoints.settings import hermes_home

logger = logging.getLogger("tools.checkpoint_manager")

CHECKPOINT_BASE: Path | str = hermes_home(os.environ) / "checkpoints"
"""Where the store is; looked up at every call, so that whoever replaces it here is heard."""
DEFAULT_EXCLUDES = list(_EXCLUDES)
"""What no snapshot holds, in gitignore syntax."""
