"""Carrying out the steps of a plan: what is done for each, and what is said of it."""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from hermes_checkpoints.contract import Backend, CheckpointError, Entry, Kind, Stamp, StoreDamaged, WorkspaceError
from hermes_checkpoints.kit.store.scratch import NO_ROOM
from hermes_checkpoints.kit.write.beside import made_beside
from hermes_checkpoints.kit.write.building import Built, build
from hermes_checkpoints.kit.write.building import put as put_built
from hermes_checkpoints.kit.write.portion import Made, Portion
from hermes_checkpoints.kit.write.replacing import Moved
from hermes_checkpoints.kit.write.writing import TreeWriter
from hermes_checkpoints.planned import is_directory
from hermes_checkpoints.policy.plan import Action, Step
from hermes_checkpoints.results import Failure

# After one of these the rest would fail too, and deleting would make it worse.
_STOP = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
# How often files are made together again after one of them could not be: each time all that is left is looked at.
_TRIES = 8
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


@dataclass(frozen=True, slots=True)
class Carrying:
    """A plan that is being carried out below one root."""

    writer: TreeWriter
    portion: Portion
    backend: Backend
    stamp: Callable[[str], Stamp | None]
    options: Options
    done: Applied
    spellings: dict[str, Step]
    was: dict[str, Step] = field(default_factory=dict)
    """By the path that is created: what turned out to be the same entry."""
    respelled: set[str] = field(default_factory=set)
    """Paths that need not be deleted any more."""
    refused: set[str] = field(default_factory=set)
    """Directories that would have been made in another one of nearly the same name."""
    built: dict[str, Sequence[Step]] = field(default_factory=dict)
    """By its path: the steps of a directory that was made as a whole, and waits."""
    again: list[Step] = field(default_factory=list)
    """Of directories that were made as a whole when something already had their names."""

    def waits(self, step: Step) -> bool:
        """Whether a file takes the place of a directory, which has to be emptied first."""
        other = self.spellings.get(step.path, step)
        return not is_directory(step.after) and (is_directory(step.before) or is_directory(other.before))

    def build(self, steps: Sequence[Step]) -> bool:
        """Make a new directory with all that is in it; ``False``, and nothing is done, where that is not possible."""
        path = steps[0].path
        known = self.spellings.keys() | self.refused
        if len(steps) == 1 or self.done.stopped or path.rpartition("/")[0] in self.refused:
            return False
        entries = [(step.path, self._as_written(step.after)) for step in steps if step.after and step.before is None]
        if len(entries) < len(steps) or not known.isdisjoint(path for path, _ in entries):
            return False
        try:
            fill, times = self.backend.materialise_all, self.options.times
            built = build(self.writer, entries, fill, times=times, wrote=self.portion.wrote)
        except (CheckpointError, OSError):
            return False  # one by one, it is told for which path, and the others come back
        self.built[path] = steps
        self.portion.add(built)
        return True

    def write_all(self, steps: Sequence[Step], *, at_once: bool) -> None:
        """Write what does not have to wait; new files of one directory ``at_once``, where that is possible."""
        left, tries = list(steps), _TRIES if at_once else 0
        while left:
            made = self._lay(left) if tries and len(left) > 1 else 0
            tries = max(tries - 1, 0)
            for step in left[made : made + 1]:  # the one that could not be made with the others, or is alone
                if not self.waits(step):
                    self.do(self.write, step)
            left = left[made + 1 :]

    def _lay(self, steps: Sequence[Step]) -> int:
        """How many of these new files were made beside their places: the first ones, up to one that could not be."""
        entries = [(step.path, self._as_written(step.after)) for step in steps if step.after is not None]
        spelled = not self.spellings.keys().isdisjoint(path for path, _ in entries)
        if spelled or steps[0].path.rpartition("/")[0] in self.refused or self.done.stopped:
            return 0
        made = 0
        try:
            fill, times = self.backend.materialise_all, self.options.times
            for one in made_beside(self.writer, entries, fill, times=times):
                self.portion.add(one)
                made += 1
        except (Moved, CheckpointError, OSError):
            pass  # by itself, it is told for which path
        if self.portion.complete:
            self.put()
        return made

    def do(self, act: Callable[[Step], None], step: Step) -> None:
        self._guarded(step.path, partial(self._with_room, act, step))

    def _with_room(self, act: Callable[[Step], None], step: Step) -> None:
        try:
            act(step)
        except (CheckpointError, OSError) as error:
            cause = _cause(error)
            if not self.portion or cause is None or cause.errno not in NO_ROOM:
                raise
            self.put()  # what it replaces makes room
            if self.done.stopped:
                raise
            act(step)

    def _guarded(self, path: str, act: Callable[[], None]) -> bool:
        """Whether it was done; whatever is the matter with it is reported for its path."""
        if self.done.stopped:
            self.done.failed.append(Failure(path, f"not tried: {self.done.stopped}"))
            return False
        try:
            act()
        except Moved as moved:
            self.done.kept.append(Failure(path, str(moved)))
        except (CheckpointError, OSError) as error:
            self.failed(path, error)
        else:
            return True
        return False

    def failed(self, path: str, error: CheckpointError | OSError) -> None:
        """Report what was the matter with a path, and stop where the rest would fare no better."""
        cause = _cause(error)
        self.done.failed.append(Failure(path or ".", (cause is error and cause.strerror) or str(error)))
        if cause is not None and cause.errno in _STOP and not isinstance(error, StoreDamaged):
            self.done.stopped = f"{cause.strerror}, at {path or '.'}"

    def put(self) -> None:
        """Give what is ready its names, also when the rest has been stopped by something else."""
        stopped, self.done.stopped = self.done.stopped, ""
        trouble: OSError | None = None
        try:
            self.portion.sync()
        except OSError as error:
            trouble = error
        while self.portion:
            made = self.portion.next()
            if isinstance(made, Built):
                self.portion.drop(put=self._put_built(made, trouble))
            else:
                self.portion.drop(put=self._guarded(made.path, partial(self._put, made, trouble)))
        self.done.stopped = stopped or self.done.stopped

    def _put_built(self, built: Built, trouble: OSError | None) -> bool:
        if trouble is not None:
            for path, _ in built.entries:
                self._guarded(path, partial(_fail, trouble))
            return False
        try:
            put_built(self.writer, built)
        except (Moved, CheckpointError, OSError):
            self.again.extend(self.built[built.path])
            return False
        self.done.stamps.update(built.stamps)
        self.done.written.extend(path for path, _ in built.entries)
        return True

    def _put(self, made: Made, trouble: OSError | None) -> None:
        if trouble is not None:
            raise trouble
        stamp = self.writer.put(made.path, made.scratch, made.stamp, made.expected)
        if stamp is not None:
            self.done.stamps[made.path] = stamp
        self.done.written.append(made.path)

    def _expected(self, step: Step) -> Stamp | None:
        was = self.was.get(step.path, step)
        here = was.before is not None and was.before.kind in (Kind.FILE, Kind.LINK)
        return self.stamp(was.path) if here else None

    def delete(self, step: Step) -> None:
        assert step.before is not None
        if step.path not in self.respelled:
            if step.before.kind is Kind.DIR:
                self.writer.delete_directory(step.path)
            else:
                self.writer.delete(step.path, self._expected(step))
        self.done.deleted.append(step.path)

    def write(self, step: Step) -> None:
        after = step.after
        assert after is not None
        if (above := step.path.rpartition("/")[0]) in self.refused:
            self.refused.add(step.path)
            raise WorkspaceError(f"{above} could not be made")
        self._respell(step)
        before = self.was.get(step.path, step).before
        if after.kind is Kind.DIR:
            if not is_directory(before):
                self._make_directory(step)
            times = after.mtime_ns if self.options.times else None
            self.writer.set_directory(step.path, after.mode, after.xattrs, times)
        elif not self._same_content(before, after) or not self._attributes(step, after):
            self.portion.add(self._beside(step, after))
            if self.portion.complete:
                self.put()
            return
        self.done.written.append(step.path)

    def _make_directory(self, step: Step) -> None:
        try:
            self.writer.make_directory(step.path, self._expected(step))
        except WorkspaceError:
            self.refused.add(step.path)
            raise

    def _respell(self, step: Step) -> None:
        """Give the entry that is there under another spelling of a created path that path's own."""
        other = self.spellings.get(step.path)
        if other is None or step.path in self.was or other.path in self.respelled or self.waits(step):
            return
        if not self.writer.same_entry(other.path, step.path):
            return
        if other.action is Action.DELETE:
            self.writer.respell(other.path, step.path, self._expected(other))
            self.respelled.add(other.path)
        self.was[step.path] = other

    @staticmethod
    def _same_content(before: Entry | None, after: Entry) -> bool:
        return before is not None and (before.kind, before.size, before.key) == (after.kind, after.size, after.key)

    def _mode(self, after: Entry) -> int:
        return after.mode if self.options.setuid else after.mode & ~SET_ID

    def _as_written(self, after: Entry) -> Entry:
        plain = after.kind is not Kind.FILE or after.mode == self._mode(after)
        return after if plain else after._replace(mode=self._mode(after))

    def _attributes(self, step: Step, after: Entry) -> bool:
        if after.kind is Kind.LINK:
            return True
        stamp = self.writer.set_attributes(step.path, self._mode(after), after.xattrs, self._expected(step))
        if stamp is not None:
            self.done.stamps[step.path] = stamp
        return stamp is not None

    def _beside(self, step: Step, after: Entry) -> Made:
        fd, _ = self.writer.parent(step.path)
        scratch, expected = self.writer.scratch(), self._expected(step)
        if after.kind is Kind.LINK:
            os.symlink(os.fsdecode(after.target), scratch, dir_fd=fd)
            made = Stamp.of(os.stat(scratch, dir_fd=fd, follow_symlinks=False))
            return Made(step.path, scratch, made, expected)
        self.backend.materialise(after, fd, scratch)  # leaves nothing when it fails
        try:
            times = after.mtime_ns if self.options.times else None
            made = self.writer.finish(step.path, scratch, self._mode(after), after.xattrs, times)
        except BaseException:
            self.writer.discard(step.path, scratch)
            raise
        return Made(step.path, scratch, made, expected)


def _fail(error: OSError) -> None:
    raise error


def _cause(error: CheckpointError | OSError) -> OSError | None:
    cause = error if isinstance(error, OSError) else error.__cause__
    return cause if isinstance(cause, OSError) else None
