"""Element by element: addition, rotation, SwiGLU (numerics, section 8)."""

from math import exp

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory
from amaranth.lib.wiring import In

from hw.contract.params import FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes, chain, round_half_away, saturate

__all__ = ["Adder", "Rotator", "SwiGlu"]

_SIGMOID_BITS = 22  # fraction bits of the logistic function
_SEGMENT_BITS = 11  # of an element, within a segment of 1/32
_SEGMENTS = 512  # up to 16


class Adder(Lanes):
    """Compute ``y = sat(a + b)``, or copy a.

    Members, besides those of `Lanes`
    -------
    copies : In(1)
        b counts as zero.

    Timing:      latency 1 move; a word a move.
    Arithmetic:  exact up to saturation.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(params, {"copies": In(1)})

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        m.d.comb += self.busy.eq(self.o_valid)
        with m.If(self.move):
            m.d.sync += self.o_valid.eq(self.i_valid)
            for lane in range(self._params.encode_lanes):
                total = self.a[lane] + Mux(self.copies, 0, self.b[lane])
                m.d.sync += self.o[lane].eq(saturate(total))
        return m


class Rotator(Lanes):
    """Turn neighbouring pairs of a by the cosine and sine that b holds in their place.

    Timing:      latency 3 moves; a word a move.
    Arithmetic:  exact up to one rounding; two multipliers a lane.
    Golden:      golden.numerics.vector
    """

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        valid = chain(m, self.move, self.i_valid, 3, "valid")
        m.d.comb += [self.busy.eq(Cat(*valid[1:]).any()), self.o_valid.eq(valid[3])]
        product_shape = signed(2 * VECTOR_WIDTH)
        for even in range(0, self._params.encode_lanes, 2):
            x, y, cos, sin = self.a[even], self.a[even + 1], self.b[even], self.b[even + 1]
            for lane, left, right, subtracts in (
                (even, (x, cos), (y, sin), True),
                (even + 1, (x, sin), (y, cos), False),
            ):
                first = Signal(product_shape, name=f"first{lane}")
                second = Signal(product_shape, name=f"second{lane}")
                total = Signal(signed(2 * VECTOR_WIDTH + 1), name=f"total{lane}")
                with m.If(self.move):
                    m.d.sync += [
                        first.eq(left[0] * left[1]),
                        second.eq(right[0] * right[1]),
                        total.eq(first - second if subtracts else first + second),
                        self.o[lane].eq(saturate(round_half_away(total, FRACTION_BITS))),
                    ]
        return m


def _sigmoid() -> list[int]:
    """Return, for each segment, the function's value and above it the step to the next one."""
    scale = 1 << _SIGMOID_BITS
    values = [int(scale / (1 + exp(-i / 32)) + 0.5) for i in range(_SEGMENTS + 1)]
    return [
        low | (high - low) << (_SIGMOID_BITS + 1)
        for low, high in zip(values, values[1:], strict=False)
    ]


class SwiGlu(Lanes):
    """Compute ``y = a * sigmoid(a) * b``.

    Timing:      latency 7 moves; a word a move.
    Arithmetic:  sigmoid by linear interpolation in 512 segments, error below 1.23e-5; two roundings
                 and saturation; three multipliers a lane.
    Golden:      golden.numerics.vector
    """

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        table = _sigmoid()
        value_bits = _SIGMOID_BITS + 1
        step_bits = max(table).bit_length() - value_bits
        one = 1 << _SIGMOID_BITS
        valid = chain(m, self.move, self.i_valid, 7, "valid")
        m.d.comb += [self.busy.eq(Cat(*valid[1:]).any()), self.o_valid.eq(valid[7])]
        for lane in range(self._params.encode_lanes):
            gate = chain(m, self.move, self.a[lane], 3, f"gate{lane}_")
            up = chain(m, self.move, self.b[lane], 5, f"up{lane}_")

            # Look the segment up, interpolate.
            magnitude = Signal(VECTOR_WIDTH, name=f"magnitude{lane}")
            rom = memory.Memory(shape=value_bits + step_bits, depth=_SEGMENTS, init=table)
            m.submodules[f"sigmoid{lane}"] = rom
            read = rom.read_port()
            m.d.comb += [
                magnitude.eq(Mux(self.a[lane] < 0, -self.a[lane], self.a[lane])),
                read.addr.eq(magnitude >> _SEGMENT_BITS),
                read.en.eq(self.move),
            ]
            value, step = read.data[:value_bits], read.data[value_bits:]
            place = chain(m, self.move, magnitude[:_SEGMENT_BITS], 1, f"place{lane}_")
            beyond = chain(
                m,
                self.move,
                magnitude[_SEGMENT_BITS + (_SEGMENTS - 1).bit_length() :].any(),
                2,
                f"beyond{lane}_",
            )
            rise = Signal(step_bits + _SEGMENT_BITS, name=f"rise{lane}")
            start = Signal(value_bits, name=f"start{lane}")
            sigmoid = Signal(_SIGMOID_BITS + 1, name=f"sigmoid_of{lane}")
            upper = Signal(_SIGMOID_BITS + 1, name=f"upper{lane}")
            m.d.comb += upper.eq(Mux(beyond[2], one, start + (rise >> _SEGMENT_BITS)))

            weighted = Signal(signed(VECTOR_WIDTH + _SIGMOID_BITS + 1), name=f"weighted{lane}")
            swish = Signal(signed(VECTOR_WIDTH), name=f"swish{lane}")
            product = Signal(signed(2 * VECTOR_WIDTH), name=f"product{lane}")
            with m.If(self.move):
                m.d.sync += [
                    rise.eq(step * place[1]),
                    start.eq(value),
                    sigmoid.eq(Mux(gate[2] < 0, one - upper, upper)),
                    weighted.eq(gate[3] * sigmoid),
                    swish.eq(round_half_away(weighted, _SIGMOID_BITS)),
                    product.eq(swish * up[5]),
                    self.o[lane].eq(saturate(round_half_away(product, FRACTION_BITS))),
                ]
        return m
