"""One workspace to be harmed, on each real filesystem and with each backend."""

import pytest

from trees import BACKENDS, ground


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    """On ext4, XFS and Btrfs in turn."""
    with ground(on_filesystem, request.param) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def anywhere(request, fresh_directory):
    """For what does not depend on the filesystem."""
    with ground(fresh_directory, request.param) as made:
        yield made
