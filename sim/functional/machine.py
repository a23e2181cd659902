"""The units of the functional device: what each instruction does to memory, and what is counted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hw.contract import isa
from hw.contract.isa import VECTOR_PASSES, VECTOR_UNARY, Opcode, VectorOp
from hw.contract.params import CACHE_COUNT, GROUPS, HwParams
from hw.contract.regs import Error
from sim.device import OnToken, Registers, Result, no_counts
from sim.functional import vector
from sim.functional.arithmetic import (
    accumulate,
    fire,
    levels,
    requantize,
    scale_word,
    spikes,
    threshold,
    unpack_exponents,
    unpack_scales,
    unpack_weights,
)
from sim.functional.flow import Flow
from sim.functional.image import Fault, Image

__all__ = ["Machine", "Observation"]

_COUNTED = (
    "events",
    "silent_channels",
    "synaptic_operations",
    "row_segments",
    "weight_bytes_read",
)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one instruction did.

    Attributes
    ----------
    index : int
        Of the instruction in the program.
    opcode : Opcode
        Any.
    fields : mapping of str to int
        Its fields as they took effect: with its record, its length with the position.
    position, token : int
        That were being worked on.
    ends : bool
        Whether the program ends with it.
    thresholds : sequence of int
        V of each token of the last ENCODE; of a STORE, of each of its heads.
    counts : ndarray
        Spike counts of the last ENCODE times the weights of their spikes, (tokens, channels).
    accumulators : ndarray or None
        Y of a MATMUL, (tokens, outputs) in int64.
    shifts : sequence of int
        Of each row of a VECTOR, what `sim.functional.vector.shifts` says.
    """

    index: int
    opcode: Opcode
    fields: Mapping[str, int]
    position: int = 0
    token: int = 0
    ends: bool = False
    thresholds: Sequence[int] = ()
    counts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    accumulators: np.ndarray | None = None
    shifts: Sequence[int] = ()


class Machine:
    """State of one run: what ENCODE left for MATMUL, and the counters.

    Parameters are those of `sim.device.Device.execute` and of
    `sim.functional.device.Functional`.
    """

    def __init__(
        self,
        memory: np.ndarray,
        params: HwParams,
        registers: Registers,
        observe: Callable[[Observation], None] | None,
        on_token: OnToken,
    ) -> None:
        self.params, self.registers = params, registers
        self.observe, self.on_token = observe, on_token
        self.image = Image(memory, params.axi_bytes)
        self.counters = dict.fromkeys(_COUNTED, 0)
        self.thresholds: list[int] = []
        self.counts = np.zeros((0, 0), np.int64)  # (tokens, channels)

    def run(self, program: int) -> Result:
        """Run the program at an address to its end, or to its first error."""
        self.flow = Flow(self.image, program, self.params, self.registers)
        units = {
            Opcode.ENCODE: self._encode,
            Opcode.MATMUL: self._matmul,
            Opcode.VECTOR: self._vector,
            Opcode.STORE: self._store,
        }
        error = Error.NONE
        try:
            for index, opcode, fields in self.flow.instructions():
                found = units[opcode](**fields) if opcode in units else {}
                if self.observe is not None:
                    self.observe(self._observation(index, opcode, fields, found))
        except Fault as fault:
            error = fault.error
        counters = no_counts() | self.counters
        if not self.flow.jumped:
            counters["dram_bytes_read"] = self.image.bytes_read
        counters["dram_bytes_written"] = self.image.bytes_written
        return Result(counters=counters, error=error, position=self.flow.position)

    def _observation(
        self, index: int, opcode: Opcode, fields: dict[str, int], found: Mapping[str, Any]
    ) -> Observation:
        flow = self.flow
        return Observation(
            index=index,
            opcode=opcode,
            fields=fields | flow.modifiers,
            position=flow.position,
            token=flow.token,
            ends=flow.ends,
            counts=self.counts,
            **{"thresholds": self.thresholds, **found},
        )

    def _read_vector(self, address: int, elements: int) -> np.ndarray:
        return self.image.read(address, 4 * elements).view("<i4")

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
        source: int,
        source_stride: int,
        shifts: int,
        largest_exponent: int,
        exponents: int,
    ) -> dict[str, object]:
        self.thresholds, counts = [], []
        e = np.zeros(channels, np.int64)
        if largest_exponent:
            words = self.image.read(exponents, self.params.exponent_bytes(channels))
            e = unpack_exponents(words, channels, largest_exponent)
        potential = isa.Rule(rule)
        for token in range(tokens):
            x = self._read_vector(source + token * source_stride, channels)
            v = threshold(x, potential, multiplier, divisor, peak, shifts)
            s = levels(x, potential, peak, shifts)
            self.thresholds.append(v)
            counts.append(fire(x, v << s, max_count, dead_zone) << (s + e))
        self.counts = np.stack(counts)
        return {}

    def _matmul(
        self,
        *,
        coding: int,
        weight_width: int,
        has_bias: int,
        strided: int,
        group: int,
        scale_width_log2: int,
        offsets: int,
        offset_shift: int,
        outputs: int,
        weights: int,
        channel_words: int,
        destination: int,
        destination_stride: int,
    ) -> dict[str, object]:
        if not self.thresholds:
            raise Fault(Error.BAD_INSTRUCTION)  # there are no spikes to spend
        params, channels = self.params, self.counts.shape[1]
        if params.skip_silent:
            events = np.flatnonzero(self.counts.any(axis=0))
        else:
            events = np.arange(channels)
        if params.array == "mac":  # one product, whatever the coding
            spent = int(np.count_nonzero(self.counts))
        else:
            spent = spikes(self.counts, isa.Coding(coding))
        counted = self.counters
        counted["events"] += events.size
        counted["silent_channels"] += channels - events.size
        counted["synaptic_operations"] += outputs * spent

        words_of_channel = len(isa.CHANNEL_WORDS[bool(has_bias)])
        accumulators, first = [], 0
        for size in params.tiles(outputs):
            row_bytes = params.row_bytes(size, weight_width)
            full = params.tile_outputs if strided else size
            stride = params.row_bytes(full, weight_width)
            counted["row_segments"] += events.size
            if group:
                scale_bits = (1 << scale_width_log2) * (1 if offsets == 0 else 2)
                step = params.scale_words(full, scale_bits) * params.axi_bytes
                scale_bytes = params.scale_words(size, scale_bits) * params.axi_bytes
                of_group = GROUPS[group - 1]
                pitch = of_group * stride + step
                y = np.zeros((len(self.thresholds), size), np.int64)
                fired = np.unique(events // of_group)
                for g in fired:
                    within = events[events // of_group == g] - g * of_group
                    base = weights + int(g) * pitch
                    rows = self.image.read_rows(base, row_bytes, within, stride)
                    raw = self.image.read(base + of_group * stride, scale_bytes)
                    spent = self.counts[:, events[events // of_group == g]]
                    p = accumulate(spent, unpack_weights(rows, weight_width, size))
                    d, offset = unpack_scales(raw, 1 << scale_width_log2, offsets != 0, size)
                    s = spent.sum(axis=1)[:, None]
                    if offsets == isa.Offsets.ZERO.value:
                        p += offset * s
                    y += d * p
                    if offsets == isa.Offsets.MINIMUM.value:
                        y += (offset * s) << offset_shift
                counted["weight_bytes_read"] += events.size * row_bytes + fired.size * scale_bytes
                weights += -(-channels // of_group) * pitch
            else:
                segments = self.image.read_rows(weights, row_bytes, events, stride)
                weights += channels * stride
                counted["weight_bytes_read"] += segments.size
                codes = unpack_weights(segments, weight_width, size)
                y = accumulate(self.counts[:, events], codes)

            word_bytes = params.vector_bytes(size) * words_of_channel
            words = self.image.read(channel_words, word_bytes)
            channel_words += word_bytes
            words = words.view("<u4").reshape(-1, words_of_channel, params.encode_lanes)
            mantissa, exponent, bias = _channel_words(words, has_bias, size)
            for token, v in enumerate(self.thresholds):
                result = requantize(y[token], v, mantissa, exponent, bias)
                address = destination + token * destination_stride + 4 * first
                self.image.write(address, result.astype("<i4"))
            accumulators.append(y)
            first += size
        return {"accumulators": np.concatenate(accumulators, axis=1)}

    def _vector(
        self,
        *,
        operation: int,
        rows: int,
        elements: int,
        stride: int,
        a: int,
        b: int,
        destination: int,
        constant: int,
        a_by_token: int,
        b_by_position: int,
        b_same: int,
    ) -> dict[str, object]:
        op, position = VectorOp(operation), self.flow.position
        shifts = []
        a += a_by_token * self.flow.token * stride
        b += b_by_position * position * stride
        for row in range(rows):
            x = self._read_vector(a + row * stride, elements)
            for _ in range(VECTOR_PASSES.get(op, 1) - 1):  # each is traffic
                x = self._read_vector(a + row * stride, elements)
            z = None
            if op not in VECTOR_UNARY:
                z = self._read_vector(b + (0 if b_same else row * stride), elements)
            to = destination + row * stride
            if op is VectorOp.ARGMAX:
                token = vector.argmax(x)
                self.image.write(to + 4 * (position + 1), np.array([token], "<u4"))
                self.on_token(position + 1, token)
            else:
                if self.observe is not None:
                    shifts.append(vector.shifts(op, x, constant))
                self.image.write(to, vector.operate(op, x, z, constant).astype("<i4"))
        return {"shifts": shifts}

    def _store(
        self,
        *,
        cache: int,
        heads: int,
        channels: int,
        source: int,
        source_stride: int,
        codes: int,
        codes_stride: int,
        scales: int,
        scales_stride: int,
    ) -> dict[str, object]:
        params, position = self.params, self.flow.position
        thresholds = []
        tile, column = divmod(position, params.tile_outputs)
        for head in range(heads):
            x = self._read_vector(source + head * source_stride, channels)
            v = threshold(x, isa.Rule.ABSMAX, 256, CACHE_COUNT, 0)
            thresholds.append(v)
            n = fire(x, v, CACHE_COUNT, 0).astype(np.int8)
            scale = np.array([scale_word(v)], "<u4")
            self.image.write(scales + head * scales_stride + 4 * position, scale)
            base = codes + head * codes_stride
            if cache == isa.Cache.VALUE.value:
                self.image.write(base + position * params.row_bytes(channels, 8), n)
            else:
                base += tile * channels * params.tile_outputs + column
                for d in range(channels):
                    self.image.write(base + d * params.tile_outputs, n[d : d + 1])
        return {"thresholds": thresholds}


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
