"""An integrate-and-fire neuron: how many spikes an input fires, an addition for each bit of it."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, Opcode
from hw.contract.params import THRESHOLD_FRACTION_BITS, VECTOR_WIDTH, HwParams

__all__ = ["Neuron", "input_layout", "levels", "offset_of"]


def levels(params: HwParams) -> int:
    """Return by how many doublings the threshold of a group may exceed the token's finest."""
    return min(params.max_shift, (1 << INSTRUCTIONS[Opcode.ENCODE]["shifts"].width) - 1)


def input_layout(params: HwParams) -> data.StructLayout:
    """Return an input as a neuron takes it.

    `fine` is the magnitude in units of 2^-levels, over 2^s where the threshold of its group is 2^s
    times the token's finest.
    """
    return data.StructLayout(
        {"magnitude": VECTOR_WIDTH, "fine": VECTOR_WIDTH + levels(params), "negative": 1}
    )


def offset_of(params: HwParams, threshold):
    """Return what a neuron's first stage adds to an input, for its `threshold`."""
    return threshold - (threshold << params.count_width)


class Neuron(Component):
    """Count the signed spikes of a stream of inputs under one threshold.

    The membrane starts at half a threshold. It is compared with 2^b thresholds for falling b, and
    where it holds as many, it fires 2^b spikes and is reset by them (soft reset). What it holds
    beyond the largest count is clipped; inputs inside the dead zone do not fire.

    A comparison is a subtraction, and its difference is what the next one goes on with: where it
    was negative, the next one adds half of what was too much, instead of subtracting.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_valid, i : In(1), In(struct)
        An input in this cycle.
    threshold, max_count, dead_zone : In
        The token's finest threshold and its site's limits; steady while an input is inside.
    offset : In
        `offset_of` the threshold.
    o_valid, o : Out(1), Out(signed)
        A count in this cycle.

    Timing:      latency `Neuron.latency(params)` cycles; one input a cycle; never stalls.
    Arithmetic:  exact; differences of up to 66 bits.
    Golden:      golden.numerics.neuron.fire
    """

    @staticmethod
    def latency(params: HwParams) -> int:
        """Cycles from an input to its count: one per bit and its overflow, clip."""
        return (params.count_width - 1 + 1) + 1

    def __init__(self, params: HwParams) -> None:
        self._params = params
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(input_layout(params)),
                "threshold": In(params.threshold_width),
                "offset": In(signed(params.threshold_width + params.count_width + 1)),
                "max_count": In(params.count_width - 1),
                "dead_zone": In(VECTOR_WIDTH),
                "o_valid": Out(1),
                "o": Out(signed(params.count_width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        bits = p.count_width - 1
        membrane_width = VECTOR_WIDTH + THRESHOLD_FRACTION_BITS + 2

        # Of the membrane, what exceeds 2^bit thresholds: negative where it holds fewer. The first
        # stage finds counts beyond every clip.
        excess = [
            Signal(
                signed(max(membrane_width, p.threshold_width + bit + 1) + 1),
                name=f"v_mem{bit}",
                reset_less=True,
            )
            for bit in range(bits + 1)
        ]
        rest_layout = data.StructLayout(
            {"valid": 1, "negative": 1, "fires": 1, "spikes": range(1 << bits)}
        )
        rest = [Signal(rest_layout, name=f"rest{bit}") for bit in range(bits + 1)]
        m.d.sync += [
            excess[bits].eq(
                (self.i.fine << (THRESHOLD_FRACTION_BITS + 1 - levels(p))) + self.offset
            ),
            rest[bits].valid.eq(self.i_valid),
            rest[bits].negative.eq(self.i.negative),
            rest[bits].fires.eq(self.i.magnitude >= self.dead_zone),
            rest[bits].spikes.eq(0),
        ]
        for bit in reversed(range(bits)):
            before = excess[bit + 1]
            holds = ~before[-1]
            # Below the threshold's lowest bit nothing changes. One carry chain: the complement,
            # and the carry into the lowest bit, subtract.
            high = before[bit + 1 :]
            operand = Cat(self.threshold, 0) ^ holds.replicate(len(self.threshold) + 1)
            total = Cat(1, high).as_signed() + Cat(holds, operand).as_signed()
            m.d.sync += [
                excess[bit].eq(Cat(before[: bit + 1], total[1:])),
                rest[bit].eq(rest[bit + 1]),
                rest[bit].spikes.eq(Cat(holds, rest[bit + 1].spikes)),
            ]
        last = rest[0]
        spikes = Cat(~excess[0][-1], last.spikes)
        clipped = Signal(bits)
        overflow = spikes > self.max_count
        m.d.comb += clipped.eq(Mux(overflow, self.max_count, spikes))
        m.d.sync += [
            self.o_valid.eq(last.valid),
            self.o.eq(Mux(last.fires, Mux(last.negative, -clipped, clipped), 0)),
        ]
        return m
