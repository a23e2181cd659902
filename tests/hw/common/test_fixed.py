"""Rounding and saturation, against section 1 of the numerics in plain integers."""

import pytest
from amaranth import Module, Signal, signed

from hw.common.component import Component
from hw.common.fixed import round_half_away, saturate
from tests.harness.reference import sat32
from tests.harness.streams import simulate


class Nothing(Component):
    """Expressions need no hardware of their own."""

    def __init__(self) -> None:
        super().__init__({})

    def elaborate(self, platform):
        return Module()


def rounded(value: int, places: int) -> int:
    magnitude = (abs(value) + (1 << places - 1)) >> places
    return -magnitude if value < 0 else magnitude


@pytest.mark.parametrize("places", [1, 2, 5])
def test_halves_go_away_from_zero(places):
    value = Signal(signed(9))

    async def check(ctx):
        for number in range(-256, 256):
            ctx.set(value, number)
            assert ctx.get(round_half_away(value, places)) == rounded(number, places), number

    simulate(Nothing(), check)


@pytest.mark.parametrize("width", [33, 34, 50])
def test_what_an_element_cannot_hold(width):
    value = Signal(signed(width))
    edges = [sign << places for places in (0, 30, 31, 32, width - 2) for sign in (1, -1)]
    edges += [-(1 << width - 1), (1 << width - 1) - 1]
    numbers = [edge + near for edge in edges for near in (-1, 0, 1)]

    async def check(ctx):
        for number in numbers:
            if -(1 << width - 1) <= number < 1 << width - 1:
                ctx.set(value, number)
                assert ctx.get(saturate(value)) == sat32(number), number

    simulate(Nothing(), check)
