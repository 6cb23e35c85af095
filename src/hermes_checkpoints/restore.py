"""Putting files back: the one implementation, for every backend.

Writes come first and deletions last, so a disk that fills up costs nothing.
Each file is the old one or the new one at every moment.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hermes_checkpoints.contract import Backend, CheckpointError, Entry, Kind, Stamp
from hermes_checkpoints.kit.store.publish import FEW, sync_filesystem
from hermes_checkpoints.kit.writing import Moved, TreeWriter, scratch_name
from hermes_checkpoints.policy.plan import Action, Plan, Step
from hermes_checkpoints.results import Failure

# After one of these the rest would fail too, and deleting would make it worse.
_STOP = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
SET_ID = 0o6000


@dataclass(frozen=True, slots=True)
class Options:
    """How files are put back."""

    times: bool = False
    """Give rewritten files and directories their recorded modification time instead of now."""
    setuid: bool = False
    """Keep setuid and setgid bits of files."""


@dataclass(slots=True)
class Applied:
    """What was done, path by path."""

    written: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    kept: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    """Of the files that now have the target's content."""
    stopped: str = ""
    """Why the rest was not tried."""


def apply(
    plan: Plan,
    root: Path,
    backend: Backend,
    stamp: Callable[[str], Stamp | None],
    options: Options = Options(),
) -> Applied:
    """Carry out a plan below ``root``.

    ``stamp`` gives each path's stat as the safety snapshot saw it; a path that
    has moved since is kept. Per-path failures are reported, not raised.
    """
    done = Applied(kept=[Failure(step.path, step.reason) for step in plan.of(Action.KEEP)])
    many = len(plan.steps) > FEW
    with TreeWriter(root, durable=not many) as writer:
        carry = _Carry(writer, backend, stamp, options, done)
        # A file that takes a directory's place waits until the directory has been emptied.
        late = [step for step in plan.of(Action.WRITE) if _replaces_directory(step)]
        for step in plan.steps:
            if step.action in (Action.WRITE, Action.ATTRIBUTES) and not _replaces_directory(step):
                carry.guarded(carry.write, step)
        for step in reversed(plan.of(Action.DELETE)):
            carry.guarded(carry.delete, step)
        for step in late:
            carry.guarded(carry.write, step)
    if many:
        sync_filesystem(root)
    return done


def _replaces_directory(step: Step) -> bool:
    return (
        step.before is not None
        and step.before.kind is Kind.DIR
        and step.after is not None
        and step.after.kind is not Kind.DIR
    )


@dataclass(frozen=True, slots=True)
class _Carry:
    writer: TreeWriter
    backend: Backend
    stamp: Callable[[str], Stamp | None]
    options: Options
    done: Applied

    def guarded(self, act: Callable[[Step], None], step: Step) -> None:
        """Do one step; whatever is the matter with it is reported for its path."""
        if self.done.stopped:
            self.done.failed.append(Failure(step.path, f"not tried: {self.done.stopped}"))
            return
        try:
            act(step)
        except Moved as moved:
            self.done.kept.append(Failure(step.path, str(moved)))
        except CheckpointError as error:
            self.done.failed.append(Failure(step.path, str(error)))
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _STOP:
                self.done.stopped = f"{error.__cause__.strerror}, at {step.path}"
        except OSError as error:
            self.done.failed.append(Failure(step.path, error.strerror or str(error)))
            if error.errno in _STOP:
                self.done.stopped = f"{error.strerror}, at {step.path}"

    def _expected(self, step: Step) -> Stamp | None:
        here = step.before is not None and step.before.kind in (Kind.FILE, Kind.LINK)
        return self.stamp(step.path) if here else None

    def delete(self, step: Step) -> None:
        assert step.before is not None
        if step.before.kind is Kind.DIR:
            self.writer.delete_directory(step.path)
        else:
            self.writer.delete(step.path, self._expected(step))
        self.done.deleted.append(step.path)

    def write(self, step: Step) -> None:
        after = step.after
        assert after is not None
        if after.kind is Kind.DIR:
            if step.before is None or step.before.kind is not Kind.DIR:
                self.writer.make_directory(step.path, self._expected(step))
            times = after.mtime_ns if self.options.times else None
            self.writer.set_directory(step.path, after.mode, after.xattrs, times)
        elif not (step.action is Action.ATTRIBUTES and self._attributes(step, after)):
            self._content(step, after)
        self.done.written.append(step.path)

    def _mode(self, after: Entry) -> int:
        return after.mode if self.options.setuid else after.mode & ~SET_ID

    def _attributes(self, step: Step, after: Entry) -> bool:
        stamp = self.writer.set_attributes(step.path, self._mode(after), after.xattrs, self._expected(step))
        if stamp is not None:
            self.done.stamps[step.path] = stamp
        return stamp is not None

    def _content(self, step: Step, after: Entry) -> None:
        with self._beside(step.path) as (fd, scratch):
            if after.kind is Kind.LINK:
                os.symlink(os.fsdecode(after.target), scratch, dir_fd=fd)
            else:
                self.backend.materialise(after, fd, scratch)
                times = after.mtime_ns if self.options.times else None
                self.writer.finish(step.path, scratch, self._mode(after), after.xattrs, times)
            self.done.stamps[step.path] = self.writer.put(step.path, scratch, self._expected(step))

    @contextmanager
    def _beside(self, path: str) -> Iterator[tuple[int, str]]:
        """A directory descriptor and a free name in it, where a path's new content is made."""
        fd, _ = self.writer.parent(path)
        scratch = scratch_name()
        try:
            yield fd, scratch
        except BaseException:
            self.writer.discard(path, scratch)
            raise
