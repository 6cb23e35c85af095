"""What is alive: every object that a snapshot leans on."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged, StoreError
from hermes_checkpoints.kit.store.nodes import decode_header, decode_node
from hermes_checkpoints_shadow_git.objects import object_id
from hermes_checkpoints_shadow_git.storing import Node, header_of, tree_of

_OURS = re.compile("[0-9a-f]{16}-[0-9a-f]{40}")  # the name says what is in it: thousands need not be read
_HEX = frozenset(b"0123456789abcdef")


def every_ref(repository: Path) -> Iterator[tuple[bytes, Path]]:
    """Each ref's object and file, also of refs that somebody made or packed with git by hand.

    Raises ``StoreDamaged`` for a file among the refs that is none.
    """
    for directory, _, names in os.walk(repository / "refs", onerror=_unlistable):
        for name in names:
            path = Path(directory, name)
            if _OURS.fullmatch(name):
                yield bytes.fromhex(name[17:]), path
            elif not name.endswith(".lock"):
                with suppress(FileNotFoundError):  # forgotten since it was listed
                    if (oid := _id_in(path.read_bytes(), path)) is not None:
                        yield oid, path
    packed = repository / "packed-refs"
    with suppress(FileNotFoundError):
        for line in packed.read_bytes().splitlines():
            if line[:1] not in (b"#", b"^") and (oid := _id_in(line.partition(b" ")[0], packed)) is not None:
                yield oid, packed


def _unlistable(error: OSError) -> None:
    """A directory that cannot be listed must not look like one without snapshots."""
    if not isinstance(error, FileNotFoundError):
        raise StoreError(f"{error.filename} could not be listed: {error.strerror}. Nothing was deleted.") from error


def _id_in(content: bytes, path: Path) -> bytes | None:
    text = content.strip()
    if text.startswith(b"ref: "):
        return None  # another name of a ref that is listed, too
    if len(text) != 40 or not _HEX.issuperset(text):
        raise StoreDamaged(f"{path} is no ref. Nothing was deleted; move it away if it does not belong there.")
    return bytes.fromhex(text.decode())


class Mark:
    """The objects that are alive. It only grows: what was alive once counts as alive to the end.

    Memory: about 90 bytes an object.
    """

    def __init__(self, repository: Path, read: Callable[[bytes], tuple[str, bytes]], tick: Callable[[], None]) -> None:
        self._repository = repository
        self._read = read
        self._tick = tick
        self._snapshots: set[bytes] = set()
        self._nodes: set[bytes] = set()
        self.live: set[bytes] = set()
        self.fresh: set[bytes] = set()
        """What came alive since somebody emptied this set."""

    def catch_up(self) -> None:
        """Take in the snapshots that were published since; only directories that are new are read.

        Raises ``StoreDamaged`` when one cannot be read and has not been forgotten meanwhile.
        """
        for commit, path in every_ref(self._repository):
            if commit in self._snapshots:
                continue
            try:
                self._take_in(commit, path)
            except StoreDamaged:
                if path.exists():
                    raise

    def _take_in(self, commit: bytes, path: Path) -> None:
        # Kept aside until all of it was read: a directory counts as read when everything below it is alive.
        nodes: set[bytes] = set()
        live = {commit}
        kind, content = self._read(commit)
        if kind != "commit":
            raise StoreError(f"{path} names something that is no snapshot. Nothing was deleted; remove that ref.")
        live.add(tree_of(content))
        todo = [decode_header(header_of(content), commit.hex(), "shadow-git")[1].key]
        while todo:
            key = todo.pop()
            if key in self._nodes or key in nodes:
                continue
            self._tick()
            nodes.add(key)
            node = Node(key)
            live |= {node.files, node.meta_blob, node.meta}
            for entry in decode_node(self._read(node.meta_blob)[1]).values():
                if entry.kind is Kind.DIR:
                    todo.append(entry.key)
                elif entry.kind is Kind.FILE:
                    live.add(entry.key)
                elif entry.kind is Kind.LINK:
                    live.add(object_id(b"blob", entry.target))
        self._snapshots.add(commit)
        self._nodes |= nodes
        self.fresh |= live - self.live
        self.live |= live
