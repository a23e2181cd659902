"""How near the shapes of SmolLM2-135M come to the time of their bytes: docs/performance.md's word.

On the cycle device, which is the RTL's time exactly, with random weights and vectors.
"""

import numpy as np
import pytest

from compiler.passes.lower import Matrix, Stage
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Timing
from tests.compiler.models import SITE, compiled

EDGE = preset("edge")
SHAPES = {"q, o": (576, 576), "gate, up": (576, 1536), "down": (1536, 576)}  # channels, outputs


def program(tmp_path, rng, shapes, tokens):
    stages = [
        Stage(
            name=f"s{i}",
            channels=channels,
            site=SITE,
            matrices=(
                Matrix(
                    name=f"m{i}",
                    channels=channels,
                    first_row=0,
                    outputs=outputs,
                    weight_width=8,
                    has_bias=False,
                ),
            ),
        )
        for i, (channels, outputs) in enumerate(shapes)
    ]
    return compiled(tmp_path / "p", stages, EDGE, rng, tokens=tokens)


def ratio(program, inputs):
    """Return cycles against those that all bytes read need."""
    counters = Cycle(timing=Timing(latency=60)).run(program, inputs).counters
    return counters["cycles"] * EDGE.axi_bytes / counters["dram_bytes_read"], counters


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_dense(shape, rng, tmp_path):
    p = program(tmp_path, rng, [shape], 1)
    counts = rng.integers(1, 128, (1, shape[0])) * rng.choice([-1, 1], (1, shape[0]))
    counts[0, 0] = 127
    found, counters = ratio(p, {"s0.input": (counts << 16).astype(np.int32)})
    assert counters["silent_channels"] == 0
    assert found <= 1.03


@pytest.mark.parametrize("tokens", [1, 2])
def test_bell_shaped_values(tokens, rng, tmp_path):
    """In one program, what each matrix alone waits for is hidden."""
    p = program(tmp_path, rng, SHAPES.values(), tokens)
    inputs = {
        f"s{i}.input": (rng.standard_normal((tokens, channels)) * 65536).astype(np.int32)
        for i, (channels, _) in enumerate(SHAPES.values())
    }
    found, _ = ratio(p, inputs)
    assert found <= 1.03
