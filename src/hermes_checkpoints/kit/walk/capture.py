"""The walk: from what was seen last and what is there now to what must be stored."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.contract import LeftOut, Progress, Reason, Scope, Stats, WorkspaceError, silent
from hermes_checkpoints.kit.rules.ignore import Rules
from hermes_checkpoints.kit.store.batch import Batch
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.directory import Visit
from hermes_checkpoints.kit.walk.memory import Learned
from hermes_checkpoints.kit.walk.seen import Seen
from hermes_checkpoints.kit.walk.taking import GONE, OURS, Taker


class Capture:
    """One walk over a workspace. Opens only what differs from what was seen before.

    ``run`` gives the tree as seen; ``tally.changed`` then counts the paths that
    differ in a way that a restore would undo.
    """

    def __init__(
        self,
        workspace: Path,
        stores: Sequence[Path],
        scope: Scope,
        batch: Batch,
        progress: Progress = silent,
        learned: Mapping[str, Learned] | None = None,
    ) -> None:
        self._workspace = workspace
        self._stores = {_identity(store) for store in stores}
        self._excludes = scope.excludes
        self._batch = batch
        self._racy_from = clock.racy_from(workspace)
        # Another filesystem may be mounted below, with a clock of its own.
        self._racy_elsewhere = clock.racy_by_another_clock()
        self._device: int | None = None
        self._taker = Taker(batch, scope, learned or {}, progress)
        self._order: list[Seen] = []
        self.tally = self._taker.tally

    def run(self, before: Seen | None) -> Seen:
        """Walk, hand contents to the batch, and return the tree with every content key known.

        Raises ``WorkspaceError`` when the workspace itself cannot be read.
        """
        try:
            descent = Descent(str(self._workspace))
        except OSError as error:
            raise WorkspaceError(f"cannot read {self._workspace}: {error.strerror}. Nothing was stored.") from error
        with descent:
            try:
                root = self._walk(descent, before)
            except OSError as error:
                raise WorkspaceError(f"cannot read {self._workspace}: {error.strerror}. Nothing was stored.") from error
        self._taker.settle()
        for seen in reversed(self._order):
            if seen.key is None:
                seen.total()
        return root

    def nodes(self) -> None:
        """Store a node for each directory that none describes yet, children first."""
        for seen in reversed(self._order):
            if seen.key is None:
                seen.key = self._batch.node(dict(seen.entries()))

    def stats(self, root: Seen) -> Stats:
        return Stats(root.files, self.tally.changed, self.tally.opened, self._batch.stored, self._batch.cloned)

    def _walk(self, descent: Descent, before: Seen | None) -> Seen:
        # Depth first with a stack of our own: trees may be deeper than Python's.
        visit = self._visit(descent, "", os.fstat(descent.fd), before, Rules.root(self._excludes))
        root = visit.seen
        above: list[tuple[Visit, Seen | None]] = []
        old = before
        while True:
            if visit.to_enter:
                name = visit.to_enter.pop()
                known = old.dirs.get(name) if old is not None else None
                status = self._enter(descent, visit.seen, name)
                if status is None:
                    self._left_out(visit.seen, old, name)
                    continue
                try:
                    child = self._visit(descent, name, status, known, visit.rules)
                except OSError as error:
                    descent.leave()
                    self._refused(visit.seen, name, error)
                    self._left_out(visit.seen, old, name)
                    continue
                above.append((visit, old))
                if known is None or child.seen.stamp[:2] != known.stamp[:2] or child.seen.xattrs != known.xattrs:
                    visit.seen.key = None  # this node holds the child's mode, time and attributes
                visit.seen.dirs[name] = child.seen
                visit, old = child, known
            elif above:
                descent.leave()
                done = visit.seen
                visit, old = above.pop()
                if done.key is None:
                    visit.seen.key = None
            else:
                return root

    def _visit(self, descent: Descent, name: str, status: os.stat_result, old: Seen | None, rules: Rules) -> Visit:
        prefix = "".join(f"{part}/" for part in descent.names) if self._taker.needs_paths else ""
        if old is None and name:
            self.tally.changed += 1
        if self._device is None:
            self._device = status.st_dev
        self._taker.racy_from = self._racy_from if status.st_dev == self._device else self._racy_elsewhere
        visit = Visit(descent.fd, prefix, name, status, old, rules, self._taker)
        self._order.append(visit.seen)
        return visit

    def _enter(self, descent: Descent, parent: Seen, name: str) -> os.stat_result | None:
        """Step into a directory; ``None`` when it is left out, with the reason in the parent."""
        parent.out.pop(name, None)
        try:
            status = descent.enter(name)
        except OSError as error:
            self._refused(parent, name, error)
            return None
        if (status.st_dev, status.st_ino) in self._stores:
            descent.leave()
            parent.out[name] = Reason.STORE.value
            return None
        return status

    @staticmethod
    def _refused(parent: Seen, name: str, error: OSError) -> None:
        """A directory that cannot be read is left out, unless the fault is ours; what is gone is no matter."""
        if error.errno in OURS:
            raise WorkspaceError(f"cannot go on at {name!r}: {error.strerror}. Nothing was stored.") from error
        if error.errno != errno.ENOENT:
            parent.out[name] = (Reason.UNSTABLE if error.errno in GONE else Reason.UNREADABLE).value

    def _left_out(self, parent: Seen, old: Seen | None, name: str) -> None:
        if old is None or name in old.dirs or name in old.keys or old.out.get(name) != parent.out.get(name):
            parent.key = None
        if old is not None and name in old.dirs:
            self.tally.changed += old.dirs[name].paths
        if old is not None and name in old.keys:
            self.tally.changed += 1  # a file became a directory that cannot be entered


def left_out(root: Seen) -> Iterator[LeftOut]:
    """Every path that the tree says is not held, with the reason."""
    todo = [("", root)]
    while todo:
        prefix, seen = todo.pop()
        for name, reason in seen.out.items():
            yield LeftOut(prefix + name, Reason(reason))
        for name, (_, reason) in seen.pruned.items():
            yield LeftOut(prefix + name, Reason(reason))
        todo.extend((f"{prefix}{name}/", child) for name, child in seen.dirs.items())


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
