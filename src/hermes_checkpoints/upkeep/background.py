"""Starting the process that looks after a store, apart from whoever takes snapshots."""

import logging
import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "HERMES_CHECKPOINT_BACKGROUND"
"""``0`` switches the detached process off; ``maintain`` then does its work."""
SECONDS = 60.0
"""How long one such process works; what is left is for the next one."""

log = logging.getLogger("hermes_checkpoints")

# The shell goes away at once, so nobody has to wait for the process; -P keeps the directory it starts in off sys.path.
_DETACH = 'nice -n 19 "$@" </dev/null >/dev/null 2>&1 &'


def allowed() -> bool:
    """Whether a detached process may be started."""
    return os.environ.get(VARIABLE, "1").strip().lower() not in ("0", "no", "off", "false") and bool(sys.executable)


def start(base: Path) -> None:
    """Start a low-priority process that reclaims the store at ``base``, and do not wait for it.

    Failing to is no failure of the take: the next one tries again.
    """
    words = [sys.executable, "-P", "-m", "hermes_checkpoints", "maintain", "--background", "--store", os.fspath(base)]
    try:
        subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=True,
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("no process could be started to reclaim %s: %s", base, error)
