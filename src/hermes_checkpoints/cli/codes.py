"""What the command's exit code says. Scripts rely on these: a number never gets another meaning."""

DONE = 0
FAILED = 1
USAGE = 2
DECLINED = 3
BUSY = 4
NOT_FOUND = 5
INCOMPLETE = 6
UNCONFIRMED = 7
DAMAGED = 8
INTERRUPTED = 130  # 128 + SIGINT, as shells say it
BROKEN_PIPE = 141  # 128 + SIGPIPE

MEANINGS = {
    DONE: "done: taken, unchanged, restored, forgotten, printed",
    FAILED: "failed; the message says what happened and what was left untouched",
    USAGE: "the command was not understood, or a path is not one inside the workspace",
    DECLINED: "the directory is not one that is protected (/, home and what is above them)",
    BUSY: "another process held the store for too long; trying again is safe",
    NOT_FOUND: "no such snapshot, or no such path in it",
    INCOMPLETE: "not everything could be done; what failed is listed",
    UNCONFIRMED: "nothing was changed because nobody said yes",
    DAMAGED: "verify found damage, or repair left some; it is listed",
    INTERRUPTED: "interrupted by Ctrl-C",
    BROKEN_PIPE: "the reader of the output went away",
}


def explained() -> str:
    """The codes as lines for ``--help``."""
    return "exit codes:\n" + "\n".join(f"  {code:<4}{meaning}" for code, meaning in MEANINGS.items())
