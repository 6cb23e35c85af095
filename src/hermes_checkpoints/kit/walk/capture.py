"""The walk: from what was seen last and what is there now to what must be stored."""

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.contract import LeftOut, Progress, Reason, Scope, Stats, WorkspaceError, silent
from hermes_checkpoints.kit.rules.ignore import Rules
from hermes_checkpoints.kit.store.batch import Batch
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.directory import Visit
from hermes_checkpoints.kit.walk.glance import glances
from hermes_checkpoints.kit.walk.memory import Learned
from hermes_checkpoints.kit.walk.seen import Seen
from hermes_checkpoints.kit.walk.taking import GONE, OURS, Taker
from hermes_checkpoints.kit.walk.watching import Watch


class Capture:
    """One walk over a workspace. Opens only what differs from what was seen before.

    ``run`` gives the tree as seen; ``tally.changed`` then counts the paths that
    differ in a way that a restore would undo, ``tally.directories`` the
    directories in which anything differs.
    """

    def __init__(
        self,
        workspace: Path,
        stores: Sequence[Path],
        scope: Scope,
        batch: Batch,
        progress: Progress = silent,
        learned: Mapping[str, Learned] | None = None,
        watch: Watch | None = None,
    ) -> None:
        """With a ``watch`` it passes over what that says has not changed."""
        self._workspace = workspace
        self._stores = {_identity(store) for store in stores}
        self._excludes = scope.excludes
        self._batch = batch
        self._racy_from = clock.racy_from(workspace)
        # Another filesystem may be mounted below, with a clock of its own.
        self._racy_elsewhere = clock.racy_by_another_clock()
        self._device: int | None = None
        self._glances = glances() if clock.directories_tell_names(workspace) else None
        self._taker = Taker(batch, scope, learned or {}, progress)
        self._watch = watch if watch is not None and not watch.broken else None
        self._order: list[Seen] = []  # directories without a node, children first
        self.tally = self._taker.tally

    def run(self, before: Seen | None) -> Seen:
        """Walk, hand contents to the batch, and return the tree with every content key known.

        Raises ``WorkspaceError`` when the workspace itself cannot be read.
        """
        if self._watch is not None:
            self._watch.begin(before)
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
        for seen in self._order:
            seen.total()
        return root

    def nodes(self) -> None:
        """Store a node for each directory that none describes yet, children first."""
        for seen in self._order:
            seen.key = self._batch.node(dict(seen.entries()))

    def stats(self, root: Seen) -> Stats:
        return Stats(root.files, self.tally.changed, self.tally.opened, self._batch.stored, self._batch.cloned)

    def _walk(self, descent: Descent, before: Seen | None) -> Seen:
        # Depth first with a stack of our own: trees may be deeper than Python's.
        visit = self._visit(descent, "", os.fstat(descent.fd), before, Rules.root(self._excludes))
        above: list[tuple[Visit, Seen | None]] = []
        old = before
        while True:
            if visit.to_enter:
                name = visit.to_enter.pop()
                known = old.dirs.get(name) if old is not None else None
                if known is not None and self._watch is not None and self._passed_over(descent, visit, name, known):
                    continue
                status = self._enter(descent, visit, old, name)
                if status is None:
                    continue
                try:
                    child = self._visit(descent, name, status, known, visit.rules)
                except OSError as error:
                    descent.leave()
                    self._left_out(visit, old, name, self._refused(name, error))
                    continue
                above.append((visit, old))
                visit, old = child, known
                continue
            done = visit.seen
            if done.key is None:
                self._order.append(done)
            if not above:
                return done
            name, known, path = visit.name, old, visit.path
            descent.leave()
            visit, old = above.pop()
            if done is known:
                visit.keep(name, known)
                continue
            if self._watch is not None and known is not None and known.key is not None and visit.same_rules:
                self._watch.differed(path)
            visit.own().dirs[name] = done
            if done.key is None or known is None or done.differs(known):
                visit.seen.key = None

    def _visit(self, descent: Descent, name: str, status: os.stat_result, old: Seen | None, rules: Rules) -> Visit:
        path = "/".join(descent.names) if self._taker.needs_paths or self._watch is not None else ""
        if old is None and name:
            self.tally.changed += 1
        if self._device is None:
            self._device = status.st_dev
        here = status.st_dev == self._device
        self._taker.racy_from = self._racy_from if here else self._racy_elsewhere
        glances = self._glances if here else None
        if self._watch is not None:
            self._watch.enter(path, descent.fd)
            status = os.fstat(descent.fd)  # what came before that was not told
        visit = Visit(descent.fd, path, name, status, old, rules, self._taker, glances)
        if self._watch is not None:
            self._watch.settle(path, descent.fd, visit, glances)
        return visit

    def _passed_over(self, descent: Descent, visit: Visit, name: str, known: Seen) -> bool:
        """Whether a directory, and all below it, stays as it was seen because nothing was told of it."""
        watch = self._watch
        if watch is None or watch.full or known.key is None or not visit.same_rules:
            return False
        if not watch.quiet("/".join((*descent.names, name))):
            return False
        visit.keep(name, known)
        return True

    def _enter(self, descent: Descent, visit: Visit, old: Seen | None, name: str) -> os.stat_result | None:
        """Step into a directory; ``None`` when it is left out, which then is noted."""
        try:
            status = descent.enter(name)
        except OSError as error:
            self._left_out(visit, old, name, self._refused(name, error))
            return None
        if (status.st_dev, status.st_ino) in self._stores:
            descent.leave()
            self._left_out(visit, old, name, Reason.STORE)
            return None
        if name in visit.seen.out:
            del visit.own().out[name]
        return status

    @staticmethod
    def _refused(name: str, error: OSError) -> Reason | None:
        """Why a directory that cannot be read is left out, unless the fault is ours; ``None``: it is gone."""
        if error.errno in OURS:
            raise WorkspaceError(f"cannot go on at {name!r}: {error.strerror}. Nothing was stored.") from error
        if error.errno == errno.ENOENT:
            return None
        return Reason.UNSTABLE if error.errno in GONE else Reason.UNREADABLE

    def _left_out(self, visit: Visit, old: Seen | None, name: str, reason: Reason | None) -> None:
        """Note that a directory is not held. What is gone is no matter."""
        out = reason.value if reason is not None else None
        was_out = old.out.get(name) if old is not None else None
        held = old is not None and (name in old.dirs or name in old.keys)
        if visit.seen.out.get(name) != out or name in visit.seen.dirs:
            seen = visit.own()
            seen.dirs.pop(name, None)
            seen.out.pop(name, None)
            if out is not None:
                seen.out[name] = out
        if old is None or held or was_out != out:
            visit.own().key = None
        if old is not None and name in old.dirs:
            self.tally.changed += old.dirs[name].paths
        if old is not None and name in old.keys:
            self.tally.changed += 1  # a file became a directory that cannot be entered


def left_out(root: Seen) -> tuple[LeftOut, ...]:
    """Every path that the tree says is not held, with the reason; each subtree that stayed is asked once."""
    todo = [("", root)]
    while todo:
        prefix, seen = todo[-1]
        below = [(f"{prefix}{name}/", child) for name, child in seen.dirs.items() if child.left]
        if first := [one for one in below if one[1].told is None]:
            todo += first
            continue
        todo.pop()
        names = [*seen.out.items(), *((name, reason) for name, (_, reason) in seen.pruned.items())]
        told = [LeftOut(prefix + name, Reason(reason)) for name, reason in names]
        for _, child in below:
            told += child.told or ()
        seen.told = tuple(told)
    return root.told or ()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
