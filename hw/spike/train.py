"""Turns an event's counts into its spike train, in the coding asked for."""

from amaranth import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.isa import Coding
from hw.contract.params import HwParams
from hw.spike.marks import marked_layout

__all__ = ["SpikeTrain", "is_single", "train_layout"]


def train_layout(params: HwParams) -> data.StructLayout:
    """Return one event's spike train.

    `plus` and `minus` hold, for each token, the positional digits that are +1 and -1. In unary
    coding `plus` is the magnitude and bit 0 of `minus` the sign. `steps` is the set of digits that
    fire for any token; in unary coding, the number of steps. `single` says that there is one. A MAC
    array takes magnitudes and signs as in unary coding, in one step.
    """
    digits = data.ArrayLayout(params.step_width, params.tokens)
    steps = {"steps": params.step_width, "single": 1}
    marks = {"end": 1, "last": 1, "group_end": 1}
    return data.StructLayout({"plus": digits, "minus": digits, **steps, **marks})


def is_single(steps: Value, unary: Value) -> Value:
    """Return whether steps, as in `train_layout` and not zero, are one step."""
    return Mux(unary, steps == 1, (steps & (steps - 1)) == 0)


class SpikeTrain(Component):
    """Expand counts, times the weight of their spikes, into digits.

    The non-adjacent form of a magnitude a has digit +1 where 3a has a bit that a has not, and -1
    where a has one that 3a has not, one place further down.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Events and marks.
    i_coding : In(stream)
        How to expand the events of a MATMUL; taken with its last end mark.
    o : Out(stream)
        Their spike trains.
    spike_sums : Out(array)
        By token, the sum of the events of a group, while its mark is on offer.

    Timing:      latency 2 cycles; one event a cycle.
    Arithmetic:  exact.
    Golden:      golden.numerics.codings.encode
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(marked_layout(p))),
                "i_coding": In(stream.Signature(Coding)),
                "o": Out(stream.Signature(train_layout(p))),
                "spike_sums": Out(data.ArrayLayout(signed(p.spike_sum_width), p.tokens)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        coding = self.i_coding.payload
        unary = Const(1) if p.array == "mac" else coding == Coding.UNARY

        # Stage 1: magnitudes, and three times as much.
        width = p.step_width + 1
        sizes = data.StructLayout({"negative": 1, "magnitude": width, "triple": width})
        marks = {"end": 1, "last": 1, "group_end": 1}
        held = Signal(data.StructLayout({"counts": data.ArrayLayout(sizes, p.tokens), **marks}))
        held_valid = Signal()
        moves = Signal()
        m.d.comb += [
            moves.eq(self.i_coding.valid & (~self.o.valid | self.o.ready)),
            self.i.ready.eq(~held_valid | moves),
            self.i_coding.ready.eq(held_valid & moves & held.last),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                held_valid.eq(self.i.valid),
                held.end.eq(self.i.payload.end),
                held.last.eq(self.i.payload.last),
                held.group_end.eq(self.i.payload.group_end),
            ]
            for token in range(p.tokens):
                count = self.i.payload.counts[token]
                negative = count[-1]
                # Three times the magnitude is four counts less one, or one less four where they are
                # negative; to subtract is to add the complement and one: one carry chain.
                four, one = Signal(width, name=f"four{token}"), Signal(width, name=f"one{token}")
                m.d.comb += [
                    four.eq((count << 2) ^ negative.replicate(width)),
                    one.eq(count ^ (~negative).replicate(width)),
                ]
                m.d.sync += [
                    held.counts[token].negative.eq(negative),
                    held.counts[token].magnitude.eq(Mux(negative, -count, count)),
                    held.counts[token].triple.eq((Cat(1, four) + Cat(1, one)) >> 1),
                ]

        # Stage 2: digits.
        expanded = Signal(train_layout(p))
        longest, firing = Const(0), Const(0)
        for token in range(p.tokens):
            negative, magnitude, triple = (
                held.counts[token][name] for name in ("negative", "magnitude", "triple")
            )
            above = Signal(p.step_width, name=f"above{token}")
            below = Signal(p.step_width, name=f"below{token}")
            with m.Switch(coding):
                with m.Case(Coding.CSD):
                    m.d.comb += [
                        above.eq((triple & ~magnitude) >> 1),
                        below.eq((magnitude & ~triple) >> 1),
                    ]
                with m.Case(Coding.BITWISE):
                    m.d.comb += above.eq(magnitude)
            with m.If(unary):
                m.d.comb += [expanded.plus[token].eq(magnitude), expanded.minus[token].eq(negative)]
            with m.Else():
                m.d.comb += [
                    expanded.plus[token].eq(Mux(negative, below, above)),
                    expanded.minus[token].eq(Mux(negative, above, below)),
                ]
            longest = Mux(magnitude > longest, magnitude, longest) if token else magnitude
            firing = firing | expanded.plus[token] | expanded.minus[token]
        steps = Const(1) if p.array == "mac" else Mux(unary, longest, firing)
        if not p.skip_silent:  # a silent channel takes a step too, in which nothing fires
            steps = Mux(steps == 0, 1, steps)
        m.d.comb += [
            expanded.steps.eq(steps),
            expanded.single.eq(is_single(expanded.steps, unary)),
            expanded.end.eq(held.end),
            expanded.last.eq(held.last),
            expanded.group_end.eq(held.group_end),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(held_valid & moves):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(expanded)]
            if p.grouped:
                # A mark says nothing of its own: the sums stay until the next event is given.
                for token in range(p.tokens):
                    own = held.counts[token]
                    width = own.magnitude.shape().width + 1
                    before = Mux(self.o.payload.group_end, 0, self.spike_sums[token])
                    spikes = Cat(own.magnitude, 0) ^ own.negative.replicate(width)
                    total = before + spikes.as_signed() + own.negative
                    with m.If(held.end):
                        m.d.sync += self.spike_sums[token].eq(0)
                    with m.Elif(~held.group_end):
                        m.d.sync += self.spike_sums[token].eq(total)
        return m
