"""Turns an event's counts into its spike train, in the coding asked for."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.isa import Coding
from hw.contract.params import HwParams
from hw.spike.events import event_layout

__all__ = ["SpikeTrain", "train_layout"]


def train_layout(params: HwParams) -> data.StructLayout:
    """Return one event's spike train.

    `plus` and `minus` hold, for each token, the positional digits that are +1 and -1. In unary
    coding `plus` is the magnitude and bit 0 of `minus` the sign. `steps` is the set of digits that
    fire for any token; in unary coding, the number of steps. A MAC array takes magnitudes and signs
    as in unary coding, in one step.
    """
    digits = data.ArrayLayout(params.step_width, params.tokens)
    return data.StructLayout(
        {"plus": digits, "minus": digits, "steps": params.step_width, "end": 1, "last": 1}
    )


class SpikeTrain(Component):
    """Expand counts into digits.

    The non-adjacent form of a magnitude a has digit +1 where 3a has a bit that a has not, and -1
    where a has one that 3a has not, one place further down.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Events and end marks.
    i_coding : In(stream)
        How to expand the events of a MATMUL; taken with its last end mark.
    o : Out(stream)
        Their spike trains.

    Timing:      latency 1 cycle; one event a cycle.
    Arithmetic:  exact.
    Golden:      golden.numerics.codings.encode
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(p))),
                "i_coding": In(stream.Signature(Coding)),
                "o": Out(stream.Signature(train_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        expanded = Signal(train_layout(p))
        if p.array == "mac":
            magnitude_only = Const(1)
        else:
            magnitude_only = self.i_coding.payload == Coding.UNARY
        coding = self.i_coding.payload
        magnitudes = []
        for token in range(p.tokens):
            count = self.i.payload.counts[token]
            negative = count < 0
            magnitude = Signal(p.step_width + 1, name=f"magnitude{token}")
            triple = Signal(p.step_width + 1, name=f"triple{token}")
            above = Signal(p.step_width, name=f"above{token}")
            below = Signal(p.step_width, name=f"below{token}")
            m.d.comb += [
                magnitude.eq(Mux(negative, -count, count)),
                triple.eq(magnitude + (magnitude << 1)),
            ]
            with m.Switch(coding):
                with m.Case(Coding.CSD):
                    m.d.comb += [
                        above.eq((triple & ~magnitude) >> 1),
                        below.eq((magnitude & ~triple) >> 1),
                    ]
                with m.Case(Coding.BITWISE):
                    m.d.comb += above.eq(magnitude)
            with m.If(magnitude_only):
                m.d.comb += [expanded.plus[token].eq(magnitude), expanded.minus[token].eq(negative)]
            with m.Else():
                m.d.comb += [
                    expanded.plus[token].eq(Mux(negative, below, above)),
                    expanded.minus[token].eq(Mux(negative, above, below)),
                ]
            magnitudes.append(magnitude)

        longest, firing = magnitudes[0], expanded.plus[0] | expanded.minus[0]
        for token in range(1, p.tokens):
            longest = Mux(magnitudes[token] > longest, magnitudes[token], longest)
            firing = firing | expanded.plus[token] | expanded.minus[token]
        if p.array == "mac":
            steps = Const(1)
        else:
            steps = Mux(magnitude_only, longest, firing)
        if not p.skip_silent:  # a silent channel takes a step too, in which nothing fires
            steps = Mux(steps == 0, 1, steps)
        m.d.comb += [
            expanded.steps.eq(steps),
            expanded.end.eq(self.i.payload.end),
            expanded.last.eq(self.i.payload.last),
            self.i.ready.eq(self.i_coding.valid & (~self.o.valid | self.o.ready)),
            self.i_coding.ready.eq(self.i.valid & self.i.ready & self.i.payload.last),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(expanded)]
        return m
