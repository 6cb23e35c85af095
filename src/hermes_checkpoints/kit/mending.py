"""Saving what can be saved of one workspace's damaged snapshots."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import (
    Entry,
    Kind,
    Mended,
    Mending,
    Progress,
    Snapshot,
    StoreDamaged,
    StoreError,
    WorkspaceError,
    split_path,
)
from hermes_checkpoints.kit.examining import Examination, Thing, thing
from hermes_checkpoints.kit.purging import Parts, Replacing
from hermes_checkpoints.kit.store.nodes import decode_node, encode_node
from hermes_checkpoints.kit.store.scratch import NO_ROOM
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import Changed, open_regular
from hermes_checkpoints.kit.walk.seen import Seen


class Sources:
    """Where lost bytes may still be: in the workspace's files, and in what was last seen of its directories.

    ``known`` is what was last seen, if anything is; ``look`` walks the
    workspace, and is called when a content is not where it was. ``digest`` of a
    lost file is what ``digest_of`` gives for its bytes, or empty.
    """

    def __init__(
        self,
        workspace: Path,
        known: Seen | None,
        look: Callable[[], Seen],
        digest: Callable[[Entry], bytes],
        digest_of: Callable[[BinaryIO, int], bytes],
        progress: Progress,
    ) -> None:
        self._workspace = workspace
        self._digest = digest
        self._digest_of = digest_of
        self._progress = progress
        self._directories = {seen.key: seen for _, seen in _walked(known) if seen.key} if known is not None else {}
        self._look = look
        self._by_size: dict[int, list[str]] | None = None
        self._by_digest: dict[int, dict[bytes, str]] = {}
        """Of the sizes that were asked for: a path by its content's digest."""
        self._digested = 0

    def directory(self, key: bytes) -> bytes | None:
        """A directory's node, made from what was last seen."""
        seen = self._directories.get(key)
        return encode_node(dict(seen.entries())) if seen is not None else None

    def contents(self, file: Entry, paths: Collection[str]) -> Iterator[tuple[str, BinaryIO]]:
        """Whatever may have a file's bytes, the likeliest first, with words for where that is."""
        if not file.size:
            yield "it is empty", BytesIO()
            return
        for path in paths:
            yield from self._opened(path, file.size)
        digest = self._digest(file)
        elsewhere = self._digests(file.size).get(digest) if digest else None
        if elsewhere is not None:
            yield from self._opened(elsewhere, file.size)

    def _opened(self, path: str, size: int) -> Iterator[tuple[str, BinaryIO]]:
        with _reading(self._workspace, split_path(path), size) as content:
            if content is not None:
                yield f"from {path} in the workspace", content

    def _digests(self, size: int) -> Mapping[bytes, str]:
        """The workspace's files of a size. Each is read once, however many contents of that size are lost."""
        if size not in self._by_digest:
            found = self._by_digest[size] = {}
            for path in self._of_size(size):
                self._digested += 1
                self._progress(self._digested)
                with _reading(self._workspace, split_path(path), size) as content:
                    if content is not None:
                        with suppress(OSError):
                            found.setdefault(self._digest_of(content, size), path)
        return self._by_digest[size]

    def _of_size(self, size: int) -> list[str]:
        if self._by_size is None:
            self._by_size = {}
            try:
                walked = _walked(self._look())
            except WorkspaceError:
                return []  # it is gone: nothing comes from there
            for prefix, seen in walked:
                for name in seen.keys:
                    entry = seen.entry_of(seen.item(name) or name)
                    if entry.kind is Kind.FILE:
                        self._by_size.setdefault(entry.size, []).append(prefix + name)
        return self._by_size.get(size, [])


def _walked(root: Seen) -> Iterator[tuple[str, Seen]]:
    """Each directory with what comes before the names in it."""
    todo = [("", root)]
    while todo:
        prefix, seen = todo.pop()
        yield prefix, seen
        todo.extend((f"{prefix}{name}/", child) for name, child in seen.dirs.items())


@contextmanager
def _reading(workspace: Path, parts: Parts, size: int) -> Iterator[BinaryIO | None]:
    """A file of the workspace, opened; ``None`` when it is none, has another size or cannot be read."""
    try:
        with Descent(os.fspath(workspace)) as descent:
            descent.go(parts[:-1])
            with open_regular(descent.fd, parts[-1]) as fd:
                content = os.fdopen(os.dup(fd), "rb")
    except (OSError, Changed):
        yield None
        return
    with content:
        yield content if os.fstat(content.fileno()).st_size == size else None


@dataclass(slots=True)
class _Found:
    """Something damaged: the newest snapshot that it costs something, and all the paths at which it was."""

    entry: Entry
    snapshot: str
    paths: dict[str, None] = field(default_factory=dict)


class Salvage:
    """One workspace's snapshots, what is damaged in them, and what becomes of it."""

    def __init__(
        self,
        created: Mapping[str, int],
        describe: Callable[[str], tuple[Snapshot, Entry]],
        load: Callable[[bytes], bytes],
        check: Callable[[Entry], None],
        progress: Progress,
    ) -> None:
        self._created = created
        self._describe = describe
        self._load = load
        self._progress = progress
        self._would_be: dict[bytes, bytes] = {}
        """Directories that are only put back in a dry run."""
        self._examination = Examination(
            lambda key: decode_node(self._would_be[key] if key in self._would_be else self._load(key)),
            lambda entry: None if entry.key in self._would_be else check(entry),
            progress,
        )
        self._roots: dict[str, Entry] = {}
        self._unreadable: dict[str, str] = {}
        self._unstored: dict[Thing, StoreError] = {}
        for snapshot in sorted(created, key=lambda one: created[one], reverse=True):
            try:
                self._roots[snapshot] = describe(snapshot)[1]
            except StoreDamaged as damage:
                self._unreadable[snapshot] = str(damage)
            else:
                self._examination.look(self._roots[snapshot])

    def heal(self, sources: Sources, put_back: Callable[[Entry, BinaryIO], bool]) -> Iterator[Mended]:
        """Have stored again whatever a source still has.

        What cannot be stored is passed over, for ``could_not_store`` to tell;
        but where there is no room, ``StoreError`` is raised at once.
        """
        tried: set[Thing] = set()
        # What is below a damaged directory is known when that is whole again.
        while todo := [found for found in self._found() if thing(found.entry) not in tried]:
            for found in todo:
                tried.add(thing(found.entry))
                how = None
                try:
                    how = self._put_back(found, sources, put_back)
                except StoreError as error:
                    if getattr(error.__cause__, "errno", None) in NO_ROOM:
                        raise
                    self._unstored[thing(found.entry)] = error
                if how is not None:
                    self._examination.healed(found.entry)
                    yield Mended(Mending.HEALED, found.snapshot, next(iter(found.paths)), how)

    def _found(self) -> list[_Found]:
        found: dict[Thing, _Found] = {}
        for snapshot, root in self._roots.items():
            for lost in self._examination.lost(root):
                one = found.setdefault(thing(lost.entry), _Found(lost.entry, snapshot))
                one.paths[lost.path] = None
        return list(found.values())

    def _put_back(self, found: _Found, sources: Sources, put_back: Callable[[Entry, BinaryIO], bool]) -> str | None:
        entry = found.entry
        if entry.kind is Kind.DIR:
            node = sources.directory(entry.key)
            if node is None or not put_back(entry, BytesIO(node)):
                return None
            self._would_be[entry.key] = node
            return "from what was last seen of the workspace"
        return next((how for how, content in sources.contents(entry, found.paths) if put_back(entry, content)), None)

    def could_not_store(self) -> None:
        """Raise the first error with which storing something again failed."""
        for error in self._unstored.values():
            raise error

    @property
    def hopeless(self) -> bool:
        """Whether something is damaged still."""
        return bool(self._unreadable or self._examination.damaged)

    def give_up(
        self,
        replace_one: Callable[[str, Collection[Parts], Mapping[str, str]], str | None],
        forget: Callable[[Collection[str]], None],
        put_aside: Callable[[str], str],
    ) -> Iterator[Mended]:
        """Have what is lost left out of its snapshots, and those of which nothing can be read put aside.

        A snapshot with something that only could not be stored again stays as it is.
        """
        lost = {snapshot: [*self._examination.lost(root)] for snapshot, root in self._roots.items()}
        for snapshot, root in self._roots.items():
            if thing(root) in self.damaged and thing(root) not in self._unstored:
                self._unreadable[snapshot] = lost[snapshot][0].what
        for snapshot in self._unreadable:
            yield Mended(Mending.QUARANTINED, snapshot, "", f"kept in {put_aside(snapshot)}")
        created = {snapshot: self._created[snapshot] for snapshot in self._roots if snapshot not in self._unreadable}
        replacing = Replacing(self._doomed, self._describe, replace_one, forget)
        for old, new in replacing.run(created, self._progress).items():
            for path, _, what in lost[old]:
                yield Mended(Mending.LEFT_OUT, old, path, what, new)
            if not lost[old]:
                yield Mended(Mending.LEFT_OUT, old, "", "names a snapshot that has a new id", new)

    def _doomed(self, root: Entry) -> list[Parts]:
        lost = [*self._examination.lost(root)]
        if any(thing(one.entry) in self._unstored for one in lost):
            return []
        return [split_path(one.path) for one in lost]

    @property
    def damaged(self) -> Collection[Thing]:
        """What is damaged still, but for snapshots of which nothing can be read."""
        return self._examination.damaged
