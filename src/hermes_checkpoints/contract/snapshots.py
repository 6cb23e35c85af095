"""What goes into taking a snapshot and what comes out of it."""

import hashlib
import os
from collections.abc import Callable, Sequence
from enum import Enum, StrEnum, auto
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from hermes_checkpoints.contract.trees import LeftOut, Stamp

DEFAULT_MAX_FILE_SIZE = 10 * 1024 * 1024

# Hermes Agent's list, so that a change of engine does not change what is saved.
DEFAULT_EXCLUDES = tuple(
    (
        "node_modules/ dist/ build/ target/ out/ .next/ .nuxt/ __pycache__/ *.pyc *.pyo .cache/ "
        ".pytest_cache/ .mypy_cache/ .ruff_cache/ coverage/ .coverage .venv/ venv/ env/ .git/ .hg/ .svn/ "
        ".worktrees/ *.so *.dylib *.dll *.o *.a *.jar *.class *.exe *.obj *.mp4 *.mov *.mkv *.webm *.zip "
        "*.tar *.tar.gz *.tgz *.7z *.rar *.iso .env .env.* .env.local .env.*.local .DS_Store Thumbs.db *.log"
    ).split()
)


class Capability(Enum):
    """What a backend can do that others cannot; callers ask for these, never for a name."""

    SHARES_BLOCKS = auto()
    """Stored content shares disk blocks with the workspace's files where the filesystem can."""
    STORES_LARGE_FILES_FREELY = auto()
    """The size limit does not apply to content that costs nothing to store."""
    DEDUPLICATES = auto()
    """Identical content is stored once, across files, workspaces and time."""
    FOREIGN = auto()
    """Reads snapshots that another program made, where they are, and takes none.

    They know no mode but the executable bit, no attributes, and not what was
    left out; a workspace's are forgotten all together.
    """


class Suitability(Enum):
    """How well a backend serves a place; ``auto`` takes the highest."""

    UNUSABLE = 0
    ON_REQUEST = 1
    """Works, but falls short of what people choose it for: taken when asked for by name, or when nothing else works."""
    WORKS = 2
    IDEAL = 3


class Fitness(NamedTuple):
    """Whether a backend can serve a place, and a sentence that says why."""

    suitability: Suitability
    why: str

    @property
    def usable(self) -> bool:
        return self.suitability is not Suitability.UNUSABLE


class Place(NamedTuple):
    """A workspace and the store that its snapshots go to; both absolute and resolved."""

    store: Path
    """The directory that belongs to us; each backend uses ``store / name``."""
    workspace: Path

    @property
    def workspace_id(self) -> str:
        """First 16 hex digits of the sha256 of the workspace's path."""
        return _id_of(self.workspace)


@lru_cache(maxsize=256)
def _id_of(workspace: Path) -> str:
    return hashlib.sha256(os.fsencode(workspace)).hexdigest()[:16]


class Scope(NamedTuple):
    """What belongs to a snapshot."""

    excludes: tuple[str, ...] = DEFAULT_EXCLUDES
    """Patterns in gitignore syntax; the workspace's own ignore files come on top."""
    max_file_size: int = DEFAULT_MAX_FILE_SIZE
    """Bytes; a strictly larger file is left out when it would have to be copied. 0: no limit."""
    anyway: frozenset[str] = frozenset()
    """Paths that are held whatever their size."""


class Restoring(NamedTuple):
    """Written into a safety snapshot: the restore that it protects against.

    ``undo`` and ``redo`` are computed from these, so no second record exists
    that could disagree with the snapshots.
    """

    target: str
    """Id of the snapshot that was restored."""
    paths: tuple[str, ...] = ()
    """The selection; empty for the whole workspace."""
    action: str = "restore"
    """``restore``, ``undo`` or ``redo``; ``continue`` or ``abort`` of one of these that was interrupted."""
    resumes: str = ""
    """Of those two: the safety snapshot of the restore that was interrupted."""


class Note(NamedTuple):
    """What the caller says about a snapshot."""

    reason: str = ""
    request: str | None = None
    """The user request it belongs to, when the caller groups turns by request."""
    restoring: Restoring | None = None
    """Set on safety snapshots. They are published even when nothing changed."""


class Snapshot(NamedTuple):
    """One saved state of a workspace. Nothing in it ever changes."""

    id: str
    """40 hex digits, a letter among the first ten."""
    workspace: Path
    backend: str
    created_ns: int
    """Nanoseconds since the epoch; strictly increasing within a workspace."""
    note: Note
    files: int
    """Files held (symlinks included)."""
    size: int
    """Bytes of the files held."""
    changed: int
    """Paths that differed from the snapshot before it."""

    @property
    def short_id(self) -> str:
        return self.id[:10]


class Stats(NamedTuple):
    """What taking a snapshot did."""

    files: int = 0
    """Files held, symlinks included."""
    changed: int = 0
    """Paths that differ from the snapshot before."""
    opened: int = 0
    """Files opened to be read."""
    stored: int = 0
    """Files whose content was stored (new to this workspace)."""
    cloned: int = 0
    """Of those, the ones that share blocks with the workspace's file."""


Progress = Callable[[int], None]
"""Called now and then with the number of files looked at so far; may raise to interrupt safely."""


def silent(files: int) -> None:
    """The progress of whoever does not want to know."""


Growing = Callable[[int], None]
"""Called with the number of bytes by which the store is about to grow; may raise to interrupt safely.

Allocated bytes, nearly: what ``Usage.real`` will be larger by. A negative
number takes back what was announced and then not written.
"""


def unbounded(size: int) -> None:
    """The growth of a store that may take whatever it needs."""


class Saved(NamedTuple):
    """The outcome of ``Backend.save``."""

    snapshot: Snapshot | None
    """``None`` when nothing changed since ``latest``."""
    latest: Snapshot
    """The snapshot that now describes the workspace: the new one, or the one before."""
    left_out: Sequence[LeftOut] = ()
    stats: Stats = Stats()
    stamp: Callable[[str], Stamp | None] = lambda path: None
    """The stat of a file (or link) as this save saw it: a restore leaves alone what has moved since."""


class Usage(NamedTuple):
    """Disk space of a store, in bytes."""

    apparent: int
    """Sum of the sizes of what is stored."""
    real: int
    """What would come back if the store were removed."""


class Damage(NamedTuple):
    """Something stored that does not come back as it was stored."""

    snapshot: str
    """Id of a snapshot that it costs something; empty when no snapshot leans on what is damaged."""
    path: str
    """What it costs the snapshot; empty for all of it."""
    what: str


class Mending(StrEnum):
    """What a repair did about something damaged."""

    REBUILT = "rebuilt"
    """Was derived from what is intact, and is made anew."""
    HEALED = "healed"
    """Stored again, from bytes that are the ones that were stored."""
    LEFT_OUT = "left out"
    """Lost: the snapshot was replaced by one that says so (``Reason.DAMAGED``), with a new id."""
    QUARANTINED = "quarantined"
    """Nothing of it can be read: taken out of the way, and kept aside."""


class Mended(NamedTuple):
    """One thing that a repair did, or would do."""

    what: Mending
    snapshot: str
    """Empty when it is not about a snapshot."""
    path: str
    how: str
    """From which bytes, to which place: for people."""
    new_id: str = ""
    """Of the snapshot that took its place."""
