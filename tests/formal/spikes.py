"""Spikes are worth their counts: every digit of every coding, and each addition of the array."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.hdl import Assert, Assume, Cover

from hw.contract.isa import Coding
from hw.contract.params import HwParams
from hw.matmul.pe import accumulate
from hw.spike.train import SpikeTrain
from tests.formal.rules import Opened, constant, free, handshake, source


def most(p: HwParams) -> int:
    """Return the largest count times the largest weight of its spikes."""
    return p.max_count << p.max_shift


class Waiting:
    """The event that has its magnitudes, and waits in the spike train for its digits.

    Parameters
    ----------
    m, train, inside
        Module, the block, and a look inside.
    """

    def __init__(self, m: Module, train: SpikeTrain, inside: Opened) -> None:
        held = inside.signal("held")
        self.valid = inside.signal("held_valid")
        marks = held[-3:]
        self.ends_tile = marks[0]
        self.mark = marks[0] | marks[2]
        self.leaves = self.valid & inside.signal("moves")
        event = train.i.payload
        self.counts = Signal.like(event.counts, name="waiting_counts")
        with m.If(handshake(train.i)):
            m.d.sync += self.counts.eq(event.counts)
        sizes = len(held[:-3]) // len(event.counts)
        for token, count in enumerate(self.counts):
            size = held[token * sizes : (token + 1) * sizes]
            magnitude = Signal(sizes // 2, name=f"waiting_magnitude{token}")
            m.d.comb += [
                magnitude.eq(Mux(count < 0, -count, count)),
                Assert(
                    ~self.valid | (size == Cat(count < 0, magnitude, (magnitude * 3)[: sizes // 2]))
                ),
            ]


def value(plus, minus):
    """Return what a set of positional digits is worth."""
    return sum(
        (Mux(plus[t], 1 << t, 0) - Mux(minus[t], 1 << t, 0) for t in range(len(plus))), Const(0)
    )


def digits(m: Module, p: HwParams) -> None:
    """Take any counts through the spike train, in any coding."""
    dut = SpikeTrain(p)
    waiting = Waiting(m, dut, Opened(m, dut))
    source(m, dut.i, "i")
    source(m, dut.i_coding, "i_coding")
    free(m, dut.o.ready)
    coding, counts = Signal(Coding), Signal.like(dut.i.payload.counts)
    event = dut.i.payload
    m.d.comb += Assume(dut.i_coding.payload.as_value() < len(Coding))  # the controller checks it
    m.d.comb += Assert(coding.as_value() < len(Coding))
    with m.If(waiting.leaves):
        m.d.sync += [coding.eq(dut.i_coding.payload), counts.eq(waiting.counts)]
    for token in range(p.tokens):
        # Symmetric: the smallest number of its width is no count.
        m.d.comb += Assume(event.counts[token] >= -most(p))
        m.d.comb += Assume(event.counts[token] <= most(p))

    with m.If(dut.o.valid):
        worth_counts(m, p, dut.o.payload, coding, counts)
    for name in Coding:
        m.d.comb += Cover(dut.o.valid & (coding == name) & (counts[0] == -most(p)))


def worth_counts(m: Module, p: HwParams, train, coding, counts) -> None:
    """Assert that a spike train has the digits of its counts, as its coding wants them."""
    firing, longest = Const(0), Const(0)
    unary = (coding == Coding.UNARY) | (p.array == "mac")
    for token in range(p.tokens):
        plus, minus, count = train.plus[token], train.minus[token], counts[token]
        magnitude = Mux(count < 0, -count, count)
        firing = firing | plus | minus
        longest = Mux(magnitude > longest, magnitude, longest)
        with m.If(unary):
            m.d.comb += Assert((plus == magnitude) & (minus == (count < 0)))
        with m.Else():
            m.d.comb += Assert((value(plus, minus) == count) & ((plus & minus) == 0))
        with m.If(~unary & (coding == Coding.BITWISE)):
            m.d.comb += Assert((plus == 0) | (minus == 0))
        with m.If(~unary & (coding == Coding.CSD)):
            m.d.comb += Assert(((plus | minus) & ((plus | minus) << 1)) == 0)  # non-adjacent
    steps = Const(1) if p.array == "mac" else Mux(unary, longest, firing)
    if not p.skip_silent:
        steps = Mux(steps == 0, 1, steps)
    m.d.comb += Assert(train.steps == steps)


def addition(m: Module, p: HwParams) -> None:
    """Add any spike of any shifted weight to any accumulator, as wide as in the array."""
    weight_width = max(p.weight_widths)
    v_mem = constant(m, signed(p.acc_width), "v_mem")
    weight = constant(m, signed(min(weight_width + p.step_width - 1, p.acc_width)), "weight")
    plus, minus = (constant(m, 1, name) for name in ("plus", "minus"))
    m.d.comb += Assume(~(plus & minus))
    exact = Signal(signed(p.acc_width + 1))
    m.d.comb += exact.eq(v_mem + Mux(plus, weight, 0) - Mux(minus, weight, 0))
    limit = most(p) * 128 * p.max_channels
    total = Signal(signed(p.acc_width))
    m.d.comb += total.eq(accumulate(v_mem, weight, plus | minus, minus))
    with m.If((exact <= limit) & (exact >= -limit)):
        m.d.comb += Assert(total == exact)
    m.d.comb += Cover(exact == limit)
    m.d.comb += Cover(minus & (exact == -limit))
