"""Layers that depend on each other: an ENCODE with `fence` reads what MATMULs before it wrote."""

import numpy as np
import pytest

from compiler.passes.lower import Matrix, Stage
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.device import Timing
from sim.errors import HardwareFault
from sim.functional.device import Functional
from sim.rtl.device import Run
from tests.compiler.models import SITE, compiled
from tests.e2e.cycle_checks import Trial, differences, patch, predicted

TIMINGS = [Timing(latency=1), Timing(latency=150), Timing(latency=20, stalls=0.3, seed=5)]


def chain(rng, directory, timing, *, fence=1) -> Trial:
    """Return a program of four layers, each of the vectors that the one before has written."""
    params, widths = preset("test"), (60, 33, 130, 17, 9)
    stages = [
        Stage(
            name=f"s{n}",
            channels=channels,
            site=SITE,
            matrices=(
                Matrix(
                    name=f"w{n}",
                    channels=channels,
                    first_row=0,
                    outputs=outputs,
                    weight_width=8,
                    has_bias=bool(n % 2),
                ),
            ),
        )
        for n, (channels, outputs) in enumerate(zip(widths, widths[1:], strict=False))
    ]
    tokens = params.tokens + 1  # two rounds a layer
    program = compiled(directory, stages, params, rng, tokens=tokens)
    instructions = []
    for opcode, fields in program.instructions():
        if opcode is Opcode.ENCODE:
            region, _, offset = program.place_of(fields["source"]).partition("+")
            layer = int(region.removeprefix("s").removesuffix(".input"))
            if layer:
                written = program.regions[f"w{layer - 1}.output"].address
                source = written + int(offset or "0", 16)
                fields = {**fields, "source": source, "fence": fence}
        instructions.append((opcode, fields))
    inputs = {name: np.zeros((tokens, r.channels), np.int32) for name, r in program.inputs.items()}
    inputs["s0.input"] = rng.integers(-(1 << 20), 1 << 20, (tokens, widths[0]), dtype=np.int32)
    run = Run(
        compiled=program,
        inputs=inputs,
        timing=timing,
        edit=lambda image: patch(image, program.program_address, instructions),
    )
    return Trial("chain", run, instructions)


def test_each_layer_takes_what_the_one_before_wrote(rtl, tmp_path, rng):
    trials = [chain(rng, tmp_path / f"{i}", timing) for i, timing in enumerate(TIMINGS)]
    results = rtl.run_all([trial.run for trial in trials])
    for trial, result in zip(trials, results, strict=True):
        assert differences(trial, result) == []
        program, image = trial.run.compiled, trial.run.compiled.image(trial.run.inputs)
        trial.run.edit(image)
        found = Functional().execute(image, program.program_address, program.params)
        assert found.error is Error.NONE
        for name in program.outputs:
            expected = program.read(image, name)
            assert expected.any(), name
            assert np.array_equal(result.outputs[name], expected), (name, trial.run.timing)


def test_without_the_fence_a_layer_comes_too_early(rtl, tmp_path, rng):
    """The memory sees reads that meet unfinished writes, on the RTL and in the cycle model."""
    trial = chain(rng, tmp_path / "m", Timing(latency=150), fence=0)
    (result,) = rtl.run_all([trial.run])
    early = "read burst at .* meets the unfinished write burst"
    with pytest.raises(HardwareFault, match=early):
        predicted(trial)
    assert isinstance(result, HardwareFault)
    with pytest.raises(HardwareFault, match=early):
        raise result
