"""A tree as it was last seen: the stat cache, in memory.

What is equal to what was seen need not be opened again. The cache only saves
work: lost, old or damaged, the outcome of a walk is the same.
"""

import os
import stat
from collections.abc import Iterator

from hermes_checkpoints.contract import Entry, Kind, LeftOut, Reason, Stamp
from hermes_checkpoints.kit.walk.attributes import Xattrs
from hermes_checkpoints.kit.walk.glance import FileItem, Glance

# An item of a listing: ("name", mode, size, mtime_ns, ctime_ns, inode) for a file or link;
# "name/" for a directory; "name" for a file that the rules leave out, which is not looked at.
Item = FileItem | str
# A directory's own mode, mtime, ctime and inode.
Stamped = tuple[int, int, int, int]


class Seen:
    """One directory. Made once, then only completed by the capture that made it; trees share those that stayed."""

    __slots__ = (
        "_by_name",
        "dirs",
        "files",
        "folders",
        "glance",
        "key",
        "keys",
        "left",
        "listing",
        "out",
        "pruned",
        "racy",
        "rule_files",
        "rules",
        "size",
        "stamp",
        "told",
        "xattrs",
        "xattrs_of",
    )

    def __init__(self) -> None:
        self._by_name: dict[str, FileItem] | None = None
        self.glance: Glance | None = None
        """How to look whether the files in it have changed, once this process has seen that they had not."""
        self.stamp: Stamped = (0, 0, 0, 0)
        """The directory's own mode, mtime, ctime and inode."""
        self.xattrs: Xattrs = ()
        self.rules = b""
        """Digest of the ignore rules under which names were pruned."""
        self.rule_files: tuple[bytes | None, bytes | None] = (None, None)
        self.listing: list[Item] = []
        """In the order the filesystem gave, so that an unchanged directory is one comparison."""
        self.racy: set[str] = set()
        """Names whose times were too young to prove anything."""
        self.keys: dict[str, bytes] = {}
        """Content keys of files, texts of links."""
        self.xattrs_of: dict[str, Xattrs] = {}
        self.out: dict[str, str] = {}
        """Names in the listing (or directories) that were looked at and left out; the reason's value."""
        self.pruned: dict[str, tuple[bool, str]] = {}
        """Names left out by rule: whether a directory, the reason's value."""
        self.dirs: dict[str, Seen] = {}
        self.key: bytes | None = None
        """The stored node that describes this directory; ``None``: none does."""
        self.files = self.folders = self.size = self.left = 0
        """Of everything below: files and links, directories, bytes, and names that are left out."""
        self.told: tuple[LeftOut, ...] | None = None
        """Those names, once somebody was told them."""

    def entry_of(self, item: Item) -> Entry:
        """The entry of a listed name that is not a directory."""
        if isinstance(item, str):
            return Entry.left_out(Reason(self.pruned[item][1]))
        name, mode, size, mtime_ns, _, _ = item
        left_out = self.out.get(name)
        if left_out is not None:
            return Entry.left_out(Reason(left_out))
        if stat.S_ISLNK(mode):
            return Entry(Kind.LINK, 0o777, mtime_ns, 0, self.keys[name])
        return Entry(Kind.FILE, mode & 0o7777, mtime_ns, size, self.keys[name], self.xattrs_of.get(name, ()))

    def own_entry(self) -> Entry:
        """The entry of this directory itself, as its parent's node holds it."""
        return Entry(Kind.DIR, self.stamp[0] & 0o7777, self.stamp[1], 0, self.key or b"", self.xattrs)

    def differs(self, other: "Seen") -> bool:
        """Whether the parent's node says something else of the two."""
        return self.stamp[:2] != other.stamp[:2] or self.xattrs != other.xattrs

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every name in this directory and what a snapshot says of it."""
        for item in self.listing:
            if isinstance(item, tuple):
                yield item[0], self.entry_of(item)
                continue
            name = item.removesuffix("/")
            if name in self.dirs:
                yield name, self.dirs[name].own_entry()
            elif name in self.out:
                yield name, Entry.left_out(Reason(self.out[name]))
            elif name in self.pruned:
                yield name, Entry.left_out(Reason(self.pruned[name][1]))

    def item(self, name: str) -> FileItem | None:
        """The listed file or link of that name."""
        if self._by_name is None:
            self._by_name = {item[0]: item for item in self.listing if isinstance(item, tuple)}
        return self._by_name.get(name)

    @property
    def paths(self) -> int:
        """Everything held below, and this directory."""
        return 1 + self.files + self.folders

    def copy(self) -> "Seen":
        """Another one that says the same, and can come to say something else of itself and what is below."""
        new = Seen()
        for slot in self.__slots__:
            setattr(new, slot, getattr(self, slot))
        new.out, new.dirs, new.racy = dict(self.out), dict(self.dirs), set(self.racy)
        new.told = None
        return new

    def entered(self) -> list[str]:
        """Names of the directories in it that rules do not leave out."""
        directories = (item[:-1] for item in self.listing if isinstance(item, str) and item.endswith("/"))
        return [name for name in directories if name not in self.pruned]

    def keep(self, name: str, old: "Seen") -> None:
        """Take over one name that has not changed."""
        if name in old.out:
            self.out[name] = old.out[name]
            return
        self.keys[name] = old.keys[name]
        if name in old.xattrs_of:
            self.xattrs_of[name] = old.xattrs_of[name]

    def total(self) -> None:
        """Sum up what is below, from the children's sums."""
        self.files, self.size, self.folders = len(self.keys), 0, len(self.dirs)
        self.left = len(self.out) + len(self.pruned)
        for item in self.listing:
            if isinstance(item, tuple) and item[0] in self.keys and stat.S_ISREG(item[1]):
                self.size += item[2]
        for child in self.dirs.values():
            self.files += child.files
            self.folders += child.folders
            self.size += child.size
            self.left += child.left


def item_of(name: str, status: os.stat_result) -> FileItem:
    return (name, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def directory_stamp(status: os.stat_result) -> Stamped:
    return (status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def stamp_of(item: FileItem) -> Stamp:
    return Stamp(*item[1:])
