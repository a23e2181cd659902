"""Places a VECTOR by position and token."""

from amaranth import Module, Mux, Signal
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, POSITION_WIDTH, Opcode, VectorOp
from hw.contract.params import VECTOR_WIDTH

__all__ = ["Placement"]

_VECTOR = INSTRUCTIONS[Opcode.VECTOR]


class Placement(Component):
    """Add to a VECTOR's addresses what the position and its token add.

    Members
    -------
    i : In
        A VECTOR; from start on it stays, until its result has been taken.
    position, token : In
        The position, and its token.
    start : In(1)
        Place it.
    o : Out
        The VECTOR with its addresses: `a` of the token's row, `b` of the position's, and the result
        of ARGMAX where the next position's token belongs.

    Timing:      latency 2 cycles from start; one VECTOR in 2 cycles.
    Arithmetic:  addresses, modulo their width, with two multiplications.
    Golden:      none.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(_VECTOR),
                "position": In(32),
                "token": In(INSTRUCTIONS[Opcode.TOKEN]["vocabulary"].shape),
                "start": In(1),
                "o": Out(_VECTOR),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        vector, position = self.i, self.position
        by_token = self.token * vector.stride
        by_position = position[:POSITION_WIDTH] * vector.stride
        number = (position + 1) << exact_log2(VECTOR_WIDTH // 8)
        argmax = vector.operation == VectorOp.ARGMAX
        added = {
            "a": Mux(vector.a_by_token, by_token, 0),
            "b": Mux(vector.b_by_position, by_position, 0),
            "destination": Mux(argmax, number, 0),
        }
        adding = Signal()
        m.d.sync += adding.eq(self.start)
        m.d.comb += self.o.eq(vector)
        for name, offset in added.items():
            place = Signal(len(vector[name]), name=f"{name}_place")
            m.d.comb += self.o[name].eq(place)
            with m.If(self.start):
                m.d.sync += place.eq(offset)
            with m.If(adding):
                m.d.sync += place.eq(vector[name] + place)
        return m
