"""The backend: content cloned by the filesystem. ``FORMAT.md`` describes what is stored."""

import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from hermes_checkpoints.contract import (
    Capability,
    CheckpointError,
    Entry,
    Fitness,
    Kind,
    Mended,
    NewFile,
    Place,
    Progress,
    Scope,
    StoreDamaged,
    StoreError,
    Suitability,
    Usage,
    silent,
)
from hermes_checkpoints.kit import Batch, TreeBackend, open_format, private_directory
from hermes_checkpoints.kit.store.home import find_home, remember_home
from hermes_checkpoints.kit.store.names import Listing, created_name, remove_names
from hermes_checkpoints.kit.store.nodes import Listed, decode_listed, id_of
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.write.making import workspace_errors
from hermes_checkpoints_cow.cloning import place_content
from hermes_checkpoints_cow.examining import Examination
from hermes_checkpoints_cow.extents import share_all_blocks
from hermes_checkpoints_cow.fitness import fitness
from hermes_checkpoints_cow.keys import Packed, parse
from hermes_checkpoints_cow.laying import laid
from hermes_checkpoints_cow.listing import QUARANTINE, headers_of
from hermes_checkpoints_cow.opening import unreadable
from hermes_checkpoints_cow.reclaiming import Reclaiming
from hermes_checkpoints_cow.relisting import listed_again
from hermes_checkpoints_cow.repairing import digest_of_content, put_aside, put_back, rebuilt
from hermes_checkpoints_cow.sharing import BLOCK, held_by
from hermes_checkpoints_cow.space import live_files, measured
from hermes_checkpoints_cow.storing import COMPARED, Storing
from hermes_checkpoints_cow.vault import Vault

FORMAT = 2
VARIABLE = "HERMES_CHECKPOINT_COW_DIR"
"""Where clones go for workspaces on another filesystem than the store."""


class CopyOnWrite(TreeBackend):
    """Content as clones that share their blocks with the workspace's files."""

    name = "cow"
    capabilities = frozenset({Capability.SHARES_BLOCKS, Capability.STORES_LARGE_FILES_FREELY})

    def __init__(self, place: Place) -> None:
        super().__init__(place, _home(place, self.name))
        self._vault = Vault(self.home)
        self._snapshots = self.home / "snapshots" / place.workspace_id
        self._scratch = self.home / "tmp" / place.workspace_id
        self._listing = Listing(self._snapshots)
        self._examination = Examination(self.home, self._vault)
        self._created: dict[str, int] = {}

    @classmethod
    def probe(cls, place: Place) -> Fitness:
        try:
            return fitness(place.workspace, _home(place, cls.name))
        except (CheckpointError, OSError) as error:
            return Fitness(Suitability.UNUSABLE, str(error))

    @classmethod
    def open(cls, place: Place) -> Self:
        home = _home(place, cls.name)
        open_format(home, FORMAT)
        for name in ("batches", "snapshots", "tmp", "trash"):
            private_directory(home / name)
        remember_home(place, cls.name, home)
        return cls(place)

    def _begin(self, scope: Scope) -> Batch:
        return Storing(self._vault, self._snapshots, self._scratch, scope.max_file_size, first=not self._ids())

    def _ids(self) -> dict[str, int]:
        self._created = self._listing.ids()
        return self._created

    def _header_path(self, snapshot: str) -> Path:
        created_ns = self._created.get(snapshot) or self._ids().get(snapshot, 0)
        return self._snapshots / created_name(created_ns, snapshot)

    def _load_header(self, snapshot: str) -> bytes:
        path = self._header_path(snapshot)
        try:
            header = read_plain(path)
        except OSError as error:
            raise unreadable(path, error) from error
        if id_of(header) != snapshot:
            raise StoreDamaged(f"{path} has other bytes than were stored. Nothing was changed.")
        return header

    def _load_node(self, key: bytes) -> bytes:
        where = parse(key)
        if not isinstance(where, Packed):
            raise StoreDamaged("a stored directory has the key of a file. Nothing was changed.")
        return self._vault.packed(where)

    def read(self, entry: Entry) -> BinaryIO:
        return self._vault.stream(entry)

    def materialise(self, entry: Entry, dir_fd: int, name: str) -> None:
        if isinstance(parse(entry.key), Packed):
            super().materialise(entry, dir_fd, name)
            return
        with self._vault.intact(entry) as stored, workspace_errors(name):
            place_content(stored, dir_fd, name, mode=0o600)

    def materialise_all(self, files: Iterable[NewFile]) -> Iterator[int]:
        yield from laid(self._vault, files)

    def _same_content(self, before: Entry, after: Entry, path: str) -> bool:
        one, other = parse(before.key), parse(after.key)
        if one.digest and other.digest:
            return one.digest == other.digest
        if before.size <= COMPARED:
            with self.read(before) as mine, self.read(after) as theirs:
                return mine.read() == theirs.read()
        with self._vault.opened(one) as mine_fd, self._vault.opened(other) as theirs_fd:
            return share_all_blocks(mine_fd, theirs_fd)

    def forget(self, snapshots: Collection[str]) -> None:
        remove_names(self._snapshots, snapshots)

    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        with self._store_errors():
            return Reclaiming(self.home, self._load_node, until, progress, thorough=thorough).run()

    def usage(self) -> Usage:
        with self._store_errors():
            return measured(self.home, self._live_files)

    def _check(self, entry: Entry, *, full: bool) -> None:
        if entry.kind is Kind.DIR:
            super()._check(entry, full=full)
        else:
            self._examination.check(entry, full=full)

    def _check_files(self, progress: Progress, *, full: bool) -> Iterator[str]:
        yield from self._examination.files(progress)

    def rebuild(self, progress: Progress = silent, *, dry_run: bool = False) -> Iterator[Mended]:
        with self._store_errors():
            yield from rebuilt(self.home, progress, dry_run=dry_run)
            yield from listed_again(self.home, dry_run=dry_run)

    def _digest(self, file: Entry) -> bytes:
        where = parse(file.key)
        return where.digest if isinstance(where, Packed) else self._vault.known(where)

    def _digest_of(self, content: BinaryIO, size: int) -> bytes:
        return digest_of_content(content)

    def _put_back(self, entry: Entry, content: BinaryIO, *, dry_run: bool = False) -> bool:
        with self._store_errors():
            return put_back(self._vault, entry, content, scratch=self._scratch, dry_run=dry_run)

    def _put_aside(self, snapshot: str) -> str:
        header = self._header_path(snapshot)
        with self._store_errors():
            return str(put_aside(header, self.home / QUARANTINE / header.parent.name))

    def examined(self) -> None:
        self._examination.record()

    def _live_files(self) -> Iterator[int]:
        """The larger files of every workspace, where its newest snapshot has them."""
        newest: dict[Path, tuple[int, Entry]] = {}
        for listed in self._everything():
            with suppress(StoreDamaged):
                described, root = decode_listed(listed, self.name)
                if newest.get(described.workspace, (0, root))[0] <= described.created_ns:
                    newest[described.workspace] = described.created_ns, root
        for workspace, (_, root) in newest.items():
            with suppress(StoreError):
                yield from live_files(workspace, root, self._node)

    def shares(self) -> Mapping[frozenset[str], int]:
        with self._store_errors():
            return super().shares()

    def _shares(self, headers: Mapping[str, bytes]) -> Mapping[frozenset[str], int]:
        divided = dict(super()._shares(headers))
        for snapshot in headers:
            alone = frozenset((snapshot,))
            divided[alone] = divided.get(alone, 0) + BLOCK  # its header
        return divided

    def _stored_size(self, entry: Entry) -> int:
        where = parse(entry.key)
        if isinstance(where, Packed):
            return where.length
        with self._vault.opened(where) as fd:
            return held_by(fd).own

    def _everything(self) -> Iterator[Listed]:
        with self._store_errors():
            yield from headers_of(self.home / "snapshots")

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.home}: {error.strerror}. No snapshot was changed.") from error


def _home(place: Place, name: str) -> Path:
    return find_home(place, name, os.environ.get(VARIABLE))
