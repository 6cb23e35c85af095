"""Which backends can be measured on a filesystem, and why the others cannot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hermes_checkpoints import plugins
from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.settings import AUTO


@dataclass(frozen=True, slots=True)
class Candidates:
    """The installed backends that take snapshots, as a directory's filesystem sees them."""

    default: str
    """The one that is used when nobody says which; may be none of the ``usable``, when others were asked for."""
    usable: Mapping[str, str]
    """Why each is fit, by name, in the order of names."""
    unusable: Mapping[str, str]
    """Why each is not."""


def candidates(directory: Path, store: Path, asked: Sequence[str] = ()) -> Candidates:
    """Probe every backend, or those that are asked for; ``store`` is where they would work, and is not made.

    Raises ``UnknownBackend``, or ``BackendUnusable`` when none can serve the directory.
    """
    for name in asked:
        plugins.load(name)
    usable, unusable = {}, {}
    with Engine(store=store, backend=AUTO) as engine:
        default = engine.choose(directory).name
        for report in engine.backends(directory):
            foreign = report.fitness is not None and is_foreign(plugins.load(report.name))
            if report.name not in asked if asked else foreign:  # a foreign one takes no snapshots: nothing to time
                continue
            if report.fitness is None:
                unusable[report.name] = report.error or "it does not load"
            elif foreign or not report.fitness.usable:
                unusable[report.name] = report.fitness.why
            else:
                usable[report.name] = report.fitness.why
    return Candidates(default, usable, unusable)
