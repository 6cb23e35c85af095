"""The process that looks after a store apart from whoever takes snapshots: starting it, and what it does.

``python -m hermes_checkpoints.upkeep.background BASE LIMITS`` is started by a
take and by nobody else; people have the command ``maintain``.
"""

import json
import logging
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.policy.retention import Limits

VARIABLE = "HERMES_CHECKPOINT_BACKGROUND"
"""``0`` switches the detached process off; ``maintain`` then does its work, and a take that finds no room."""
SECONDS = 60.0
"""How long one such process works; what is left is for the next one."""

log = logging.getLogger("hermes_checkpoints")

# So long after one was started, it may not have got as far as its lock.
_STARTING = 3.0
# The shell goes away at once, so nobody has to wait for the process; -P keeps the directory it starts in off sys.path.
_DETACH = 'nice -n 19 "$@" </dev/null >/dev/null 2>&1 &'


def is_allowed() -> bool:
    """Whether a detached process may be started."""
    return os.environ.get(VARIABLE, "1").strip().lower() not in ("0", "no", "off", "false") and bool(sys.executable)


def start(base: Path, limits: Limits) -> None:
    """Start a low-priority process that looks after the store at ``base``, and do not wait for it.

    Not again within some seconds. Failing to is no failure of the take: the
    next one tries again.
    """
    import subprocess  # 8 ms that few takes need

    started = base / "store" / "locks" / "started"
    with suppress(OSError):
        if 0 <= time.time() - started.stat().st_mtime < _STARTING:
            return
    words = [sys.executable, "-P", "-m", __name__, os.fspath(base), json.dumps(asdict(limits))]
    try:
        started.touch(mode=0o600)
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


def main() -> None:
    """Look after a store for at most ``SECONDS``; whatever fails is for ``maintain`` to tell."""
    from hermes_checkpoints.opening import Opener
    from hermes_checkpoints.settings import read_settings
    from hermes_checkpoints.upkeep.upkeep import Upkeep

    base, limits = sys.argv[1], Limits(**json.loads(sys.argv[2]))
    opener = Opener(read_settings(base, limits=limits))
    try:
        Upkeep(opener, wait=SECONDS).maintain(SECONDS, background=True)
    except CheckpointError as error:
        log.warning("%s", error)
    finally:
        opener.close()


if __name__ == "__main__":
    main()
