"""Which backends are installed, and loading one of them: installed packages are listed without importing any.

Two packages that claim one name are an error that names both, never a silent
replacement. A plugin that fails to load costs nobody but itself: only the
wanted one is imported, and each has a plugin manager of its own.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.machinery import PathFinder
from types import ModuleType
from typing import NamedTuple

import pluggy

from hermes_checkpoints.contract import Backend, BrokenBackend, UnknownBackend, hooks

# A name is typed by people and is a directory in the store, which may lie on a filesystem that ignores case.
_NAME = re.compile("[a-z0-9]+([-_.][a-z0-9]+)*")
# The choice by probing, and what else lies in a store.
_RESERVED = frozenset({"auto", "locks", "objects", "pins", "projects", "refs", "used"})


class Offer(NamedTuple):
    """An installed backend, not imported."""

    name: str
    """What a person calls it: the name of the entry point."""
    module: str
    """The plugin, as the entry point names it."""
    distributions: tuple[str, ...]
    """Name and version of the package that offers it; more than one when several claim the name."""


def offers() -> dict[str, Offer]:
    """Every installed backend by name, in the order of names. Imports none."""
    claims: dict[str, list[tuple[str, str]]] = {}
    seen = set()
    for distribution, entry_points in _distributions():
        # As for imports, what comes first on sys.path hides the same package further on: an editable install and the
        # wheel beside it, a virtual environment's version and the system's.
        key = re.sub("[-_.]+", "-", distribution.rpartition(" ")[0]).lower()
        if key in seen:
            continue
        seen.add(key)
        for name, module in entry_points:
            claims.setdefault(name, []).append((distribution, module))
    return {name: Offer(name, of[0][1], tuple(claim[0] for claim in of)) for name, of in sorted(claims.items())}


def load(name: str) -> type[Backend]:
    """The backend of that name.

    Raises ``UnknownBackend`` when no installed package offers it, and
    ``BrokenBackend`` (its cause chained) when one does and it cannot be used.
    """
    installed = offers()
    if name not in installed:
        raise UnknownBackend(
            f"No installed package offers a backend {name!r}. Installed: {', '.join(installed) or 'none'}."
        )
    return _load(installed[name])


def load_all() -> dict[str, type[Backend] | BrokenBackend]:
    """Every installed backend by name; in place of one that does not load, the error that says why."""
    loaded: dict[str, type[Backend] | BrokenBackend] = {}
    for offer in offers().values():
        try:
            loaded[offer.name] = _load(offer)
        except BrokenBackend as broken:
            loaded[offer.name] = broken
    return loaded


def _load(offer: Offer) -> type[Backend]:
    if len(offer.distributions) > 1:
        raise BrokenBackend(
            f"The backend {offer.name!r} is offered by {' and by '.join(offer.distributions)}; "
            "none of them was loaded. Uninstall all but one."
        )
    if not _NAME.fullmatch(offer.name) or offer.name in _RESERVED:
        raise _broken(offer, "a backend cannot have that name")
    if not all(part.isidentifier() for part in offer.module.split(".")):
        raise _broken(offer, f"its entry point must name a module, which {offer.module!r} is not")
    with _blamed_on(offer, f"importing {offer.module}"):
        module = importlib.import_module(offer.module)
    return _checked(offer, _answer(offer, module))


@lru_cache(maxsize=64)
def _answer(offer: Offer, module: ModuleType) -> object:
    """What the plugin's hook returns; asked once, since a manager takes 1 ms to make."""
    manager = pluggy.PluginManager("hermes_checkpoints")
    manager.add_hookspecs(hooks)
    hook = manager.hook.hermes_checkpoints_backend
    with _blamed_on(offer, "registering its hook"):
        manager.register(module)
        manager.check_pending()
    if not hook.get_hookimpls():
        raise _broken(offer, f"{offer.module} has no hookimpl {hook.name}")
    with _blamed_on(offer, f"its hook {hook.name}"):
        return hook()


def _checked(offer: Offer, backend: object) -> type[Backend]:
    if not (isinstance(backend, type) and issubclass(backend, Backend)):
        what = backend.__qualname__ if isinstance(backend, type) else f"a {type(backend).__name__}"
        raise _broken(offer, f"its hook returned {what}, not a subclass of Backend")
    if missing := sorted(backend.__abstractmethods__):
        raise _broken(offer, f"{backend.__qualname__} lacks {', '.join(missing)}")
    called = getattr(backend, "name", None)  # a class may lack it; then an instance is the first to notice
    if called != offer.name:
        raise _broken(offer, f"{backend.__qualname__}.name is {called!r}")
    return backend


@contextmanager
def _blamed_on(offer: Offer, doing: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise _broken(offer, f"{doing} raised {type(error).__name__}: {error}") from error


def _broken(offer: Offer, why: str) -> BrokenBackend:
    return BrokenBackend(
        f"The backend {offer.name!r} of {offer.distributions[0]} cannot be loaded: {why}. "
        "Other backends are not affected. Repair or uninstall that package."
    )


def _distributions() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name and version of every installed package that offers backends, with its entry points, in path order."""
    # importlib.metadata is right about zips, eggs and foreign finders, and takes 40 ms to import where the rest of a
    # command takes less. What pip installs, also editable, is a directory, and 2 ms.
    if any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder):
        yield from _by_importlib(None)
        return
    for entry in sys.path:
        try:
            status = os.stat(entry or ".")
        except OSError:  # not there, or not for us to read: imports pass it over too
            continue
        # As for imports: what is installed or removed changes the directory's date.
        yield from _offering(hooks.ENTRY_POINT_GROUP, entry or ".", status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _offering(_group: str, entry: str, _modified: int, _inode: int) -> tuple[tuple[str, list[tuple[str, str]]], ...]:
    """The same for one entry of ``sys.path``, read once for each date of it."""
    return tuple(_read_offering(entry))


def _read_offering(entry: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    try:
        names = sorted(os.listdir(entry))
    except NotADirectoryError:
        yield from _by_importlib(entry)
        return
    except OSError:
        return
    if entry.endswith(".egg"):
        yield from _by_importlib(entry)
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            directory = os.path.join(entry, name)
            if entry_points := _entry_points(_text(directory, "entry_points.txt")):
                header = _text(directory, "METADATA") or _text(directory, "PKG-INFO")
                yield _name_and_version(header, name.rpartition(".")[0]), entry_points


def _by_importlib(entry: str | None) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    from importlib import metadata

    for distribution in metadata.distributions() if entry is None else metadata.distributions(path=[entry]):
        if entry_points := _entry_points(distribution.read_text("entry_points.txt") or ""):
            header = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
            yield _name_and_version(header), entry_points


def _entry_points(text: str) -> list[tuple[str, str]]:
    """Name and value of our group's entries in the text of an ``entry_points.txt``."""
    found = []
    ours = False
    if hooks.ENTRY_POINT_GROUP in text:
        for line in map(str.strip, text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                ours = line[1:-1].strip() == hooks.ENTRY_POINT_GROUP
            elif ours and "=" in line and not line.startswith("#"):
                name, _, value = line.partition("=")
                found.append((name.strip(), value.strip()))
    return found


def _name_and_version(header: str, stem: str = "?") -> str:
    """Both from a package's metadata; from its directory, without the suffix, where that says nothing."""
    fields = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)", header.partition("\n\n")[0], re.MULTILINE))
    name, _, version = stem.partition("-")
    return f"{fields.get('Name', name)} {fields.get('Version', version or '?')}"


def _text(directory: str, name: str) -> str:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # many packages have no entry points, and half-removed ones have nothing
        return ""
