"""What the pipelines of the vector unit have in common."""

from amaranth import Module, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.common.fixed import round_half_away, saturate
from hw.common.pipeline import Pipeline, Staged
from hw.contract.params import FRACTION_BITS, VECTOR_WIDTH, HwParams
from hw.vector.multiply import MULTIPLIER_STAGES, factors_layout, products_layout

__all__ = ["Lanes", "MultiplyingLanes", "finish", "word_layout"]


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

    def give(self, m: Module, pipe: Pipeline, valid: Value, results: list[Staged]) -> None:
        """Give results, one a lane and all of one stage, of the words that enter with `valid`."""
        stage, entered = results[0].stage, pipe.valid(valid)
        m.d.comb += [
            *(self.o[lane].eq(result.value) for lane, result in enumerate(results)),
            self.o_valid.eq(pipe.at(entered, stage)),
            self.busy.eq(pipe.any(entered, 1, stage)),
        ]


class MultiplyingLanes(Lanes):
    """Lanes that use the multipliers, two of them a lane.

    Members, besides those of `Lanes`
    -------
    factors, products : Out, In
        To `Multipliers`, and from there.
    """

    def __init__(self, params: HwParams, members: dict | None = None) -> None:
        factors, products = factors_layout(params), products_layout(params)
        super().__init__(
            params, {"factors": Out(factors), "products": In(products)} | (members or {})
        )

    def multiply(self, m: Module, pipe: Pipeline, number: int, x: Staged, y: Staged) -> Staged:
        """Return what multiplier `number` makes of x and y."""
        stage = max(x.stage, y.stage)
        factors = self.factors[number]
        m.d.comb += [factors.x.eq(pipe.at(x, stage)), factors.y.eq(pipe.at(y, stage))]
        width = min(len(x.value) + len(y.value), len(self.products[number]))
        product = self.products[number][:width].as_signed()
        return pipe.enter(product, stage + MULTIPLIER_STAGES)


def finish(pipe: Pipeline, total: Staged) -> Staged:
    """Return an element of a result with twice the fraction bits, rounded and saturated."""
    rounded = pipe.stage(
        "rounded",
        signed(len(total.value) + 1 - FRACTION_BITS),
        lambda total: round_half_away(total, FRACTION_BITS),
        total,
    )
    return pipe.stage("result", signed(VECTOR_WIDTH), saturate, rounded)
