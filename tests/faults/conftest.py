"""Faults are tried on the filesystem that suits the backend, and counted."""

import pytest

pytest.register_assert_rewrite("aftermath", "scenarios", "trial")  # before they are imported, or they tell nothing

from field import Field  # noqa: E402
from filesystems import remove_tree  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from tampering import why_not  # noqa: E402
from trial import Trial  # noqa: E402

_FILESYSTEMS = {"shadow-git": "ext4", "cow": "xfs"}
_SOME = 5


@pytest.fixture(params=_FILESYSTEMS)
def field(request, _mounted, monkeypatch):
    """An empty field for each backend in turn."""
    if reason := why_not():
        pytest.skip(reason)
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", "")
    top = _mounted(_FILESYSTEMS[request.param]).root / "faults"
    top.mkdir()
    yield Field(top, request.param)
    remove_tree(top)


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def trial(request, field, tmp_path, tried):
    """Each scenario in turn; all faults with ``--faults=all``, else some, spread evenly."""
    everything = request.config.getoption("--faults") == "all"

    def sample(points):
        if everything or len(points) <= _SOME:
            return points
        return [points[index * len(points) // _SOME] for index in range(_SOME)]

    return Trial(field, request.param, tmp_path / "calls", sample, tried)
