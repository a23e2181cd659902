"""A layer for boards, with what golden says of it."""

import pytest

from hw.contract.presets import preset
from sim.check.case import Case
from sim.cycle.device import Cycle
from spikeloom.board.layer import known_layer


@pytest.fixture(scope="session")
def case(stories260k, tmp_path_factory) -> Case:
    """Return the layer of a self-test on the preset `test`."""
    directory = tmp_path_factory.mktemp("layer") / "compiled"
    case = known_layer(preset("test"), directory, model=str(stories260k))
    Cycle().run(case.compiled, case.inputs)  # builds it, for which no line's patience would last
    return case
