"""What is alive: every object that a snapshot leans on."""

from collections.abc import Callable
from pathlib import Path

from hermes_checkpoints.contract import Kind, StoreDamaged, StoreError
from hermes_checkpoints.kit.store.nodes import decode_header, decode_node
from hermes_checkpoints_shadow_git.objects import object_id
from hermes_checkpoints_shadow_git.refs import every_ref
from hermes_checkpoints_shadow_git.storing import Node, header_of, tree_of


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
