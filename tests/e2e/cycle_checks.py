"""Random programs, and how the cycle model's counters for them are held against the RTL's."""

from dataclasses import dataclass

import numpy as np

from compiler.passes.lower import Matrix, Stage
from golden.numerics.neuron import Site
from hw.contract import isa
from hw.contract.isa import Coding, Opcode
from hw.contract.regs import Error
from sim.check.activations import random_vectors
from sim.cycle.device import Batch, predict
from sim.device import Timing
from sim.functional.device import Functional
from sim.rtl.device import Run
from tests.compiler.models import compiled, random_groups

LATENCIES = (1, 2, 3, 5, 20, 60, 100, 150)


@dataclass(frozen=True)
class Trial:
    """A run, its program as edited, and a name for messages."""

    name: str
    run: Run
    instructions: list


def random_site(rng, params) -> Site:
    rule = str(rng.choice(["absmax", "mean", "static"]))
    max_count = min(int(rng.choice([127, 127, 31, 7, 1])), params.max_count)
    mean = rule == "mean"
    return Site(
        rule=rule,
        max_count=max_count,
        multiplier=256 if mean else int(rng.integers(1, 257)),
        divisor=int(rng.integers(1, 500)) if mean else max_count,
        peak=int(rng.integers(1 << 31)) if rule == "static" else 0,
        dead_zone=int(rng.choice([0, 0, 1 << 10, 1 << 20, 1 << 31])),
        shifts=0 if mean else int(rng.integers(min(3, params.max_shift) + 1)),
    )


def random_stages(rng, params) -> list[Stage]:
    """Return a few sites with a few matrices each, of extents around every boundary."""
    scan, tile, lanes = params.scan_width, params.tile_outputs, params.lanes
    channels_of = (1, 2, scan - 1, scan, scan + 1, 4 * scan, 127, 200, 300, 128, 256, 384)
    outputs_of = (1, lanes - 1, lanes, lanes + 1, tile - 1, tile, tile + 1, tile + lanes)
    outputs_of += (2 * tile, 4 * tile + 2) if tile < 100 else ()
    stages = []
    for s in range(rng.integers(1, 4)):
        channels = int(rng.choice(channels_of))
        matrices = tuple(
            Matrix(
                name=f"m{s}.{m}",
                channels=channels,
                first_row=0,
                outputs=int(rng.choice(outputs_of)),
                weight_width=int(rng.choice(params.weight_widths)),
                has_bias=bool(rng.integers(2)),
                groups=random_groups(rng, channels)
                if params.grouped and rng.random() < 0.6
                else None,
            )
            for m in range(rng.integers(1, 4))
        )
        site = random_site(rng, params)
        largest = int(rng.integers(min(3, params.max_shift - site.shifts) + 1))
        stages.append(
            Stage(
                name=f"s{s}",
                channels=channels,
                site=site,
                matrices=matrices,
                exponents=rng.integers(0, largest + 1, channels).astype(np.uint8).tobytes()
                if largest
                else b"",
            )
        )
    return stages


def edited(rng, instructions):
    """Return a program that the compiler would not make: fences, mixed codings, matrices left out.

    Half of the programs stay as they are.
    """
    if rng.random() < 0.5:
        return instructions
    changed, shifted = [], False
    for opcode, fields in instructions:
        if opcode is Opcode.MATMUL:
            if rng.random() < 0.15:
                continue
            coding = int(rng.choice([coding.value for coding in Coding]))
            if shifted and coding == Coding.UNARY.value:  # longer than a run may take
                coding = Coding.CSD.value
            fields = {**fields, "coding": coding}
        elif opcode is Opcode.ENCODE:
            shifted = bool(fields["shifts"] or fields["largest_exponent"])
            fields = {**fields, "fence": int(rng.integers(2))}
        changed.append((opcode, fields))
    return changed


def patch(image: np.ndarray, address: int, instructions) -> None:
    """Put a program in the place of the one in a memory image."""
    header_bytes = isa.HEADER.size // 8
    header = isa.unpack(isa.HEADER, image[address : address + header_bytes].tobytes())
    raw = isa.pack(isa.HEADER, **header | {"slots": len(instructions)})
    raw += b"".join(isa.assemble(opcode, **fields) for opcode, fields in instructions)
    image[address : address + len(raw)] = np.frombuffer(raw, np.uint8)


def random_trial(rng, params, directory, timing: Timing | None = None) -> Trial:
    """Return a random program with random vectors, by default on a memory of random latency."""
    stages = random_stages(rng, params)
    tokens = int(rng.integers(1, 2 * params.tokens + 2))
    coding = str(rng.choice([coding.name.lower() for coding in Coding]))
    program = compiled(directory, stages, params, rng, coding=coding, tokens=tokens)
    density = rng.choice([0, 0.05, 0.3, 0.7, 1, 1])
    inputs = {}
    for stage in stages:
        x = random_vectors(rng, tokens, stage.channels, stage.site)
        inputs[f"{stage.name}.input"] = (x * (rng.random(x.shape) < density)).astype(np.int32)
    instructions = edited(rng, program.instructions())
    if timing is None:
        timing = Timing(latency=int(rng.choice([*LATENCIES, rng.integers(1, 300)])))
    shapes = [(s.channels, [(m.outputs, m.weight_width) for m in s.matrices]) for s in stages]
    run = Run(
        compiled=program,
        inputs=inputs,
        timing=timing,
        edit=lambda image: patch(image, program.program_address, instructions),
    )
    return Trial(f"{coding}, {tokens} tokens, density {density}, {shapes}", run, instructions)


def predicted(trial: Trial) -> dict[str, int]:
    """Return the cycle model's counters; those that the functional device has agree with it."""
    run, program = trial.run, trial.run.compiled
    image, batches = program.image(run.inputs), []
    run.edit(image)

    def observe(seen):
        if seen.opcode is Opcode.ENCODE:
            batches.append(Batch(counts=seen.counts, thresholds=seen.thresholds))

    found = Functional(observe).execute(image, program.program_address, program.params)
    assert found.error is Error.NONE
    counters = predict(
        program.params,
        trial.instructions,
        batches,
        timing=run.timing,
        program_address=program.program_address,
        memory_bytes=program.memory_bytes,
    )
    known = {name: value for name, value in found.counters.items() if value is not None}
    assert {name: counters[name] for name in known} == known, trial.name
    return counters


def differences(trial: Trial, result) -> list[str]:
    """Return each counter that the model has otherwise than the RTL, as a sentence."""
    assert not isinstance(result, Exception), f"{trial.name}: {result}"
    assert result.error is Error.NONE, trial.name
    counters = predicted(trial)
    assert counters.keys() == result.counters.keys()
    return [
        f"{trial.name}, {trial.run.timing}: {name} is {value}, predicted {counters[name]}"
        for name, value in result.counters.items()
        if counters[name] != value
    ]
