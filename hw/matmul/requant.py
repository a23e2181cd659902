"""The requantizer: accumulators back into Q15.16."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.common.fixed import saturate
from hw.common.pipeline import Pipeline
from hw.contract.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.matmul.channel_words import channel_layout
from hw.spike.encoder import scale_layout

__all__ = ["Requantizer", "psum_layout"]


def psum_layout(params: HwParams) -> data.StructLayout:
    """Return an accumulator with its token's threshold and its channel's words."""
    return data.StructLayout(
        {
            "psum": signed(params.sum_width),
            "threshold": scale_layout(params),
            "channel": channel_layout(),
        }
    )


class Requantizer(Component):
    """Compute ``y = sat(sat(round(psum * v_th * scale)) + bias)``, half away from zero.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Accumulators.
    o : Out(stream)
        Q15.16 elements, in the same order.
    busy : Out(1)
        An element is inside.

    Timing:      latency 8 cycles; one element a cycle; stalls only while o waits.
    Arithmetic:  exact up to the one rounding; two multiplications.
    Golden:      golden.numerics.requantization.requantize
    """

    def __init__(self, params: HwParams) -> None:
        self._params = params
        super().__init__(
            {
                "i": In(stream.Signature(psum_layout(params))),
                "o": Out(stream.Signature(signed(VECTOR_WIDTH))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]
        pipe = Pipeline(m, move)
        psum, bias = (
            pipe.enter(value) for value in (self.i.payload.psum, self.i.payload.channel.bias)
        )
        threshold, scale = self.i.payload.threshold, self.i.payload.channel
        negative = pipe.stage("negative", 1, lambda psum: psum < 0, psum)
        magnitude = pipe.stage(
            "magnitude", p.sum_width - 1, lambda psum: Mux(psum < 0, -psum, psum), psum
        )
        v_mantissa, mantissa = (
            pipe.stage(name, len(value), lambda value: value, pipe.enter(value))
            for name, value in (("v_mantissa", threshold.mantissa), ("mantissa", scale.mantissa))
        )
        product = pipe.product("product", magnitude, v_mantissa)
        scaled = pipe.product("scaled", product, mantissa)

        # Shift, but for one place; beyond all places nothing is left.
        shift_width = len(scale.exponent) + 2
        shift = pipe.stage(
            "shift",
            signed(shift_width),
            lambda exponent, of_threshold: exponent + THRESHOLD_FRACTION_BITS - of_threshold,
            *map(pipe.enter, (scale.exponent, threshold.exponent)),
        )
        width = len(scaled.value) + 1
        places = pipe.stage(
            "places",
            range(width + 1),
            lambda shift: Mux(shift < 0, 0, Mux(shift > width, width, shift[: shift_width - 1])),
            shift,
        )
        left = pipe.stage("left", 1, lambda shift: shift < 0, shift)
        shifted = pipe.stage(
            "shifted", width, lambda value, places: Cat(0, value) >> places, scaled, places
        )
        beyond = pipe.stage("beyond", 1, lambda value, left: left & value.any(), scaled, left)

        # Round half away from zero, saturate.
        limit = 1 << VECTOR_WIDTH - 1

        def rounding(shifted, beyond, negative):
            whole = (shifted[: VECTOR_WIDTH + 1] + 1) >> 1
            saturates = beyond | shifted[VECTOR_WIDTH + 1 :].any() | whole[VECTOR_WIDTH - 1 :].any()
            return Mux(saturates, Mux(negative, limit, limit - 1), whole)

        rounded = pipe.stage("rounded", VECTOR_WIDTH, rounding, shifted, beyond, negative)

        # Bias; a carry makes the magnitude negative.
        total = pipe.stage(
            "total",
            signed(VECTOR_WIDTH),
            lambda rounded, negative, bias: saturate(
                (
                    Cat(negative, bias).as_signed()
                    + Cat(
                        negative, rounded ^ negative.replicate(VECTOR_WIDTH), negative
                    ).as_signed()
                )
                >> 1
            ),
            rounded,
            negative,
            bias,
        )
        valid = pipe.valid(self.i.valid)
        m.d.comb += [
            self.o.payload.eq(total.value),
            self.o.valid.eq(pipe.at(valid, total.stage)),
            self.busy.eq(pipe.any(valid, 0, total.stage)),
        ]
        return m
