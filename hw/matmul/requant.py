"""The requantizer: accumulators back into Q15.16."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.matmul.channel_words import channel_layout
from hw.spike.encoder import scale_layout

__all__ = ["Requantizer", "psum_layout"]


def psum_layout(params: HwParams) -> data.StructLayout:
    """Return an accumulator with its token's threshold and its channel's words."""
    return data.StructLayout(
        {
            "psum": signed(params.acc_width),
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

    Timing:      latency 5 cycles; one element a cycle; stalls only while o waits.
    Arithmetic:  exact up to the one rounding; two multipliers.
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
        inputs, channel = self.i.payload, self.i.payload.channel
        mantissa_width = len(channel.mantissa)
        v_width = len(inputs.threshold.mantissa)
        shift_width = len(channel.exponent) + 2

        valid = [Signal(name=f"valid{stage}") for stage in range(4)]
        negative = [Signal(name=f"negative{stage}") for stage in range(4)]
        bias = [Signal(signed(VECTOR_WIDTH), name=f"bias{stage}") for stage in range(4)]
        shift = [Signal(signed(shift_width), name=f"shift{stage}") for stage in range(3)]
        magnitude = Signal(p.acc_width)
        v_mantissa = Signal(v_width)
        mantissas = [Signal(mantissa_width, name=f"mantissa{stage}") for stage in range(2)]
        product = Signal(p.acc_width + v_width)
        scaled = Signal(p.acc_width + v_width + mantissa_width)
        rounded = Signal(VECTOR_WIDTH + 1)  # saturated magnitude
        limit = 1 << VECTOR_WIDTH - 1

        m.d.comb += self.busy.eq(self.i.valid | Cat(*valid).any() | self.o.valid)
        with m.If(move):
            m.d.sync += [
                valid[0].eq(self.i.valid),
                negative[0].eq(inputs.psum < 0),
                magnitude.eq(Mux(inputs.psum < 0, -inputs.psum, inputs.psum)),
                v_mantissa.eq(inputs.threshold.mantissa),
                mantissas[0].eq(channel.mantissa),
                shift[0].eq(channel.exponent + THRESHOLD_FRACTION_BITS - inputs.threshold.exponent),
                bias[0].eq(channel.bias),
                # multiply by the threshold
                product.eq(magnitude * v_mantissa),
                mantissas[1].eq(mantissas[0]),
                # multiply by the scale
                scaled.eq(product * mantissas[1]),
            ]
            for stage in range(3):
                m.d.sync += [
                    valid[stage + 1].eq(valid[stage]),
                    negative[stage + 1].eq(negative[stage]),
                    bias[stage + 1].eq(bias[stage]),
                ]
            m.d.sync += [shift[stage + 1].eq(shift[stage]) for stage in range(2)]

            # shift, round half away from zero, saturate
            right = shift[2]
            whole = Signal(len(scaled) + 1)
            half_up = Signal()
            places = Signal(range(len(scaled) + 1))
            m.d.comb += [
                places.eq(Mux(right > len(scaled), len(scaled), right[:7])),
                half_up.eq((scaled << 1).bit_select(places, 1)),
                whole.eq((scaled >> places) + half_up),
            ]
            with m.If(right > len(scaled)):
                m.d.sync += rounded.eq(0)
            with m.Elif(right < 0):
                m.d.sync += rounded.eq(Mux(scaled == 0, 0, limit))
            with m.Else():
                m.d.sync += rounded.eq(Mux(whole > limit, limit, whole))

            # bias
            value = Signal(signed(VECTOR_WIDTH + 2))
            total = Signal(signed(VECTOR_WIDTH + 2))
            m.d.comb += [
                value.eq(Mux(negative[3], -rounded, Mux(rounded == limit, limit - 1, rounded))),
                total.eq(value + bias[3]),
            ]
            m.d.sync += [
                self.o.valid.eq(valid[3]),
                self.o.payload.eq(
                    Mux(total >= limit, limit - 1, Mux(total < -limit, -limit, total))
                ),
            ]
        return m
