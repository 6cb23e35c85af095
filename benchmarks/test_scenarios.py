"""The scenarios of ``hermes-checkpoints bench`` over every installed backend; run with ``make bench``."""

import pytest

from hermes_checkpoints import plugins
from hermes_checkpoints.bench import SCENARIOS, Lane, make_tree
from hermes_checkpoints.contract import BrokenBackend, Capability
from hermes_checkpoints.testing import MemoryBackend
from hermes_checkpoints.testing.fixtures import Fixtures

FILES = 1000


class BackendScenarios(Fixtures):
    """The conformance suite's ground, measured. Set ``backend_class``, as for ``BackendContract``."""

    @pytest.fixture
    def lane(self, ground):
        with Lane(self.backend_class, ground, big=16_000_000) as lane:
            make_tree(lane.tree, FILES)
            lane.begin()
            yield lane

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
    def test_scenario(self, benchmark, lane, scenario):
        benchmark.group = scenario.what
        benchmark.extra_info["backend"] = lane.backend

        def prepare():
            scenario.prepare(lane)
            return (lane,), {}

        benchmark.pedantic(scenario.act, setup=prepare, rounds=3 if scenario.slow else 10)


class TestMemory(BackendScenarios):
    backend_class = MemoryBackend


# One class for each backend that is found, so that one more needs no line here.
for _name, _found in plugins.load_all().items():
    if not isinstance(_found, BrokenBackend) and Capability.FOREIGN not in _found.capabilities:
        _title = "Test" + _name.title().replace("-", "").replace("_", "").replace(".", "")
        globals()[_title] = type(_title, (BackendScenarios,), {"backend_class": _found, "__module__": __name__})
