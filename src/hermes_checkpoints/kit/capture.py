"""The walk: from what was seen last and what is there now to what must be stored."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hermes_checkpoints.contract import Entry, LeftOut, Progress, Reason, Scope, Stats, WorkspaceError, same, silent
from hermes_checkpoints.kit import clock
from hermes_checkpoints.kit.attributes import Xattrs, read_xattrs
from hermes_checkpoints.kit.batch import Batch, LeaveOut
from hermes_checkpoints.kit.descent import Descent
from hermes_checkpoints.kit.ignore import RULE_FILES, Rules
from hermes_checkpoints.kit.memory import Learned
from hermes_checkpoints.kit.reading import Changed, open_regular, read_rule_file, status_of
from hermes_checkpoints.kit.seen import Item, Seen, directory_stamp, item_of

VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
# A file that is still moving after so many looks is left out as unstable.
TRIES = 3
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# Out of descriptors or memory is not a property of one file.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_UNKNOWN = Seen()


class Capture:
    """One walk over a workspace. Opens only what differs from ``before``.

    ``Capture(...).run()`` gives the tree as seen; ``changed`` then counts the
    paths that differ in a way that a restore would undo.
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
        self._scope = scope
        self._batch = batch
        self._progress = progress
        self._learned = learned or {}
        self._prefix = ""
        self._limit = clock.racy_from(workspace)
        self._stores = {_identity(store) for store in stores} - {None}
        self._pending: list[tuple[Seen, Item, Entry | None]] = []
        self._order: list[Seen] = []
        self.opened = 0
        self.changed = 0
        self.moved = False
        """Whether anything at all differs from what was seen before, if only a time."""

    def run(self, before: Seen | None) -> Seen:
        """Walk, hand contents to the batch, and return the tree with every content key known."""
        try:
            descent = Descent(str(self._workspace))
        except OSError as error:
            raise WorkspaceError(f"cannot read {self._workspace}: {error.strerror}. Nothing was stored.") from error
        with descent:
            root = self._walk(descent, before)
        self._settle()
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
        return Stats(root.files, self.changed, self.opened, self._batch.stored, self._batch.cloned)

    def _walk(self, descent: Descent, before: Seen | None) -> Seen:
        rules = Rules.root(self._scope.excludes)
        root, rules, names = self._visit(descent.fd, "", os.fstat(descent.fd), before, rules)
        above: list[tuple[Seen, Seen | None, Rules, list[str]]] = []
        here, old = root, before
        names.reverse()
        while True:
            if not names:
                if not above:
                    return root
                descent.leave()
                child, (here, old, rules, names) = here, above.pop()
                if child.key is None:
                    here.key = None
                continue
            name = names.pop()
            known = old.dirs.get(name) if old is not None else None
            status = self._enter(descent, here, name)
            if status is None:
                if old is None or old.out.get(name) != here.out.get(name):
                    here.key = None
                    self.moved = True
                if known is not None:
                    self._count_gone(known)
                continue
            above.append((here, old, rules, names))
            if self._learned:
                self._prefix = "/".join(descent.names) + "/"
            child, rules, names = self._visit(descent.fd, name, status, known, rules)
            if known is None or directory_stamp(status)[:2] != known.stamp[:2] or child.xattrs != known.xattrs:
                here.key = None  # the parent's node holds the child's mode, time and attributes
            here.dirs[name] = child
            here, old = child, known
            names.reverse()

    def _enter(self, descent: Descent, parent: Seen, name: str) -> os.stat_result | None:
        """Step into a directory; ``None`` when it is left out, with the reason in the parent."""
        parent.out.pop(name, None)
        try:
            status = descent.enter(name)
        except OSError as error:
            if error.errno in _OURS:
                raise WorkspaceError(f"cannot go on at {name!r}: {error.strerror}. Nothing was stored.") from error
            if error.errno != errno.ENOENT:
                parent.out[name] = (Reason.UNSTABLE if error.errno in _GONE else Reason.UNREADABLE).value
            return None
        if (status.st_dev, status.st_ino) in self._stores:
            descent.leave()
            parent.out[name] = Reason.STORE.value
            return None
        return status

    def _visit(
        self, fd: int, name: str, status: os.stat_result, old: Seen | None, rules: Rules
    ) -> tuple[Seen, Rules, list[str]]:
        """Look at one directory: what it holds, the rules inside, the children to enter."""
        seen = Seen()
        self._order.append(seen)
        seen.stamp = directory_stamp(status)
        listing, names = self._scan(fd, old.pruned if old is not None else {})
        if old is None:
            self.changed += 1 if name else 0
            self.moved = True
        seen.xattrs = self._own_attributes(fd, seen, old)
        if old is not None and not old.racy and listing == old.listing:
            inside = rules.inside(name, old.rule_files)
            if inside.digest == old.rules:
                seen.listing, seen.keys, seen.xattrs_of, seen.pruned = old.listing, old.keys, old.xattrs_of, old.pruned
                seen.out = dict(old.out)
                seen.rules, seen.rule_files = old.rules, old.rule_files
                seen.key, seen.files, seen.folders, seen.size = old.key, old.files, old.folders, old.size
                return seen, inside, names
        self.moved = True
        seen.listing = listing
        return self._compare(fd, name, seen, old or _UNKNOWN, rules)

    def _own_attributes(self, fd: int, seen: Seen, old: Seen | None) -> Xattrs:
        if old is not None and old.stamp == seen.stamp:
            return old.xattrs
        xattrs = read_xattrs(fd)
        if old is not None:
            self.moved = True
            if (old.stamp[0], old.xattrs) != (seen.stamp[0], xattrs):
                self.changed += 1
        if clock.is_racy(seen.stamp[1], seen.stamp[2], self._limit):
            seen.stamp = (*seen.stamp[:3], -1)  # equals no directory's: looked at again
        return xattrs

    @staticmethod
    def _scan(fd: int, pruned: dict[str, tuple[bool, str]]) -> tuple[list[Item], list[str]]:
        listing: list[Item] = []
        names: list[str] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                name = entry.name
                try:
                    if entry.is_dir(follow_symlinks=False):
                        listing.append(name + "/")
                        if name not in pruned:
                            names.append(name)
                    elif name in pruned and not pruned[name][0]:
                        listing.append(name)
                    else:
                        s = entry.stat(follow_symlinks=False)
                        # One tuple, spelt out: this line runs once a file at every turn.
                        listing.append((name, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino))
                except FileNotFoundError:
                    continue
                except OSError:  # a directory that may be listed but not searched
                    listing.append((name, 0, 0, 0, 0, 0))
        return listing, names

    def _compare(self, fd: int, name: str, seen: Seen, old: Seen, rules: Rules) -> tuple[Seen, Rules, list[str]]:
        """The slow way, name by name, for a directory that is new or differs from what was seen."""
        seen.rule_files = self._rule_files(fd, seen, old)
        rules = rules.inside(name, seen.rule_files)
        seen.rules = rules.digest
        decided = rules.digest == old.rules
        known = {item[0]: item for item in old.listing if isinstance(item, tuple)}
        names: list[str] = []
        listing: list[Item] = []
        for listed in seen.listing:
            item = listed
            this = item[0] if isinstance(item, tuple) else item.removesuffix("/")
            is_dir = isinstance(item, str) and item.endswith("/")
            reason = self._prune(this, is_dir, old, rules, decided and (this in known or this in old.dirs))
            if reason is not None and this not in RULE_FILES:
                seen.pruned[this] = (is_dir, reason)
                if (before := self._before(this, old, known)) is not None and before.held:
                    self.changed += 1
                listing.append(f"{this}/" if is_dir else this)
                continue
            if isinstance(item, str):
                if is_dir:
                    names.append(this)
                    listing.append(item)
                    continue
                status = status_of(fd, this)  # pruned by rules that have changed since
                if status is None:
                    continue
                item = item_of(this, status)
            if reason is not None:
                seen.out[this] = reason  # a rule file that a rule ignores: still watched, never stored
            elif known.get(this) == item and this not in old.racy:
                self._keep(seen, this, old)
            else:
                looked = self._look(fd, item, seen, self._before(this, old, known))
                if looked is None:
                    continue
                item = looked
            listing.append(item)
        seen.listing = listing
        self._count_missing(seen, old, names, known)
        return seen, rules, names

    @staticmethod
    def _prune(name: str, is_dir: bool, old: Seen, rules: Rules, held: bool) -> str | None:
        if held:
            return None
        if name in VERSION_CONTROL:
            return Reason.VERSION_CONTROL.value
        if rules.digest == old.rules and old.pruned.get(name, (None,))[0] is is_dir:
            return old.pruned[name][1]
        return Reason.IGNORED.value if rules.ignores(name, is_dir) else None

    @staticmethod
    def _keep(seen: Seen, name: str, old: Seen) -> None:
        if name in old.out:
            seen.out[name] = old.out[name]
            return
        seen.keys[name] = old.keys[name]
        if name in old.xattrs_of:
            seen.xattrs_of[name] = old.xattrs_of[name]

    @staticmethod
    def _before(name: str, old: Seen, known: dict[str, tuple[str, int, int, int, int, int]]) -> Entry | None:
        if name in known:
            return old.entry_of(known[name])
        return old.dirs[name].own_entry() if name in old.dirs else None

    def _rule_files(self, fd: int, seen: Seen, old: Seen) -> tuple[bytes | None, bytes | None]:
        texts: list[bytes | None] = []
        for index, name in enumerate(RULE_FILES):
            item = seen.item(name)
            if item is None:
                texts.append(None)
            elif item == old.item(name) and name not in old.racy:
                texts.append(old.rule_files[index])
            else:
                texts.append(read_rule_file(fd, name))
        return texts[0], texts[1]

    def _look(self, fd: int, item: tuple[str, int, int, int, int, int], seen: Seen, before: Entry | None) -> Item | None:
        """Take what a name holds now; ``None`` when it is gone."""
        name, mode = item[0], item[1]
        reason: Reason | None = None
        learned = self._learned.get(self._prefix + name) if self._learned else None
        if learned is not None and learned[0] == item[1:]:
            seen.keys[name] = learned[1]
            if learned[2]:
                seen.xattrs_of[name] = learned[2]
        elif stat.S_ISLNK(mode):
            try:
                seen.keys[name] = os.fsencode(os.readlink(name, dir_fd=fd))
            except FileNotFoundError:
                return None
            except OSError:
                reason = Reason.UNSTABLE
        elif mode == 0:
            reason = Reason.UNREADABLE
        elif not stat.S_ISREG(mode):
            reason = Reason.SPECIAL
        else:
            try:
                item = self._take(fd, item, seen, before)
            except FileNotFoundError:
                return None
            except Changed:
                reason = Reason.UNSTABLE
            except LeaveOut as left_out:
                reason = left_out.reason
            except OSError as error:
                if error.errno in _OURS:
                    raise WorkspaceError(f"cannot go on at {name!r}: {error.strerror}. Nothing was stored.") from error
                reason = Reason.UNSTABLE if error.errno in _GONE else Reason.UNREADABLE
        if reason is not None:
            seen.out[name] = reason.value
        if name in seen.keys or reason is not None:  # else pending: counted when its key is known
            self._count(before, seen.entry_of(item))
        if reason is Reason.UNSTABLE or clock.is_racy(item[3], item[4], self._limit):
            seen.racy.add(name)
        return item

    def _take(
        self, fd: int, item: tuple[str, int, int, int, int, int], seen: Seen, before: Entry | None
    ) -> tuple[str, int, int, int, int, int]:
        self.opened += 1
        if self.opened % 256 == 0:
            self._progress(self.opened)
        name = item[0]
        limit = 0 if self._batch.takes_any_size else self._scope.max_file_size
        for _ in range(TRIES):
            if limit and item[2] > limit:
                raise LeaveOut(Reason.TOO_LARGE)
            with open_regular(fd, name) as source:
                item = item_of(name, os.fstat(source))
                if limit and item[2] > limit:
                    continue
                xattrs = read_xattrs(source)
                try:
                    self._batch.add(source, item[2], before)
                except Changed:
                    continue
                if item_of(name, os.fstat(source)) != item:
                    self._batch.drop()
                    continue
            if xattrs:
                seen.xattrs_of[name] = xattrs
            self._pending.append((seen, item, before))
            return item
        raise Changed(name)

    def _settle(self) -> None:
        for (seen, item, before), key in zip(self._pending, self._batch.keys(), strict=True):
            seen.keys[item[0]] = key
            self._count(before, None if before is None else seen.entry_of(item))

    def _count(self, before: Entry | None, after: Entry | None) -> None:
        if before is None and (after is None or after.held):
            self.changed += 1
        elif before is not None and not same(before, after):
            self.changed += 1

    def _count_missing(
        self, seen: Seen, old: Seen, names: list[str], known: dict[str, tuple[str, int, int, int, int, int]]
    ) -> None:
        there = {item[0] for item in seen.listing if isinstance(item, tuple)}
        self.changed += sum(1 for name in old.keys if name not in there and name not in seen.pruned)
        for gone in old.dirs.keys() - set(names):
            self._count_gone(old.dirs[gone])

    def _count_gone(self, directory: Seen) -> None:
        self.changed += 1 + directory.files + directory.folders


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
