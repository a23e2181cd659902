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
        The position, and its token; they stay as well.
    start : In(1)
        Place it.
    done : Out(1)
        It is placed from the next cycle on, if it was started before.
    o : Out
        The VECTOR with its addresses: `a` of the token's row, `b` of the position's, and the result
        of ARGMAX where the next position's token belongs.

    Timing:      latency 2 cycles from start; with `b_by_position` a cycle more for each bit of the
                 position, with `a_by_token` for each of a token number instead; one at a time.
    Arithmetic:  addresses, modulo their width; products are sums of shifted strides.
    Golden:      none.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "i": In(_VECTOR),
                "position": In(32),
                "token": In(INSTRUCTIONS[Opcode.TOKEN]["vocabulary"].shape),
                "start": In(1),
                "done": Out(1),
                "o": Out(_VECTOR),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        vector, position = self.i, self.position
        number = (position + 1) << exact_log2(VECTOR_WIDTH // 8)
        m.d.comb += self.o.eq(vector)
        places = {}
        for name in ("a", "b", "destination"):
            places[name] = place = Signal(len(vector[name]), name=f"{name}_place", reset_less=True)
            m.d.comb += self.o[name].eq(place)
        # The stride, for the lowest bit that is left.
        shifted = Signal(len(vector.a), reset_less=True)
        token_left = Signal.like(self.token)
        position_left = Signal(POSITION_WIDTH)
        bits_left = Signal(range(max(len(token_left), POSITION_WIDTH) + 1))
        m.d.comb += self.done.eq(bits_left == 0)
        with m.If(self.start):
            m.d.sync += [
                shifted.eq(vector.stride),
                token_left.eq(Mux(vector.a_by_token, self.token, 0)),
                position_left.eq(Mux(vector.b_by_position, position, 0)),
                bits_left.eq(
                    Mux(
                        vector.a_by_token,
                        len(token_left),
                        Mux(vector.b_by_position, POSITION_WIDTH, 0),
                    )
                ),
                places["a"].eq(vector.a),
                places["b"].eq(vector.b),
                places["destination"].eq(
                    vector.destination + Mux(vector.operation == VectorOp.ARGMAX, number, 0)
                ),
            ]
        with m.Elif(~self.done):
            m.d.sync += [
                shifted.eq(shifted << 1),
                token_left.eq(token_left >> 1),
                position_left.eq(position_left >> 1),
                bits_left.eq(bits_left - 1),
                places["a"].eq(places["a"] + Mux(token_left[0], shifted, 0)),
                places["b"].eq(places["b"] + Mux(position_left[0], shifted, 0)),
            ]
        return m
