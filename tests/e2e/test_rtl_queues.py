"""More MATMULs to an ENCODE than the matrix path's queues hold, through the RTL."""

import numpy as np
import pytest

from compiler.passes.lower import Matrix, Stage
from compiler.passes.quantize import Weights
from compiler.programs.layers import build_stages
from hw.contract.presets import preset
from sim.device import Timing
from sim.rtl.device import Run
from tests.compiler.models import ABOUT, SITE
from tests.e2e.rtl_checks import OneMatrix, Trial, verify

CHANNELS, OUTPUTS = 60, 100  # a walk of many tiles outlasts the handing over of what follows


@pytest.mark.parametrize("matmuls", [3, 4, 5, 9])
def test_an_encode_waits_for_a_place_behind_its_matmuls(rtl, tmp_path, rng, matmuls):
    """Three batches: each ENCODE but the first comes when the queues may be full."""
    weights = Weights(
        rng.integers(-127, 128, (OUTPUTS, CHANNELS), dtype=np.int8),
        rng.integers(1 << 15, 1 << 16, OUTPUTS),
        np.full(OUTPUTS, 24),
        None,
    )
    matrices = tuple(
        Matrix(
            name=f"w{index}",
            channels=CHANNELS,
            first_row=0,
            outputs=OUTPUTS,
            weight_width=8,
            has_bias=False,
        )
        for index in range(matmuls)
    )
    params = preset("test")
    tokens = 3 * params.tokens
    program = build_stages(
        [Stage(name="s", channels=CHANNELS, site=SITE, matrices=matrices)],
        lambda _: weights,
        tmp_path / "m",
        params=params,
        coding="csd",
        tokens=tokens,
        about=ABOUT,
    )
    x = rng.integers(-(1 << 20), 1 << 20, (tokens, CHANNELS), dtype=np.int32)
    run = Run(compiled=program, inputs={"s.input": x}, timing=Timing(latency=20))
    verify(rtl, [Trial(f"{matmuls} MATMULs", OneMatrix(SITE, weights, 8), run)])
