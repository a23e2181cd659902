"""An integrate-and-fire neuron: how many spikes an input fires, by compare and subtract."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams

__all__ = ["Neuron"]


class Neuron(Component):
    """Count the signed spikes of a stream of inputs under one threshold.

    The membrane starts at half a threshold. It is compared with 2^b thresholds for falling b, and
    where it holds as many, it fires 2^b spikes and is reset by them (soft reset). What it holds
    beyond the largest count is clipped; inputs inside the dead zone do not fire.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_valid, i : In(1), In(signed 32)
        An input in this cycle.
    threshold, max_count, dead_zone : In
        The token's threshold and its site's limits; steady while an input is inside.
    o_valid, o : Out(1), Out(signed)
        A count in this cycle.

    Timing:      latency `Neuron.latency(params)` cycles; one input a cycle; never stalls.
    Arithmetic:  exact; membrane of 58 bits.
    Golden:      golden.numerics.neuron.fire
    """

    @staticmethod
    def latency(params: HwParams) -> int:
        """Cycles from an input to its count: magnitude, one per bit and its overflow, clip."""
        return 1 + (params.count_width - 1 + 1) + 1

    def __init__(self, params: HwParams) -> None:
        self._params = params
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(signed(VECTOR_WIDTH)),
                "threshold": In(params.threshold_width),
                "max_count": In(params.count_width - 1),
                "dead_zone": In(VECTOR_WIDTH),
                "o_valid": Out(1),
                "o": Out(signed(params.count_width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        bits = self._params.count_width - 1
        membrane_width = VECTOR_WIDTH + THRESHOLD_FRACTION_BITS + 2
        stage_layout = data.StructLayout(
            {"valid": 1, "v_mem": membrane_width, "negative": 1, "fires": 1, "spikes": bits + 1}
        )
        stages = [Signal(stage_layout, name=f"stage{index}") for index in range(bits + 2)]

        first = stages[0]
        magnitude = Signal(VECTOR_WIDTH)
        m.d.comb += magnitude.eq(Mux(self.i < 0, -self.i, self.i))
        m.d.sync += [
            first.valid.eq(self.i_valid),
            first.v_mem.eq((magnitude << (THRESHOLD_FRACTION_BITS + 1)) + self.threshold),
            first.negative.eq(self.i < 0),
            first.fires.eq(magnitude >= self.dead_zone),
            first.spikes.eq(0),
        ]
        for index, (before, after) in enumerate(zip(stages, stages[1:], strict=False)):
            bit = bits - index  # the first one finds counts beyond every clip
            quantum = self.threshold << (bit + 1)
            holds = Signal(name=f"holds{bit}")
            m.d.comb += holds.eq(before.v_mem >= quantum)
            m.d.sync += [
                after.eq(before),
                after.v_mem.eq(Mux(holds, before.v_mem - quantum, before.v_mem)),
                after.spikes[bit].eq(holds),
            ]
        last = stages[-1]
        clipped = Signal(bits)
        overflow = last.spikes > self.max_count
        m.d.comb += clipped.eq(Mux(overflow, self.max_count, last.spikes))
        m.d.sync += [
            self.o_valid.eq(last.valid),
            self.o.eq(Mux(last.fires, Mux(last.negative, -clipped, clipped), 0)),
        ]
        return m
