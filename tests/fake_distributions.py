"""Packages that look installed: a directory for ``sys.path`` with a module and its ``.dist-info``."""

import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

from hermes_checkpoints.contract.hooks import ENTRY_POINT_GROUP

COMPLETE = """
    from hermes_checkpoints.contract import Backend, Fitness, Saved, Suitability, Usage
    from hermes_checkpoints.contract.hooks import hookimpl

    class Complete(Backend):
        name = {name!r}

        @classmethod
        def probe(cls, place):
            return Fitness(Suitability.UNUSABLE, "it is a fake")

        @classmethod
        def open(cls, place):
            return cls(place)

        def save(self, scope, note, progress=None, growing=None): ...
        def snapshots(self): ...
        def changes(self, since, until=None, *, scope=None): ...
        def entry(self, snapshot, path): ...
        def entries(self, snapshot): ...
        def read(self, entry): ...
        def materialise(self, entry, dir_fd, name): ...
        def forget(self, snapshots): ...
        def purge(self, path, progress=None): ...
        def reclaim(self, until=0, progress=None, *, thorough=False): ...
        def usage(self): ...
        def shares(self): ...
        def all_snapshots(self): ...
"""
"""The source of a backend that loads, without the hook that offers it. ``{name!r}`` is its name."""

HOOK = """
    @hookimpl
    def hermes_checkpoints_backend():
        return Complete
"""


def write_distribution(
    directory: Path, name: str, module: str, source: str, *, version: str = "1.0", distribution: str | None = None
) -> Path:
    """Write a package that offers the backend ``name``; the directory, to be put on ``sys.path``.

    ``{name!r}`` in the module's source is the backend's name. The distribution
    is called ``fake-<module>`` unless said otherwise.
    """
    distribution = distribution or f"fake-{module.replace('_', '-')}"
    directory.mkdir(exist_ok=True)
    (directory / f"{module}.py").write_text(textwrap.dedent(source).replace("{name!r}", repr(name)))
    info = directory / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n\nVersion: no\n")
    (info / "entry_points.txt").write_text(
        f"[console_scripts]\nfake = {module}:main\n\n[{ENTRY_POINT_GROUP}]\n# ours\n{name} = {module}\n"
    )
    return directory


@contextmanager
def installed(*directories: Path):
    """Inside, these stand first on ``sys.path`` and no really installed distribution is found there.

    Modules that were imported inside are forgotten at the end. What has been
    imported before, above all pluggy and this project, stays imported.
    """
    path, modules = sys.path[:], set(sys.modules)
    sys.path[:] = [str(directory) for directory in directories] + [p for p in path if not _has_distributions(p)]
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if any(_below(sys.modules[name], directory) for directory in directories):
                del sys.modules[name]


def _has_distributions(entry: str) -> bool:
    return any(Path(entry).glob("*.dist-info")) or any(Path(entry).glob("*.egg-info"))


def _below(module, directory: Path) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(str(directory))
