"""What a program of layers cannot need more of: the addresses it writes, and its cycles."""

from compiler.artifact.program import Compiled
from hw.contract.isa import Coding, Opcode
from sim.device import Timing

__all__ = ["cycle_limit", "writable"]

_FLOOR_CYCLES = 1_000_000  # beyond the host's patience with a bus that stands still


def writable(compiled: Compiled) -> list[list[int]]:
    """Return the addresses of output elements; the padding behind a vector is none."""
    ranges: list[list[int]] = []
    for region in compiled.outputs.values():
        stride = compiled.params.vector_bytes(region.channels)
        for token in range(compiled.tokens):
            first = region.address + token * stride
            end = first + 4 * region.channels
            if ranges and ranges[-1][1] == first:
                ranges[-1][1] = end
            else:
                ranges.append([first, end])
    return ranges


def cycle_limit(compiled: Compiled, timing: Timing) -> int:
    """Return more cycles than the program can need: as if nothing overlapped, and everything fired.

    Every word waits for a burst of its own, every channel spends all its time steps, and all of
    that twice, and longer by the stalls.
    """
    params = compiled.params
    cycles = channels = tokens = 0
    steps: dict[int, int] = {}
    word_cycles = 1 + timing.latency / params.max_burst_words
    for opcode, fields in compiled.instructions():
        if opcode is Opcode.ENCODE:
            channels, tokens = fields["channels"], fields["tokens"]
            steps = {coding.value: params.step_width for coding in Coding}
            steps[Coding.UNARY.value] = fields["max_count"] << params.max_shift
            vector_words = params.vector_bytes(channels) // params.axi_bytes
            cycles += params.exponent_bytes(channels) // params.axi_bytes * word_cycles
            cycles += tokens * (2 * vector_words * word_cycles + channels + timing.latency)
        elif opcode is Opcode.MATMUL:
            for outputs in params.tiles(fields["outputs"]):
                words = params.row_words(outputs, fields["weight_width"])
                beats = params.row_beats(outputs, fields["weight_width"])
                spent = beats * steps[fields["coding"]]
                cycles += channels * (words * word_cycles + spent + 1)
                cycles += outputs * (tokens + 2) * word_cycles + 4 * timing.latency
    return _FLOOR_CYCLES + int(2 * cycles / (1 - timing.stalls) ** 2)
