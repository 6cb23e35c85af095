"""Looking at one directory: what changed in it since it was last seen."""

import os

from hermes_checkpoints.contract import Entry, Reason
from hermes_checkpoints.kit.rules.ignore import RULE_FILES, Rules
from hermes_checkpoints.kit.walk import clock
from hermes_checkpoints.kit.walk.attributes import Xattrs, read_xattrs
from hermes_checkpoints.kit.walk.glance import FileItem, Glance, Glances
from hermes_checkpoints.kit.walk.reading import is_scratch, read_rule_file, status_of
from hermes_checkpoints.kit.walk.seen import Item, Seen, Stamped, directory_stamp, item_of
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


def scan_new(fd: int) -> list[Item]:
    """The listing of a directory that nobody has seen. Its files are named only: opening one tells its status.

    But for rule files, so that one that is edited after it was read shows.
    """
    listing: list[Item] = []
    add = listing.append
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    add(name + "/")
                elif entry.is_file(follow_symlinks=False) and name not in RULE_FILES:
                    add(name)
                else:
                    add(item_of(name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
            except OSError:
                add((name, 0, 0, 0, 0, 0))
    return listing


def look(fd: int, name: str) -> FileItem | None:
    """What a listing would say of one name; ``None`` when it is gone."""
    try:
        status = status_of(fd, name)
    except OSError:
        return (name, 0, 0, 0, 0, 0)
    return None if status is None else item_of(name, status)


class Visit:
    """What was found in a directory: ``seen``, the ``rules`` inside it, and the directories ``to_enter``.

    ``seen`` is the very one that was seen before, as long as nothing differs.
    ``seen.key`` is set when the stored node still describes the directory
    itself; what is below is for the walk to find out.
    """

    def __init__(
        self,
        fd: int,
        path: str,
        name: str,
        status: os.stat_result,
        old: Seen | None,
        rules: Rules,
        taker: Taker,
        glances: Glances | None,
    ) -> None:
        self._fd = fd
        self.path = path
        self._taker = taker
        self._old = old or _NEVER
        self.name = name
        self.glanced = False
        """Whether a glance was enough."""
        stamp = directory_stamp(status)
        listing: list[Item] | None = None
        if old is not None and not old.racy:
            glance = old.glance if old.stamp == stamp else None
            if glances is not None and glance is not None and glances.unchanged(fd, glance):
                self.glanced = True
                listing, self.to_enter = old.listing, glance.directories.copy()
            else:
                listing, self.to_enter = scan(fd, old.pruned)
            if listing == old.listing:
                self.rules = rules.inside(name, old.rule_files)
                if self.same_rules:
                    self._stayed(old, stamp)
                    return
        if listing is None:
            new = old is None and not taker.needs_paths
            listing = scan_new(fd) if new else scan(fd, self._old.pruned)[0]
        self.seen = Seen()
        taker.tally.directories += 1
        self.seen.xattrs, self.seen.stamp = self._own_attributes(old, stamp)
        self._known = {item[0]: item for item in self._old.listing if isinstance(item, tuple)}
        self._compare(listing, name, rules)

    def _stayed(self, old: Seen, stamp: Stamped) -> None:
        """Nothing in it differs, but for what may differ below."""
        self.seen = old
        if old.key is None:
            self.own()  # it will be given a node, which nothing seen before may have that was not published
        if old.glance is None:
            old.glance = Glance(old.listing, old.entered())
        if old.stamp != stamp:
            xattrs, stamp = self._own_attributes(old, stamp)
            if (xattrs, stamp) != (old.xattrs, old.stamp):
                self.own().xattrs, self.own().stamp = xattrs, stamp
                self._taker.tally.directories += 1

    @property
    def same_rules(self) -> bool:
        """Whether the rules inside it are those of before."""
        return self.rules.digest == self._old.rules

    def keep(self, name: str, known: Seen) -> None:
        """A directory in it is as it was seen before."""
        if self.seen is not self._old:
            self.seen.dirs[name] = known

    def own(self) -> Seen:
        """What is seen here, to be changed: no longer the one that was seen before."""
        if self.seen is self._old:
            self.seen = self.seen.copy()
        return self.seen

    def _own_attributes(self, old: Seen | None, stamp: Stamped) -> tuple[Xattrs, Stamped]:
        """Its extended attributes, and its stamp, or one that no directory has when that proves nothing."""
        if old is not None and old.stamp == stamp:
            return old.xattrs, stamp
        xattrs = read_xattrs(self._fd)
        if old is not None and (old.stamp[0], old.xattrs) != (stamp[0], xattrs):
            self._taker.tally.changed += 1
        if clock.is_racy(stamp[1], stamp[2], self._taker.racy_from):
            stamp = (*stamp[:3], -1)  # looked at again
        return xattrs, stamp

    def _compare(self, listing: list[Item], name: str, rules: Rules) -> None:
        """Name by name, for a directory that is new or differs from what was seen."""
        seen, old = self.seen, self._old
        files = {item[0]: item for item in listing if isinstance(item, tuple) and item[0] in RULE_FILES}
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
        item: FileItem | None
        if isinstance(listed, str):  # new, or was pruned by rules that have changed since
            if self._old is _NEVER and (item := self._taker.take_new(self._fd, name, seen)):
                return item
            item = look(self._fd, name)
            if item is None:
                return None
        else:
            item = listed
        if reason is not None:
            seen.out[name] = reason  # a rule file that a rule ignores: still watched, never stored
            self._taker.mark_racy(seen, item)
            return item
        if self._known.get(name) == item and name not in old.racy and old.out.get(name) != Reason.IGNORED.value:
            seen.keep(name, old)
            return item
        prefix = f"{self.path}/" if self.path else ""
        taken = self._taker.take(self._fd, prefix, item, seen, self._before(name))
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
        if self.same_rules:
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
