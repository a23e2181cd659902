"""What the tests of hand-made programs begin with."""

import pytest

from tests.sim.programs import Bench


@pytest.fixture
def bench():
    """Return an empty memory on the functional device."""
    return Bench()
