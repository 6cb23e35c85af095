"""An agent's life at random: edits, snapshots, restores, crashes and other processes, in any order.

Each backend runs on a filesystem that suits it. The default profile takes a
minute or two; one with more examples (``--hypothesis-profile``) takes longer.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from random_crashes import Crashes


@pytest.mark.parametrize(("backend", "kind"), [("shadow-git", "ext4"), ("cow", "xfs")])
def test_no_order_of_edits_restores_and_crashes_loses_or_invents_anything(backend, kind, small_filesystem):
    with small_filesystem(kind, 1024) as mounted:

        class Here(Crashes):
            backend_name = backend
            filesystem = mounted.root

        limits = settings(stateful_step_count=30, suppress_health_check=list(HealthCheck))
        run_state_machine_as_test(Here, settings=limits)
