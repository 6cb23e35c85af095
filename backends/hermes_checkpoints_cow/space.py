"""What would come back if the store were removed."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Entry, Kind, Usage, WorkspaceError
from hermes_checkpoints.kit.walk.clock import filesystem_type
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import Changed, open_regular
from hermes_checkpoints_cow.opening import opened
from hermes_checkpoints_cow.sharing import LARGE, Interval, allocated, freed, held_by, hurry, untouched

Node = Callable[[bytes], Mapping[str, Entry]]


def measured(home: Path, live: Callable[[], Iterable[int]]) -> Usage:
    """The space of everything below ``home``.

    Contents in files of their own may be clones: their blocks count when only
    stored files have them, and once. ``live`` gives descriptors, each valid
    until the next, of the workspaces' files that may share blocks with several
    stored ones; it is asked only when that matters.
    """
    hurry(home)
    apparent = real = 0
    shared: list[Interval] = []
    for path, status, is_directory in _files(home):
        apparent += 0 if is_directory else status.st_size
        name = os.path.basename(path)
        is_content = stat.S_ISREG(status.st_mode) and name.isdecimal() and path.startswith(f"{home}/batches/")
        if not is_content:
            real += allocated(status)
            continue
        with suppress(FileNotFoundError), opened(path) as fd:  # else removed while we counted
            held = held_by(fd)
            real += held.own
            shared += held.shared
    if freed(shared, ()):
        theirs = [interval for fd in live() for interval in held_by(fd).shared]
        real += freed(untouched(shared, theirs), ()) if filesystem_type(home) == "btrfs" else freed(shared, theirs)
    return Usage(apparent, real)


def _files(home: Path) -> Iterator[tuple[str, os.stat_result, bool]]:
    todo = [str(home)]
    while todo:
        with suppress(FileNotFoundError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    is_directory = entry.is_dir(follow_symlinks=False)
                    yield entry.path, entry.stat(follow_symlinks=False), is_directory
                    if is_directory:
                        todo.append(entry.path)


def live_files(workspace: Path, root: Entry, node: Node) -> Iterator[int]:
    """Descriptors, each valid until the next, of the larger regular files that are where a snapshot has files.

    What is no longer there, or no longer a regular file, is passed over.
    """
    todo: list[tuple[tuple[str, ...], Entry]] = [((), root)]
    with suppress(OSError, WorkspaceError), Descent(str(workspace)) as descent:
        while todo:
            parts, directory = todo.pop()
            wanted = []
            for name, entry in node(directory.key).items():
                if entry.kind is Kind.DIR:
                    todo.append(((*parts, name), entry))
                elif entry.kind is Kind.FILE and entry.size >= LARGE:
                    wanted.append(name)
            if not wanted:
                continue
            try:
                descent.go(parts)
            except OSError:
                continue
            for name in wanted:
                with suppress(OSError, Changed), open_regular(descent.fd, name) as fd:
                    yield fd
