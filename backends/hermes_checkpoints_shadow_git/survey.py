"""What each pack holds of what is alive."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints_shadow_git.compaction import Holding
from hermes_checkpoints_shadow_git.marking import Mark
from hermes_checkpoints_shadow_git.packindex import Index
from hermes_checkpoints_shadow_git.packreading import OpenPack
from hermes_checkpoints_shadow_git.rewriting import Source, intact


class Survey:
    """All packs, and for each living object the one pack that it counts for: its home.

    Equal objects in other packs are garbage, provided that the home's copy is
    intact. Packs that somebody keeps (``.keep``) or that could not be rewritten
    (``left_alone``) may be homes, but nothing happens to them unless nothing
    lives in them; a pack with a damaged index is no home, and nothing at all
    happens to it.
    """

    def __init__(
        self, indexes: Iterable[Index], mark: Mark, left_alone: Collection[str], tick: Callable[[], None]
    ) -> None:
        mark.fresh.clear()
        self._mark = mark
        self._indexes: dict[str, Index] = {}
        self._homes: dict[bytes, Index] = {}
        self._intact: dict[bytes, bool] = {}
        self._holdings: list[Holding] = []
        self._dead: list[str] = []
        self.size = 0
        """Bytes of all packs."""
        self.garbage = 0
        """Bytes of garbage in packs that nothing happens to."""
        for index in sorted(indexes, key=_order):
            if index.sound():
                self._count(index, left_alone, tick)
            else:
                self.garbage += 1

    def _count(self, index: Index, left_alone: Collection[str], tick: Callable[[], None]) -> None:
        tick()
        kept = Path(index.pack).with_suffix(".keep").exists()
        size = live = alive = 0
        try:
            for span in index.spans():
                length = max(0, span[3] - span[2])
                size += length
                if span[0] in self._mark.live and self._is_home(index, span[0]):
                    live += length
                    alive += 1
        except (OSError, ValueError):
            return  # gone since it was listed, or damaged after all
        self.size += size
        self._indexes[index.name] = index
        if not alive and not kept:
            self._dead.append(index.name)
        elif kept or index.name in left_alone:
            self.garbage += size - live
        else:
            self._holdings.append(Holding(index.name, size, live))

    def _is_home(self, index: Index, oid: bytes) -> bool:
        home = self._homes.setdefault(oid, index)
        if home is not index and not self._has_intact(home, oid):
            self._homes[oid] = index
            return True
        return home is index

    def _has_intact(self, home: Index, oid: bytes) -> bool:
        if oid not in self._intact:
            self._intact[oid] = False
            with suppress(OSError, ValueError):
                span = home.span(oid)
                self._intact[oid] = span is not None and intact(OpenPack(home.pack), span)
        return self._intact[oid]

    def dead(self) -> list[str]:
        """Packs in which nothing is alive."""
        return self._dead

    def holdings(self) -> list[Holding]:
        """The packs that may be rewritten."""
        return self._holdings

    def source(self, name: str) -> Source:
        """What must be taken over from a pack before it may go, as known now."""
        index = self._indexes[name]
        live = [span for span in index.spans() if span[0] in self._mark.live]
        return Source(name, index.pack, [span for span in live if self._homes.setdefault(span[0], index) is index])

    def needed(self, name: str, fresh: Collection[bytes], copied: Collection[bytes]) -> bool:
        """Whether something came alive in a pack since the survey that is not among what was copied."""
        index = self._indexes[name]
        return any(oid in index for oid in fresh if oid not in copied)


def _order(index: Index) -> tuple[bool, int, str]:
    """Kept packs first, then the newest: when a reclaim was killed, what it wrote is home and what it copied goes."""
    path = Path(index.pack)
    written = 0
    with suppress(FileNotFoundError):
        written = path.stat().st_mtime_ns
    return not path.with_suffix(".keep").exists(), -written, index.name
