"""Forgetting histories in Hermes's repository and giving back their space; what is ours in the store is spared."""

import contextlib
import os
import shutil
import time
from pathlib import Path

from hermes_checkpoints.contract import StoreBusy, StoreError, Usage
from hermes_checkpoints.kit import locked, space_of
from hermes_checkpoints.kit.git import Objects, run
from hermes_checkpoints_hermes_v2.history import REFS, tips

# All that git and Hermes put into the store and only they use. HEAD comes first, and then refs: see _remove_all.
_PARTS = tuple(
    (
        "HEAD refs packed-refs objects indexes info hooks branches logs config description "
        "gc.log gc.pid ORIG_HEAD FETCH_HEAD HERMES_WORKDIR"
    ).split()
)
_ASIDE = ".hermes-v2-removed"
# Seconds. Hermes ends each git process of a turn after 120 s at most, and a turn's together in less than this.
_GRACE = 600
_BLOCK = 512


def usage(store: Path) -> Usage:
    """The space of the repository alone."""
    apparent = real = 0
    for part in (*_PARTS, _ASIDE):
        path = store / part
        with contextlib.suppress(OSError):
            status = path.lstat()
            below = space_of(path) if path.is_dir() and not path.is_symlink() else Usage(status.st_size, 0)
            apparent += below.apparent
            real += below.real + status.st_blocks * _BLOCK
    return Usage(apparent, real)


def stored_size(store: Path, oid: bytes, objects: Objects) -> int:
    """What an object takes: its file's blocks, or its bytes in a pack."""
    name = oid.hex()
    try:
        return (store / "objects" / name[:2] / name[2:]).stat().st_blocks * _BLOCK
    except OSError:
        (size,) = objects.sizes([oid])
        return size.stored if size is not None else 0


def forget(store: Path, workspace_id: str, tip: str) -> None:
    """Remove a workspace's ref, if it still is what we saw, and its index. Raises ``StoreError``."""
    for lock in (f"{REFS}/{workspace_id}.lock", "packed-refs.lock"):
        if _is_old(store / lock):  # its git was killed, or it would not be there any more
            _remove(store / lock)
    run(store, "update-ref", "-d", f"{REFS}/{workspace_id}", tip)
    for index in (workspace_id, f"{workspace_id}.lock"):
        _remove(store / "indexes" / index)


def _is_old(path: Path) -> bool:
    try:
        return path.lstat().st_mtime < time.time() - _GRACE
    except OSError:
        return False


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def reclaim(store: Path, until: float, *, thorough: bool) -> bool:
    """Whether all was given back that can be. Raises ``StoreError``.

    While Hermes has snapshots, git removes what no ref leads to and what is
    older than ten minutes: what a running Hermes writes is younger, and git
    makes younger what is written again.
    """
    if not any((store / part).exists() for part in ("objects", "HEAD", _ASIDE)):
        return True
    with locked(store / "locks" / "hermes-v2", wait=max(0.0, min(30.0, until - time.monotonic()))):
        _put_back(store)
        if not tips(store):
            return _remove_all(store)
        try:
            return _collect(store, until, thorough=thorough)
        except StoreBusy:
            return False


def _collect(store: Path, until: float, *, thorough: bool) -> bool:
    if (store / "objects" / "info" / "commit-graph").exists():
        run(store, "commit-graph", "write", "--reachable", until=until)  # it names commits that are about to go
    run(store, "prune", f"--expire={_GRACE}.seconds.ago", until=until)
    packed, size, garbage = _counts(store, until)
    if packed and garbage:
        if shutil.disk_usage(store).free < size + (size >> 3):  # git writes what is live before it removes anything
            return False
        run(store, "repack", "-A", "-d", "-q", "-n", f"--unpack-unreachable={_GRACE}.seconds.ago", until=until)
    return not thorough or _counts(store, until)[2] == 0


def _counts(store: Path, until: float) -> tuple[int, int, int]:
    """Objects in packs, the packs' bytes, and how many objects no ref leads to."""
    counts = dict(line.split(": ") for line in run(store, "count-objects", "-v", until=until).decode().splitlines())
    packed, size = int(counts["in-pack"]), int(counts["size-pack"]) * 1024
    live = run(store, "rev-list", "--objects", "--all", until=until).count(b"\n")
    return packed, size, max(0, packed + int(counts["count"]) - live)


def _remove_all(store: Path) -> bool:
    """Remove a repository without snapshots, unless Hermes takes one meanwhile: then it stays.

    HEAD goes first: without it Hermes makes the repository anew, killed here or
    not. Once refs are aside no snapshot can appear in what is being removed.
    """
    aside = store / _ASIDE
    try:
        aside.mkdir(mode=0o700)
        _move(store / "HEAD", aside / "HEAD")
        _move(store / "refs", aside / "refs")
        if _refs(aside) or tips(store):
            _put_back(store)
            return False
        for part in _PARTS[2:]:
            _move(store / part, aside / part)
        shutil.rmtree(aside)
    except OSError as error:
        raise StoreError(f"cannot remove Hermes's empty repository from {store}: {error.strerror}.") from error
    return True


def _refs(directory: Path) -> list[Path]:
    """The refs, and the locks of refs that are being written, below a directory."""
    found = (Path(above, name) for above, _, names in os.walk(directory / "refs") for name in names)
    return [path for path in found if path.suffix != ".lock" or not _is_old(path)]


def _put_back(store: Path) -> None:
    """Undo what a removal has begun when a snapshot turned up in it; what else it has put aside goes."""
    aside = store / _ASIDE
    for ref in _refs(aside):
        target = store / ref.relative_to(aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            ref.rename(target)
    if tips(store) and not (store / "HEAD").exists():
        _move(aside / "HEAD", store / "HEAD")
    shutil.rmtree(aside, ignore_errors=True)


def _move(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        source.rename(target)
