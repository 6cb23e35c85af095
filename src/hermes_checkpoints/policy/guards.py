"""Which directories are never protected, and why."""

from pathlib import Path


def why_declined(workspace: Path, *, home: Path, store: Path) -> str | None:
    """The reason to decline a resolved directory; ``None`` when it may be protected.

    There is no limit on the number of files: a limit silently drops the trees
    that need protection most.
    """
    if workspace == Path(workspace.anchor):
        return "it is the root of the filesystem; choose a project directory"
    if workspace == home:
        return "it is your home directory; choose a project directory in it"
    if workspace in home.parents:
        return "your home directory is inside it; choose a project directory"
    if workspace == store or store in workspace.parents:
        return "it is part of the snapshot store"
    return None
