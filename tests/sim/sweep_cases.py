"""What the tests of sweeps share: work that no model has made, and commands with exit statuses."""

import numpy as np

from compiler.passes.lower import Matrix, Stage
from golden.numerics.neuron import Site
from sim.__main__ import main
from sim.device import Timing
from sim.sweep.firing import Firing
from sim.sweep.grid import Configuration
from sim.sweep.measure import Conditions

CONDITIONS = Conditions(timing=Timing())


def firing(rng, tokens=3, channels=40, outputs=70, width=8) -> Firing:
    """Return random counts at one site with one matrix."""
    matrix = Matrix(
        name="w", channels=channels, first_row=0, outputs=outputs, weight_width=width,
        has_bias=False,
    )  # fmt: skip
    site = Site(rule="absmax", max_count=127, multiplier=256, divisor=127)
    stage = Stage(name="s", channels=channels, site=site, matrices=(matrix,))
    counts = rng.integers(-127, 128, (tokens, channels)) * (rng.random((tokens, channels)) < 0.6)
    return Firing(
        stages=(stage,), counts=(counts.astype(np.int8),), thresholds=((1 << 24,) * tokens,)
    )


def point(base, coding="csd", **changed) -> Configuration:
    """Return a configuration of the hardware `base`, some of it changed."""
    return Configuration(hardware=base.as_dict() | changed, coding=coding, recipe="w8")


def sweep(*arguments: str) -> int:
    """Return the exit status of the command."""
    try:
        return main(["sweep", *arguments])
    except SystemExit as end:  # argparse's way
        return end.code
