"""Softmax's three passes over a row (numerics, section 8)."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out

from hw.contract.isa import SCALE, STEEPNESS_WIDTH
from hw.contract.params import FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.vector.lanes import Lanes, chain, saturate

__all__ = ["EXP_BITS", "RECIPROCAL_WIDTH", "Softmax", "total_width"]

EXP_BITS = 24
"""Fraction bits of an exponential."""
RECIPROCAL_WIDTH = 18
"""Bits of r, at most 2^17."""
_SEGMENTS = 256
_PLACE_BITS = 8  # of t, within a segment
_LOWEST = -(1 << VECTOR_WIDTH - 1)
_RAISED = 4  # a scale's exponent less this is the shift that gives w its 2^12


def total_width(params: HwParams) -> int:
    """Bits of the sum of every channel's exponential."""
    return EXP_BITS + params.max_channels.bit_length()


def _exponentials() -> list[int]:
    """Return, for each segment, the power's value and above it the step down to the next one."""
    values = [int(2 ** (EXP_BITS - i / _SEGMENTS) + 0.5) for i in range(_SEGMENTS + 1)]
    return [
        low | (low - high) << (EXP_BITS + 1) for low, high in zip(values, values[1:], strict=False)
    ]


class Softmax(Lanes):
    """Find the largest score; sum up exponentials; weigh scaled probabilities.

    `a` are scores, `b` the scale words of the value rows.

    Members, besides those of `Lanes`
    -------
    passes : In(2)
        0, 1, 2: what the words are for.
    inside : In
        Lanes whose elements count.
    clear : In(1)
        Forget the largest score and the sum.
    steepness : In
        mu.
    total : Out
        The sum, complete when nothing is inside.
    reciprocal, places : In
        r, and 9 + z.

    Timing:      latency 10 moves, of the largest 2, of the sum 8; a word a move.
    Arithmetic:  powers of two by linear interpolation in 256 segments; four multipliers a lane.
    Golden:      golden.numerics.vector
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(
            params,
            {
                "passes": In(2),
                "inside": In(params.encode_lanes),
                "clear": In(1),
                "steepness": In(STEEPNESS_WIDTH),
                "total": Out(total_width(params)),
                "reciprocal": In(RECIPROCAL_WIDTH),
                "places": In(6),
            },
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        move, lanes = self.move, self._params.encode_lanes
        comparing = chain(m, move, self.i_valid & (self.passes == 0), 1, "comparing")
        summing = chain(m, move, self.i_valid & (self.passes == 1), 7, "summing")
        valid = chain(m, move, self.i_valid & (self.passes == 2), 10, "valid")
        m.d.comb += [
            self.busy.eq(Cat(*comparing[1:], *summing[1:], *valid[1:]).any()),
            self.o_valid.eq(valid[10]),
        ]

        # The largest score.
        largest = Signal(signed(VECTOR_WIDTH))
        of_word = Signal(signed(VECTOR_WIDTH))
        best = Mux(self.inside[0], self.a[0], _LOWEST)
        for lane in range(1, lanes):
            best = Mux(self.inside[lane] & (self.a[lane] > best), self.a[lane], best)
        with m.If(move):
            m.d.sync += of_word.eq(best)
            with m.If(comparing[1] & (of_word > largest)):
                m.d.sync += largest.eq(of_word)

        powers = [Signal(EXP_BITS + 1, name=f"power{lane}") for lane in range(lanes)]
        inside = chain(m, move, self.inside, 6, "inside")
        sum_of_word = Signal(EXP_BITS + 1 + lanes.bit_length())
        with m.If(move):
            m.d.sync += sum_of_word.eq(
                sum(Mux(inside[6][lane], powers[lane], 0) for lane in range(lanes))
            )
            with m.If(summing[7]):
                m.d.sync += self.total.eq(self.total + sum_of_word)
        with m.If(self.clear):
            m.d.sync += [largest.eq(_LOWEST), self.total.eq(0)]

        for lane in range(lanes):
            self._lane(m, lane, largest, powers[lane])
        return m

    def _lane(self, m: Module, lane: int, largest, power) -> None:
        """Build one lane: `power` after 6 moves, the result after 10."""
        move = self.move
        table = _exponentials()
        value_bits = EXP_BITS + 1
        step_bits = max(table).bit_length() - value_bits

        # t = (largest - a) * mu, with 16 fraction bits.
        distance = Signal(VECTOR_WIDTH, name=f"distance{lane}")
        steep = Signal(VECTOR_WIDTH + STEEPNESS_WIDTH, name=f"steep{lane}")
        t = Signal(VECTOR_WIDTH + STEEPNESS_WIDTH - EXP_BITS + 1, name=f"t{lane}")
        with m.If(move):
            m.d.sync += [
                distance.eq(Mux(self.inside[lane], largest - self.a[lane], 0)),
                steep.eq(distance * self.steepness),
                t.eq((steep + (1 << EXP_BITS - 1)) >> EXP_BITS),
            ]

        # 2^-t: look the fraction's segment up, interpolate, shift by the whole part.
        rom = memory.Memory(shape=value_bits + step_bits, depth=_SEGMENTS, init=table)
        m.submodules[f"powers{lane}"] = rom
        read = rom.read_port()
        m.d.comb += [
            read.addr.eq(t[_PLACE_BITS:FRACTION_BITS]),
            read.en.eq(move),
        ]
        value, step = read.data[:value_bits], read.data[value_bits:]
        place = chain(m, move, t[:_PLACE_BITS], 1, f"place{lane}_")
        whole = chain(m, move, t[FRACTION_BITS:], 2, f"whole{lane}_")
        fall = Signal(step_bits + _PLACE_BITS, name=f"fall{lane}")
        start = Signal(value_bits, name=f"start{lane}")
        with m.If(move):
            m.d.sync += [
                fall.eq(step * place[1]),
                start.eq(value),
                power.eq(
                    Mux(whole[2] > EXP_BITS, 0, (start - (fall >> _PLACE_BITS)) >> whole[2][:5])
                ),
            ]

        # The probability, times the row's scale.
        scale = chain(m, move, SCALE(self.b[lane].as_unsigned()).as_value(), 8, f"scale{lane}_")
        factor = SCALE(scale[8])
        shift = Signal(signed(factor["exponent"].shape().width + 2), name=f"shift{lane}")
        share = Signal(EXP_BITS + 1 + RECIPROCAL_WIDTH, name=f"share{lane}")
        probability = Signal(EXP_BITS + 2, name=f"probability{lane}")
        weight = Signal(len(probability) + SCALE["mantissa"].width, name=f"weight{lane}")
        half = Signal.like(share, name=f"half{lane}")
        m.d.comb += half.eq(1 << (self.places - 1)[:6])
        result = Signal(len(weight) + _RAISED + 1, name=f"result{lane}")
        right = Signal(6, name=f"right{lane}")
        m.d.comb += right.eq(Mux(shift > 63, 63, shift[:6]))
        with m.If(shift > 0):
            m.d.comb += result.eq((weight + ((1 << right) >> 1)) >> right)
        with m.Else():
            m.d.comb += result.eq(weight << (-shift)[:3])
        with m.If(move):
            m.d.sync += [
                share.eq(power * self.reciprocal),
                probability.eq((share + half) >> self.places),
                weight.eq(probability * factor["mantissa"]),
                shift.eq(factor["exponent"] - _RAISED),
                self.o[lane].eq(saturate(result)),
            ]
