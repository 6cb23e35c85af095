"""Hermes's own snapshots as ours: listed, compared and read where they are."""

import math
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NoReturn, Self

from hermes_checkpoints.contract import (
    BackendUnusable,
    Capability,
    Change,
    CheckpointError,
    Entry,
    Fitness,
    Growing,
    Kind,
    Note,
    Place,
    Progress,
    Saved,
    Scope,
    StoreDamaged,
    StoreError,
    Suitability,
    Usage,
    silent,
    unbounded,
)
from hermes_checkpoints.kit import TreeBackend, encode_node
from hermes_checkpoints.kit.compare import StoredTree, compare, walk
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints.kit.store.nodes import Listed, encode_header
from hermes_checkpoints.kit.store.shares import divide
from hermes_checkpoints_hermes_v2 import repository
from hermes_checkpoints_hermes_v2.history import Commit, commits, tips, workspace_of
from hermes_checkpoints_hermes_v2.trees import DIRECTORY, entries_of

_TAKES_NONE = "it reads the snapshots that Hermes itself has made, and takes none"


class HermesV2(TreeBackend):
    """Reads ``store/``, a bare repository of Hermes's; writes there only to forget and to reclaim."""

    name = "hermes-v2"
    capabilities = frozenset({Capability.FOREIGN})
    _keeps_lists = False  # the store is Hermes's

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._objects = Objects(place.store)
        self._chain: tuple[str, dict[str, Commit]] = "", {}
        self._figures: dict[str, tuple[int, int, int]] = {}

    @classmethod
    def probe(cls, place: Place) -> Fitness:
        return Fitness(Suitability.UNUSABLE, _TAKES_NONE)

    @classmethod
    def open(cls, place: Place) -> Self:
        """Creates nothing. Raises ``BackendUnusable`` when there is something to read and no git."""
        if place.workspace_id in tips(place.store) and shutil.which("git") is None:
            raise BackendUnusable("Hermes's own snapshots cannot be read without git; install it. Nothing was changed.")
        return cls(place)

    def save(self, scope: Scope, note: Note, progress: Progress = silent, growing: Growing = unbounded) -> Saved:
        raise BackendUnusable(f"no snapshot can be taken with {self.name}: {_TAKES_NONE}.")

    def purge(self, path: str, progress: Progress = silent) -> Mapping[str, str]:
        raise CheckpointError(
            f"{path!r} cannot be taken out of single snapshots that Hermes itself has made. Nothing was changed; "
            "forget all of this workspace's instead, and reclaim their space."
        )

    def _begin(self, scope: Scope) -> NoReturn:
        raise BackendUnusable(f"nothing can be stored with {self.name}: {_TAKES_NONE}.")

    def _commits(self) -> dict[str, Commit]:
        """This workspace's snapshots, newest first; looked up anew when Hermes has moved its ref."""
        tip = tips(self.place.store).get(self.place.workspace_id)
        if tip is None:
            return {}
        if self._chain[0] != tip:
            self._chain = tip, commits(self._objects, tip)
        return self._chain[1]

    def _ids(self) -> dict[str, int]:
        return {commit.id: commit.created_ns for commit in self._commits().values()}

    def _load_header(self, snapshot: str) -> bytes:
        chain = self._commits()
        if snapshot not in chain:
            raise StoreDamaged(f"Hermes has removed snapshot {snapshot[:10]}. Nothing was changed.")
        return self._described(chain[snapshot], chain, self.place.workspace)

    def _described(self, commit: Commit, chain: Mapping[str, Commit], workspace: Path) -> bytes:
        files, size, changed = self._counted(commit, chain)
        root = Entry(Kind.DIR, DIRECTORY, commit.created_ns, key=commit.tree)
        note = Note(commit.subject)
        return encode_header(workspace, commit.created_ns, note, root, files=files, size=size, changed=changed, nonce=0)

    def _counted(self, commit: Commit, chain: Mapping[str, Commit]) -> tuple[int, int, int]:
        """Files, their bytes, and changed paths of a snapshot: counted from the oldest on, each from the one before."""
        todo = [commit]
        while (before := todo[-1].before) is not None and todo[-1].id not in self._figures:
            todo.append(chain[before])
        for step in reversed(todo):
            if step.id not in self._figures:
                self._figures[step.id] = self._count(step, chain[step.before] if step.before else None)
        return self._figures[commit.id]

    def _count(self, commit: Commit, before: Commit | None) -> tuple[int, int, int]:
        tree = StoredTree(Entry(Kind.DIR, key=commit.tree), self._node)
        changes: Iterator[Change]
        if before is None:
            files, size = 0, 0
            changes = (Change(path, None, entry) for path, entry in walk(tree) if path)
        else:
            files, size, _ = self._figures[before.id]
            changes = compare(StoredTree(Entry(Kind.DIR, key=before.tree), self._node), tree, self._same_content)
        changed = 0
        for change in changes:
            changed += 1
            for entry, sign in ((change.before, -1), (change.after, 1)):
                files += sign * (entry is not None and entry.kind in (Kind.FILE, Kind.LINK))
                size += sign * (entry.size if entry is not None else 0)
        return files, size, changed

    def _load_node(self, key: bytes) -> bytes:
        return encode_node(entries_of(self._objects, key))

    def _root(self, snapshot: str) -> StoredTree:
        """With the snapshot's date for every path: git keeps no times."""
        root = super()._root(snapshot).entry

        def dated(key: bytes) -> dict[str, Entry]:
            return {name: entry._replace(mtime_ns=root.mtime_ns) for name, entry in self._node(key).items()}

        return StoredTree(root, dated)

    def read(self, entry: Entry) -> BinaryIO:
        return self._objects.stream(entry.key)

    def forget(self, snapshots: Collection[str]) -> None:
        """All of a workspace's at once, or, by ``StoreError``, none: they are one chain."""
        held = self._ids().keys()
        if not held & set(snapshots):
            return
        if not held <= set(snapshots):
            raise StoreError(
                f"the {len(held)} snapshots of {self.place.workspace} that Hermes itself has made can only be "
                "forgotten all together. Nothing was changed."
            )
        repository.forget(self.place.store, self.place.workspace_id, self._chain[0])

    def reclaim(self, until: float = math.inf, progress: Progress = silent, *, thorough: bool = False) -> bool:
        progress(0)
        try:
            return repository.reclaim(self.place.store, until, thorough=thorough)
        finally:
            self._objects.close()  # else it holds on to packs that are gone

    def usage(self) -> Usage:
        return repository.usage(self.place.store)

    def _chains(self) -> Iterator[tuple[str, dict[str, Commit]]]:
        """Every workspace's id and snapshots."""
        for workspace_id, tip in tips(self.place.store).items():
            yield workspace_id, commits(self._objects, tip)

    def _everything(self) -> Iterator[Listed]:
        for hermes_id, chain in self._chains():
            workspace = self._workspace(hermes_id)
            if workspace is not None:
                workspace_id = Place(self.place.store, workspace).workspace_id
                for commit in chain.values():
                    yield commit.id, workspace_id, commit.created_ns, self._described(commit, chain, workspace)

    def shares(self) -> Mapping[frozenset[str], int]:
        """By whole histories: no single snapshot can be forgotten."""
        roots: list[tuple[str, Entry]] = []
        whole: dict[str, frozenset[str]] = {}
        for _, chain in self._chains():
            roots += [(commit.id, Entry(Kind.DIR, key=commit.tree)) for commit in chain.values()]
            history = frozenset(chain)
            whole |= {snapshot: whole.get(snapshot, frozenset()) | history for snapshot in history}
        found: dict[frozenset[str], int] = {}
        for holders, size in divide(dict(roots).items(), self._node, self._stored_size).items():
            histories = frozenset().union(*(whole[snapshot] for snapshot in holders))
            found[histories] = found.get(histories, 0) + size
        return found

    def _stored_size(self, entry: Entry) -> int:
        return repository.stored_size(self.place.store, entry.key, self._objects)

    def workspaces(self) -> Iterator[Path]:
        """Starts no process."""
        for workspace_id in sorted(tips(self.place.store), key=lambda found: found != self.place.workspace_id):
            workspace = self._workspace(workspace_id)
            if workspace is not None:
                yield workspace

    def _workspace(self, workspace_id: str) -> Path | None:
        own = workspace_id == self.place.workspace_id
        return self.place.workspace if own else workspace_of(self.place.store, workspace_id)

    def close(self) -> None:
        self._objects.close()
