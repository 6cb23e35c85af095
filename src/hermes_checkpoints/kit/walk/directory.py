"""Looking at one directory: what changed in it since it was last seen."""

import os

from hermes_checkpoints.contract import Entry, Reason
from hermes_checkpoints.kit.rules.ignore import RULE_FILES, Rules
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.attributes import Xattrs, read_xattrs
from hermes_checkpoints.kit.walk.reading import is_scratch, read_rule_file, status_of
from hermes_checkpoints.kit.walk.seen import FileItem, Item, Seen, directory_stamp, item_of
from hermes_checkpoints.kit.walk.taking import Taker

VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
_NEVER = Seen()


def scan(fd: int, pruned: dict[str, tuple[bool, str]]) -> tuple[list[Item], list[str]]:
    """A directory's listing, and the names of the directories in it that are not known to be pruned.

    What is known to be pruned is not looked at. This is the loop that every
    turn spends its time in: about one ``lstat`` a file and little else.
    """
    listing: list[Item] = []
    names: list[str] = []
    add = listing.append
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    add(name + "/")
                    if name not in pruned:
                        names.append(name)
                elif pruned and name in pruned and not pruned[name][0]:
                    add(name)
                else:
                    s = entry.stat(follow_symlinks=False)
                    add((name, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino))
            except FileNotFoundError:
                continue
            except OSError:  # a directory that may be listed but not searched
                add((name, 0, 0, 0, 0, 0))
    return listing, names


class Visit:
    """What was found in a directory: ``seen``, the ``rules`` inside it, and the directories ``to_enter``.

    ``seen.key`` is set when the stored node still describes the directory
    itself; what is below is for the walk to find out.
    """

    def __init__(
        self,
        fd: int,
        prefix: str,
        name: str,
        status: os.stat_result,
        old: Seen | None,
        rules: Rules,
        taker: Taker,
    ) -> None:
        self._fd = fd
        self._prefix = prefix
        self._taker = taker
        self._old = old or _NEVER
        self.seen = Seen()
        self.seen.stamp = directory_stamp(status)
        self.seen.xattrs = self._own_attributes(old)
        listing, self.to_enter = scan(fd, self._old.pruned)
        if old is not None and not old.racy and listing == old.listing:
            self.rules = rules.inside(name, old.rule_files)
            if self.rules.digest == old.rules:
                self.seen.take_over(old)
                return
        self._known = {item[0]: item for item in self._old.listing if isinstance(item, tuple)}
        self._compare(listing, name, rules)

    def _own_attributes(self, old: Seen | None) -> Xattrs:
        seen = self.seen
        if old is not None and old.stamp == seen.stamp:
            return old.xattrs
        xattrs = read_xattrs(self._fd)
        if old is not None and (old.stamp[0], old.xattrs) != (seen.stamp[0], xattrs):
            self._taker.tally.changed += 1
        if clock.is_racy(seen.stamp[1], seen.stamp[2], self._taker.racy_from):
            seen.stamp = (*seen.stamp[:3], -1)  # equals no directory's: looked at again
        return xattrs

    def _compare(self, listing: list[Item], name: str, rules: Rules) -> None:
        """Name by name, for a directory that is new or differs from what was seen."""
        seen, old = self.seen, self._old
        files = {item[0]: item for item in listing if isinstance(item, tuple)}
        seen.rule_files = (self._rule_file(0, files), self._rule_file(1, files))
        self.rules = rules.inside(name, seen.rule_files)
        seen.rules = self.rules.digest
        self.to_enter = []
        for listed in listing:
            this = listed[0] if isinstance(listed, tuple) else listed.removesuffix("/")
            is_dir = isinstance(listed, str) and listed.endswith("/")
            reason = self._pruned(this, is_dir)
            if is_dir:
                item: Item | None = listed
                if reason is None:
                    self.to_enter.append(this)
                else:
                    seen.pruned[this] = (True, reason)
            else:
                item = self._file(listed, this, reason)
            if item is not None:
                seen.listing.append(item)
        present = {item[0] for item in seen.listing if isinstance(item, tuple)} | set(self.to_enter)
        tally = self._taker.tally
        gone = [name for name in old.keys if name not in present or name in seen.pruned]
        gone_directories = old.dirs.keys() - set(self.to_enter)
        tally.changed += len(gone) + sum(old.dirs[name].paths for name in gone_directories)
        self._taker.gone(old, (*gone, *gone_directories))

    def _file(self, listed: Item, name: str, reason: str | None) -> Item | None:
        """Anything but a directory; ``None`` when it is gone."""
        seen, old = self.seen, self._old
        if reason is not None and name not in RULE_FILES:
            seen.pruned[name] = (False, reason)
            return name
        item: FileItem
        if isinstance(listed, str):  # was pruned by rules that have changed since
            status = status_of(self._fd, name)
            if status is None:
                return None
            item = item_of(name, status)
        else:
            item = listed
        if reason is not None:
            seen.out[name] = reason  # a rule file that a rule ignores: still watched, never stored
            self._taker.mark_racy(seen, item)
            return item
        if self._known.get(name) == item and name not in old.racy and old.out.get(name) != Reason.IGNORED.value:
            seen.keep(name, old)
            return item
        taken = self._taker.take(self._fd, self._prefix, item, seen, self._before(name))
        if name in RULE_FILES and taken != listed:
            seen.racy.add(name)  # it was edited after its rules were read
        return taken

    def _pruned(self, name: str, is_dir: bool) -> str | None:  # noqa: FBT001  # once a name, by position
        """Why the rules leave a name out, asked only where the answer is not known."""
        if name in VERSION_CONTROL:
            return Reason.VERSION_CONTROL.value
        if is_scratch(name):
            return Reason.STORE.value
        old = self._old
        if self.rules.digest == old.rules:
            if name in old.pruned and old.pruned[name][0] is is_dir:
                return old.pruned[name][1]
            if (name in old.dirs) if is_dir else (name in old.keys):
                return None
        return Reason.IGNORED.value if self.rules.ignores(name, is_dir) else None

    def _before(self, name: str) -> Entry | None:
        if name in self._known:
            return self._old.entry_of(self._known[name])
        return None

    def _rule_file(self, index: int, files: dict[str, FileItem]) -> bytes | None:
        name = RULE_FILES[index]
        if name not in files:
            return None
        if files[name] == self._known.get(name) and name not in self._old.racy:
            return self._old.rule_files[index]
        return read_rule_file(self._fd, name)
