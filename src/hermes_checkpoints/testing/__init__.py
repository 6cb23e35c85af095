"""The conformance suite for storage backends, and two backends that only tests want.

::

    from hermes_checkpoints.testing import BackendContract

    class TestMine(BackendContract):
        backend_class = MyBackend

``docs/write-a-backend.md`` tells the rest. Importing this package needs pytest,
which is no dependency of ``hermes-checkpoints`` itself::

    pip install 'hermes-checkpoints[test]'
"""

try:
    import pytest
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        "hermes_checkpoints.testing needs pytest, which hermes-checkpoints does not install by itself: "
        "pip install 'hermes-checkpoints[test]'",
        name=missing.name,
    ) from missing

_SUBJECTS = "comparing crashing damage forgetting hostile listing reading scope space taking trees".split()
# Before they are imported: a failing assert then shows the values, as it does in a test file.
pytest.register_assert_rewrite(*(f"{__name__}.{subject}" for subject in _SUBJECTS))

from hermes_checkpoints.testing.conformance import BackendContract  # noqa: E402
from hermes_checkpoints.testing.faulty import FaultyBackend  # noqa: E402
from hermes_checkpoints.testing.memory import MemoryBackend  # noqa: E402

__all__ = ["BackendContract", "FaultyBackend", "MemoryBackend"]
