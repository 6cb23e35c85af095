"""Backends that each break one promise, so that the conformance suite can be seen to notice.

Not collected by themselves: ``test_mutants.py`` runs them. ``@must_fail("test_…")``
names the test of the suite that each mutant is made for.
"""

import sys

from hermes_checkpoints.testing import BackendContract, MemoryBackend

HARMLESS = "test_an_empty_workspace_has_a_snapshot_too"
"""Passes with every mutant: each is broken in one way, not altogether."""
MUTANTS: dict[str, tuple[str, str]] = {}
"""By the mutant's name: the file and class that run the suite over it, and the test that must fail there."""


def must_fail(test):
    """Run the suite over this backend, and expect that test to fail."""

    def mutant(backend_class):
        module = sys.modules[backend_class.__module__]
        title = f"Test{backend_class.__name__}"
        settings = {
            "backend_class": backend_class,
            "shared_between_processes": not issubclass(backend_class, MemoryBackend),
            "__module__": module.__name__,
        }
        setattr(module, title, type(title, (BackendContract,), settings))
        MUTANTS[backend_class.__name__] = (f"{module.__file__}::{title}", test)
        return backend_class

    return mutant


def batches(batch_class):
    """A ``_begin`` that makes batches of another class."""
    return lambda self, scope: batch_class(self._shelf, self.place.workspace_id)
