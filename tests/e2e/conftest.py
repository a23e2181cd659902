"""The simulated accelerator, built once for all end-to-end tests."""

import pytest

from hw.contract.presets import preset
from sim.rtl.builds import build_bench
from sim.rtl.device import Rtl


@pytest.fixture(scope="session")
def rtl() -> Rtl:
    """Return the rtl device of the preset `test`."""
    return Rtl(build_bench(preset("test")))
