"""The conformance suite over every installed backend on every real filesystem, and over the one in memory."""

import pytest

from hermes_checkpoints import plugins
from hermes_checkpoints.contract import BrokenBackend, Capability
from hermes_checkpoints.testing import BackendContract, MemoryBackend

_INSTALLED = plugins.load_all()


class TestMemory(BackendContract):
    backend_class = MemoryBackend
    shared_between_processes = False


class _OnRealFilesystems(BackendContract):
    """Workspace and store on one of ext4, XFS and Btrfs."""

    @pytest.fixture
    def ground(self, on_filesystem):
        return on_filesystem


# One class for each backend that is found, so that one more needs no line here.
for _name, _found in _INSTALLED.items():
    if not isinstance(_found, BrokenBackend) and Capability.FOREIGN not in _found.capabilities:
        _title = "Test" + _name.title().replace("-", "").replace("_", "").replace(".", "")
        globals()[_title] = type(_title, (_OnRealFilesystems,), {"backend_class": _found, "__module__": __name__})


@pytest.mark.parametrize("name", _INSTALLED)
def test_every_installed_backend_loads(name):
    found = _INSTALLED[name]
    assert not isinstance(found, BrokenBackend), str(found)


def test_both_backends_that_are_shipped_are_found():
    assert {"cow", "shadow-git"} <= _INSTALLED.keys()


def test_a_redefined_promise_is_refused():
    with pytest.raises(TypeError, match="redefines test_an_id_is_never_used_again"):
        type("Cheating", (BackendContract,), {"test_an_id_is_never_used_again": lambda self: None})


def test_a_promise_redefined_by_way_of_another_class_is_refused():
    with pytest.raises(TypeError, match="redefines test_an_id_is_never_used_again"):

        class Cheating(TestMemory):
            test_an_id_is_never_used_again = None


def test_an_expected_failure_of_a_test_that_does_not_exist_is_refused():
    with pytest.raises(TypeError, match="do not exist: test_misspelt"):
        type("Misspelt", (BackendContract,), {"expected_failures": {"test_misspelt": "reason"}})
