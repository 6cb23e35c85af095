"""When is a timestamp too young to prove that a file has not changed since?

A file that is written twice within one tick of its filesystem's clock has the
same times after both. So what was stamped at or after the moment a walk began
is *racy*: the next walk looks at it again. (Linux 6.13 and later stamp finer
when somebody looked in between; older kernels and macOS do not.)
"""

import os
import sys
import time
from functools import lru_cache
from pathlib import Path

# Longest tick of a kernel in use (CONFIG_HZ=100), with room to spare.
TICK_NS = 20_000_000
# A server stamps with its own clock; ours may be ahead of it by this much before an edit could be missed.
SKEW_NS = 300_000_000_000
_NEVER = 1 << 63
WRITTEN_BACK_NS = 300_000_000_000
"""So long after it was changed a file is on the medium: kernels write back after half a minute."""
# Whole seconds mean a filesystem that keeps no fractions (FAT keeps every second one).
COARSE_NS = 2_000_000_000

_LOCAL = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "ramfs", "overlay", "zfs", "f2fs", "bcachefs", "vfat", "exfat"}
)

_FINE = frozenset({"ext4", "xfs", "btrfs", "tmpfs"})


def filesystem_type(path: Path) -> str:
    """The name of the filesystem a directory lies on (``ext4``, ``btrfs``, …), or ``""`` when unknown."""
    if sys.platform != "linux":
        return ""
    return _mounted_type(path, path.stat().st_dev)


@lru_cache(maxsize=256)
def _mounted_type(path: Path, device: int) -> str:
    wanted = f"{os.major(device)}:{os.minor(device)}"
    best = ("", "")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields, _, tail = line.partition(" - ")
            _, _, number, _, mounted, *_ = fields.split(" ")
            # Btrfs subvolumes have device numbers that no mount shows: then the longest mount above tells.
            above = f"{path}/".startswith(mounted.rstrip("/") + "/")
            if number == wanted:
                return tail.split(" ", 1)[0]
            if above and len(mounted) >= len(best[0]):
                best = (mounted, tail.split(" ", 1)[0])
    return best[1]


def racy_from(workspace: Path) -> int:
    """The time (ns) from which on stamps in this workspace prove nothing, when asked before a walk."""
    now = time.time_ns()
    try:
        if stamps_are_exact(workspace):
            return _NEVER
        local = sys.platform == "darwin" or filesystem_type(workspace) in _LOCAL
    except OSError:
        local = False
    return now - TICK_NS if local else racy_by_another_clock()


def racy_by_another_clock() -> int:
    """The same for a filesystem of which nothing is known."""
    return time.time_ns() - SKEW_NS


def stamps_are_exact(workspace: Path) -> bool:
    """Whether a file's stamp changes with every write after somebody looked, however soon (Linux 6.13 and later)."""
    if sys.platform != "linux":
        return False
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2] if part.isdigit())
    if release < (6, 13) or filesystem_type(workspace) not in _FINE:
        return False
    # ext4 with inodes of 128 bytes keeps whole seconds only.
    return workspace.stat().st_ctime_ns % 1_000_000_000 != 0


def directories_tell_names(workspace: Path) -> bool:
    """Whether a directory's own stamp changes when a name in it does.

    Not the rule on servers and FAT, nor on tmpfs: a ``link`` there stamps the
    directory by the clock that the file was last asked by.
    """
    try:
        return filesystem_type(workspace) in _FINE - {"tmpfs"}
    except OSError:
        return False


def let_a_tick_pass(ctime_ns: int) -> None:
    """Wait until whatever is written to a file from now on changes this stamp of it: 20 ms at most."""
    age = time.time_ns() - ctime_ns
    if 0 <= age < TICK_NS:
        time.sleep((TICK_NS - age) / 1e9)


@lru_cache(maxsize=1)
def boot() -> str:
    """What tells one run of the machine from the next; ``""`` where nothing does (macOS)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().decode("ascii").strip()
    except (OSError, ValueError):
        return ""


def is_racy(mtime_ns: int, ctime_ns: int, limit: int) -> bool:
    """Whether a file with these times must be looked at again by the next walk."""
    newest = max(mtime_ns, ctime_ns)
    return newest >= limit or (newest % 1_000_000_000 == 0 and newest >= limit - COARSE_NS)
