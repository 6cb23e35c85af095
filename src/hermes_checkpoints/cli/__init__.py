"""The command line: the only place that prints."""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

# So many more things made than given back: a command that only looks makes fewer.
_COLLECT_AFTER = 100_000


def run() -> NoReturn:
    """Be the command ``hermes-checkpoints``, and end the process as soon as that is done.

    Hooks run a snapshot at every tool call, so it does not wait for the
    interpreter to take apart what the system takes back at once: an eighth of
    such a command's time. Whoever wants to go on afterwards calls
    :func:`hermes_checkpoints.cli.program.main`.
    """
    gc.set_threshold(_COLLECT_AFTER)
    _open_closed_streams()
    from hermes_checkpoints.cli.program import main

    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _open_closed_streams() -> None:
    """Have what is written to a stream that was closed beforehand go nowhere, instead of into a file of the store."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w"))
