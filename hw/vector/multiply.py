"""The multipliers of the vector unit, which its pipelines share."""

from amaranth import Module, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.common.pipeline import PRODUCT_STAGES, Pipeline
from hw.contract.params import VECTOR_WIDTH, HwParams

__all__ = ["MULTIPLIERS", "MULTIPLIER_STAGES", "Multipliers", "factors_layout", "products_layout"]

MULTIPLIERS = 2
"""Of a lane."""
MULTIPLIER_STAGES = 1 + PRODUCT_STAGES
"""Moves from factors to their product: the factors have registers of their own."""

_FACTOR_WIDTH = VECTOR_WIDTH + 1  # holds what is signed and what is not


def factors_layout(params: HwParams) -> data.ArrayLayout:
    """Return what the multipliers take, those of lane 0 first."""
    factor = signed(_FACTOR_WIDTH)
    pair = data.StructLayout({"x": factor, "y": factor})
    return data.ArrayLayout(pair, MULTIPLIERS * params.encode_lanes)


def products_layout(params: HwParams) -> data.ArrayLayout:
    """Return what the multipliers give."""
    return data.ArrayLayout(signed(2 * _FACTOR_WIDTH), MULTIPLIERS * params.encode_lanes)


class Multipliers(Component):
    """Compute ``x * y``, a pair each.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    move : In(1)
        They move on.
    factors, products : In, Out
        Pairs, and their products.

    Timing:      latency 3 moves; a product a move.
    Arithmetic:  exact.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        super().__init__(
            {
                "move": In(1),
                "factors": In(factors_layout(params)),
                "products": Out(products_layout(params)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        for number in range(len(self.factors)):
            pipe = Pipeline(m, self.move, f"_of{number}")
            pair = self.factors[number]
            x, y = (
                pipe.stage(name, signed(_FACTOR_WIDTH), lambda value: value, pipe.enter(value))
                for name, value in (("x", pair.x), ("y", pair.y))
            )
            m.d.comb += self.products[number].eq(pipe.product("product", x, y).value)
        return m
