"""What killed processes, and a git run by hand, leave behind."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.kit.store.publish import is_unfinished, sweep_unfinished
from hermes_checkpoints.kit.store.scratch import take_away
from hermes_checkpoints.kit.walk.memory import tidy
from hermes_checkpoints_shadow_git.repository import REFS, Repository

# A git that somebody runs by hand takes no lock of ours.
_SURELY_LEFT = 24 * 3600.0
_LOOSE = re.compile("[0-9a-f]{38}")
# Made by git from packs and commits, and wrong when those are gone; git does without.
_DERIVED = ("pack/multi-pack-index*", "info/commit-graph", "info/commit-graphs", "info/packs")


class Leftovers:
    """All of it is called with the store's lock held alone, except ``loose`` and ``has_lone_packs``."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._objects = repository.path / "objects"

    def sweep(self, scratch: Path, *, lone_packs: bool, thorough: bool) -> None:
        """Move what lies in ``tmp`` into ``scratch``, for removing it later, and remove other leftovers.

        Packs without an index only with ``lone_packs``; what was kept to save
        work, which may still know what was there before, when ``thorough``.
        """
        for number, entry in enumerate(sorted(self._repository.tmp.iterdir())):
            if entry != scratch and not is_unfinished(entry.name):
                take_away(entry, scratch / f"left-{number}")
        sweep_unfinished(self._repository.tmp)  # whoever opens the store takes no lock
        names = {path.name for path in self._repository.packs.iterdir()}
        for name in names:
            path = self._repository.packs / name
            if name.startswith(("tmp_", ".tmp-")):
                if _old(path):
                    path.unlink(missing_ok=True)
            elif _has_lost_its_other_half(name, names) and (lone_packs or not name.endswith(".pack")):
                take_away(path, scratch / name)
        for path in self._objects.glob("[0-9a-f][0-9a-f]/tmp_obj_*"):
            if _old(path):
                path.unlink(missing_ok=True)
        self._empty_workspaces(thorough=thorough)

    def _empty_workspaces(self, *, thorough: bool) -> None:
        with suppress(FileNotFoundError):
            for directory in (self._repository.path / REFS).iterdir():
                with suppress(OSError):  # it has snapshots
                    directory.rmdir()
        refs = self._repository.path / REFS
        living = os.listdir(refs) if refs.is_dir() and not thorough else ()
        tidy(self._repository.path / "seen", living)
        tidy(self._repository.path / "listed", living)

    def has_lone_packs(self) -> bool:
        names = {path.name for path in self._repository.packs.iterdir()}
        return any(name.endswith(".pack") and _has_lost_its_other_half(name, names) for name in names)

    def loose(self) -> Iterator[tuple[bytes, Path]]:
        """Objects in files of their own: git makes them when somebody runs its gc."""
        for path in self._objects.glob("[0-9a-f][0-9a-f]/*"):
            if _LOOSE.fullmatch(path.name):
                yield bytes.fromhex(path.parent.name + path.name), path

    def drop_derived(self) -> None:
        """Before fsck compares with packs that are gone."""
        for pattern in _DERIVED:
            for path in self._objects.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def _has_lost_its_other_half(name: str, names: set[str]) -> bool:
    """Publishing was cut short (a pack without an index), or removing was."""
    stem, extension = os.path.splitext(name)
    if extension == ".pack":
        return f"{stem}.idx" not in names and f"{stem}.keep" not in names
    return extension in (".idx", ".rev", ".bitmap", ".mtimes") and f"{stem}.pack" not in names


def _old(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.lstat().st_mtime > _SURELY_LEFT
    return False
