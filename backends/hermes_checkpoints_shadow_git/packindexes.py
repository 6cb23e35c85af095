"""All pack indexes of the store together: what it has, and in which pack."""

import contextlib
import os
import threading

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store.plain import is_damage
from hermes_checkpoints_shadow_git.packindex import PER_OBJECT, Index
from hermes_checkpoints_shadow_git.repository import Repository

# A store has a pack a turn until it is reclaimed. Bisecting 1,000 of them takes 2 ms a question, so the ids of small
# ones are kept in one mapping: at most 1,000 packs * 512 ids * 100 bytes = 50 MB.
_SMALL = 512


class PackIndexes:
    """Answers "is this object in the store, and where?" without git.

    Each question looks at the directory's stat (1 µs) and reads the list of
    packs again when it moved, so packs that other processes add or remove
    count. A change within the tick of the filesystem's clock (4 ms) after a
    listing does not show: :meth:`refresh` has the next question list anyway.
    Call it once the lock is held that keeps packs from vanishing.

    An index that is damaged, or has no pack, is passed over: its objects are
    then stored again. Threads may share it.
    """

    def __init__(self, repository: Repository) -> None:
        self._directory = os.fspath(repository.packs)
        self._lock = threading.Lock()
        self._listed: tuple[int, int] | None = None
        self._indexes: dict[str, Index | None] = {}
        self._small: dict[bytes, Index] = {}
        self._large: list[Index] = []

    def refresh(self) -> None:
        """Have the next question list the packs."""
        with self._lock:
            self._doubt()

    def list_now(self) -> None:
        """List the packs, for questions to ``known``. Raises ``StoreError`` like ``in``."""
        with self._lock:
            self._doubt()
            self._look()

    def _doubt(self) -> None:
        self._listed = None
        # One that was damaged, or gone, may have been written anew: a pack of one content always has the same name.
        self._indexes = {name: index for name, index in self._indexes.items() if index is not None}

    def reread(self) -> None:
        """Have the next question read every index again: one was damaged, and may have been made anew."""
        with self._lock:
            self._listed, self._indexes, self._small, self._large = None, {}, {}, []

    def __contains__(self, oid: bytes) -> bool:
        """Raises ``StoreError`` when the directory of packs cannot be read."""
        return self.find(oid) is not None

    def find(self, oid: bytes) -> Index | None:
        """The index of a pack that has the object. Raises ``StoreError`` like ``in``."""
        with self._lock:
            self._look()
            return self._held(oid)

    def known(self, oid: bytes) -> Index | None:
        """Like ``find``, as of the last listing: for readers, to whom a pack that vanished since says so itself.

        And for who stores, and holds the lock that keeps packs from vanishing:
        of one that another process adds meanwhile, something is stored twice.
        """
        with self._lock:
            return self._held(oid)

    def _held(self, oid: bytes) -> Index | None:
        index = self._small.get(oid)
        if index is None and self._large:
            return next((index for index in self._large if oid in index), None)
        return index

    def packed_size(self, oid: bytes) -> int:
        """Bytes that an object takes in its pack and index; 0 when it is in none. Raises ``StoreError`` like ``in``."""
        index = self.find(oid)
        if index is None:
            return 0
        try:
            span = index.span(oid)
        except (OSError, ValueError) as error:
            raise StoreError(f"{index.pack} cannot be read: {error}. Nothing was changed.") from error
        return span[3] - span[2] + PER_OBJECT if span else 0

    def all(self) -> list[Index]:
        """Every index that is of use, as listed now. Raises ``StoreError`` like ``in``."""
        with self._lock:
            self._listed = None
            self._look()
            return [index for index in self._indexes.values() if index is not None]

    def _look(self) -> None:
        try:
            stat = os.stat(self._directory)
            seen = (stat.st_ino, stat.st_mtime_ns)
            if seen != self._listed:
                self._list()
                self._listed = seen
        except FileNotFoundError:  # somebody removed it: the store has nothing
            self._listed, self._indexes, self._small, self._large = None, {}, {}, []
        except OSError as error:
            raise StoreError(f"The packs in {self._directory} could not be listed: {error}") from error

    def _list(self) -> None:
        names = set(os.listdir(self._directory))
        wanted = {name for name in names if name.endswith(".idx") and name[:-4] + ".pack" in names}
        if gone := self._indexes.keys() - wanted:
            for name in gone:
                del self._indexes[name]
            self._small = {}
            self._large = []
            for index in self._indexes.values():
                self._take_in(index)
        for name in wanted - self._indexes.keys():
            index = None
            # Gone since the listing: the next one will not name it. Damaged: not asked again before the next refresh.
            try:
                with contextlib.suppress(FileNotFoundError, ValueError):
                    index = Index(os.path.join(self._directory, name))
            except OSError as error:
                if not is_damage(error):
                    raise
            self._indexes[name] = index
            self._take_in(index)

    def _take_in(self, index: Index | None) -> None:
        if index is None:
            return
        if index.count <= _SMALL:
            self._small.update(dict.fromkeys(index.ids(), index))
        else:
            self._large.append(index)
