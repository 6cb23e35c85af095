"""A copy-on-write store on each real filesystem in turn."""

import pytest

from cow_ground import ground_at


@pytest.fixture
def ground(on_filesystem):
    with ground_at(on_filesystem) as made:
        yield made
