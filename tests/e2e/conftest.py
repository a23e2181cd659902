"""The simulated accelerator, built once for all end-to-end tests."""

import pytest

from hw.presets import preset
from sim.builds import build_bench
from sim.rtl import Rtl


@pytest.fixture(scope="session")
def rtl() -> Rtl:
    """Return the rtl device of the preset `test`."""
    return Rtl(build_bench(preset("test")))
