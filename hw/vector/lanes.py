"""What the pipelines of the vector unit have in common."""

from amaranth import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import VECTOR_WIDTH, HwParams

__all__ = ["Lanes", "chain", "round_half_away", "saturate", "word_layout"]

_LIMIT = 1 << VECTOR_WIDTH - 1


def word_layout(params: HwParams) -> data.ArrayLayout:
    """Return a memory word of vector elements."""
    return data.ArrayLayout(signed(VECTOR_WIDTH), params.encode_lanes)


class Lanes(Component):
    """A pipeline that takes a memory word of a, and of b, and gives one.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    members : dict, optional
        What a pipeline has besides.

    Members
    -------
    i_valid, a, b : In
        Words of the operands.
    move : In(1)
        The pipeline moves on.
    o_valid, o : Out
        A result; it stays until the pipeline moves.
    busy : Out(1)
        Something is inside.
    """

    def __init__(self, params: HwParams, members: dict | None = None) -> None:
        self._params = params
        super().__init__(
            {
                "i_valid": In(1),
                "a": In(word_layout(params)),
                "b": In(word_layout(params)),
                "move": In(1),
                "o_valid": Out(1),
                "o": Out(word_layout(params)),
                "busy": Out(1),
            }
            | (members or {})
        )


def chain(m: Module, move, value, stages: int, name: str) -> list[Signal]:
    """Return `value` after 0, 1, … `stages` moves."""
    values = [value]
    for stage in range(stages):
        later = Signal(value.shape(), name=f"{name}{stage + 1}")
        with m.If(move):
            m.d.sync += later.eq(values[-1])
        values.append(later)
    return values


def round_half_away(value: Value, places: Value | int) -> Value:
    """Return the signed `value` divided by ``2^places``, halves away from zero; places >= 1."""
    half = (Const(1) << places)[: len(value)] >> 1
    return (value + half - (value < 0)).as_signed() >> places


def saturate(value: Value) -> Value:
    """Return the signed `value` clamped to a vector element."""
    return Mux(value >= _LIMIT, _LIMIT - 1, Mux(value < -_LIMIT, -_LIMIT, value))
