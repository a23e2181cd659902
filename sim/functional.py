"""The functional device: executes a program out of memory, with the hardware's bits and counts.

It has no notion of time: counters of cycles are None.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from compiler.program import Compiled
from hw import isa
from hw.fingerprint import fingerprint
from hw.params import HwParams
from hw.regs import Error
from sim.arithmetic import accumulate, fire, requantize, spikes, threshold, unpack_weights
from sim.device import Result, no_counts
from sim.image import Fault, Image

__all__ = ["Functional", "Observation", "execute"]

_COUNTED = (
    "events",
    "silent_channels",
    "synaptic_operations",
    "row_segments",
    "weight_bytes_read",
)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one instruction computed.

    Attributes
    ----------
    index : int
        Of the instruction in the program.
    opcode : Opcode
        ENCODE or MATMUL.
    thresholds : list of int
        V of each token.
    counts : ndarray
        Spike counts, (tokens, channels).
    accumulators : ndarray or None
        Y of a MATMUL, (tokens, outputs) in int64.
    """

    index: int
    opcode: isa.Opcode
    thresholds: list[int]
    counts: np.ndarray
    accumulators: np.ndarray | None = None


class Functional:
    """The functional device; see `sim.device.Device`.

    Parameters
    ----------
    observe : callable, optional
        Told an `Observation` after each ENCODE and MATMUL.
    """

    name = "functional"

    def __init__(self, observe: Callable[[Observation], None] | None = None) -> None:
        self._observe = observe

    def run(self, compiled: Compiled, inputs: Mapping[str, np.ndarray]) -> Result:
        """Execute the program once, from a fresh memory; see `sim.device.Device.run`."""
        memory = compiled.image(inputs)
        counters, error = execute(memory, compiled.program_address, compiled.params, self._observe)
        outputs = {name: compiled.read(memory, name) for name in compiled.outputs}
        return Result(outputs=outputs, counters=counters, error=error)


def execute(
    memory: np.ndarray,
    program: int,
    params: HwParams,
    observe: Callable[[Observation], None] | None = None,
) -> tuple[dict[str, int | None], Error]:
    """Execute a program in place.

    Parameters
    ----------
    memory : ndarray of uint8
        All of memory; outputs are written into it.
    program : int
        Byte address of the program's header.
    params : HwParams
        The hardware that this device stands for.
    observe : callable, optional
        Told an `Observation` after each ENCODE and MATMUL.

    Returns
    -------
    tuple of dict and Error
        The counters by name (those of time None), and the error that ended the program.
    """
    machine = _Machine(memory, params, observe)
    error = Error.NONE
    try:
        machine.run(program)
    except Fault as fault:
        error = fault.error
    counters = no_counts() | machine.counters
    counters["dram_bytes_read"] = machine.image.bytes_read
    counters["dram_bytes_written"] = machine.image.bytes_written
    return counters, error


class _Machine:
    """Registers of one run: what ENCODE left for MATMUL, and the counters."""

    def __init__(self, memory: np.ndarray, params: HwParams, observe: Callable | None) -> None:
        self.params, self.observe = params, observe
        self.image = Image(memory, params.axi_bytes)
        self.counters = dict.fromkeys(_COUNTED, 0)
        self.thresholds: list[int] = []
        self.counts = np.zeros((0, 0), np.int64)  # (tokens, channels)

    def run(self, program: int) -> None:
        header_bytes = isa.HEADER.size // 8
        header = isa.unpack(isa.HEADER, self.image.read(program, header_bytes).tobytes())
        if header["magic"] != isa.MAGIC:
            raise Fault(Error.BAD_MAGIC)
        if header["fingerprint"] != int(fingerprint(self.params), 16):
            raise Fault(Error.BAD_FINGERPRINT)
        for index in range(header["slots"]):
            address = program + header_bytes + index * isa.SLOT_BYTES
            opcode, fields = self._decode(self.image.read(address, isa.SLOT_BYTES).tobytes())
            if opcode is isa.Opcode.END:
                return
            if opcode is isa.Opcode.ENCODE:
                self._encode(**fields)
                accumulators = None
            else:
                accumulators = self._matmul(**fields)
            if self.observe is not None:
                observation = Observation(
                    index=index,
                    opcode=opcode,
                    thresholds=self.thresholds,
                    counts=self.counts,
                    accumulators=accumulators,
                )
                self.observe(observation)
        raise Fault(Error.BAD_INSTRUCTION)  # a program ends with END

    def _decode(self, slot: bytes) -> tuple[isa.Opcode, dict[str, int]]:
        try:
            opcode, fields = isa.disassemble(slot)
        except ValueError:
            raise Fault(Error.BAD_INSTRUCTION) from None
        p = self.params
        # `choices` are fields that select one of a few, `ranges` those with a largest value.
        choices: dict[str, set[int]] = {}
        ranges: dict[str, int] = {}
        aligned: tuple[str, ...] = ()
        if opcode is isa.Opcode.ENCODE:
            choices = {"rule": {rule.value for rule in isa.Rule}}
            ranges = {
                "tokens": p.tokens,
                "channels": p.max_channels,
                "max_count": p.max_count,
                "divisor": 1 << 24,
            }
            aligned = ("source", "source_stride")
        elif opcode is isa.Opcode.MATMUL:
            choices = {
                "coding": {coding.value for coding in isa.Coding},
                "weight_width": set(p.weight_widths),
            }
            ranges = {"outputs": 1 << 24}
            aligned = ("weights", "channel_words", "destination", "destination_stride")
            if not self.thresholds:
                raise Fault(Error.BAD_INSTRUCTION)  # there are no spikes to spend
        legal = all(fields[name] in values for name, values in choices.items())
        legal &= all(1 <= fields[name] <= last for name, last in ranges.items())
        legal &= all(fields[name] % p.axi_bytes == 0 for name in aligned)
        if not legal:
            raise Fault(Error.BAD_INSTRUCTION)
        return opcode, fields

    def _encode(
        self,
        *,
        rule: int,
        tokens: int,
        channels: int,
        max_count: int,
        multiplier: int,
        divisor: int,
        peak: int,
        dead_zone: int,
        fence: int,  # instructions take effect one after the other here
        source: int,
        source_stride: int,
    ) -> None:
        self.thresholds, counts = [], []
        for token in range(tokens):
            x = self.image.read(source + token * source_stride, 4 * channels).view("<i4")
            v = threshold(x, isa.Rule(rule), multiplier, divisor, peak)
            self.thresholds.append(v)
            counts.append(fire(x, v, max_count, dead_zone))
        self.counts = np.stack(counts)

    def _matmul(
        self,
        *,
        coding: int,
        weight_width: int,
        has_bias: int,
        outputs: int,
        weights: int,
        channel_words: int,
        destination: int,
        destination_stride: int,
    ) -> np.ndarray:
        channels = self.counts.shape[1]
        if self.params.skip_silent:
            events = np.flatnonzero(self.counts.any(axis=0))
        else:
            events = np.arange(channels)
        if self.params.array == "mac":  # one product, whatever the coding
            spent = int(np.count_nonzero(self.counts))
        else:
            spent = spikes(self.counts, isa.Coding(coding))
        counted = self.counters
        counted["events"] += events.size
        counted["silent_channels"] += channels - events.size
        counted["synaptic_operations"] += outputs * spent

        words_of_channel = len(isa.CHANNEL_WORDS[bool(has_bias)])
        accumulators, first = [], 0
        for size in self.params.tiles(outputs):
            row_bytes = self.params.row_bytes(size, weight_width)
            segments = self.image.read_rows(weights, row_bytes, events)
            weights += channels * row_bytes
            counted["row_segments"] += events.size
            counted["weight_bytes_read"] += segments.size

            word_bytes = self.params.vector_bytes(size) * words_of_channel
            words = self.image.read(channel_words, word_bytes)
            channel_words += word_bytes
            words = words.view("<u4").reshape(-1, words_of_channel, self.params.encode_lanes)
            mantissa, exponent, bias = _channel_words(words, has_bias, size)
            codes = unpack_weights(segments, weight_width, size)
            y = accumulate(self.counts[:, events], codes)
            for token, v in enumerate(self.thresholds):
                result = requantize(y[token], v, mantissa, exponent, bias)
                address = destination + token * destination_stride + 4 * first
                self.image.write(address, result.astype("<i4"))
            accumulators.append(y)
            first += size
        return np.concatenate(accumulators, axis=1)


def _channel_words(
    groups: np.ndarray, has_bias: int, outputs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mantissas, exponents and biases of a tile's output channels, (outputs,) in int64."""
    names = isa.CHANNEL_WORDS[bool(has_bias)]
    words = {name: groups[:, i].reshape(-1)[:outputs] for i, name in enumerate(names)}
    scale = words["scale"].astype(np.int64)
    mantissa, exponent = (
        scale >> isa.SCALE[name].offset & (1 << isa.SCALE[name].width) - 1
        for name in ("mantissa", "exponent")
    )
    bias = words["bias"].view("<i4") if has_bias else np.zeros(len(scale))
    return mantissa, exponent, bias.astype(np.int64)
