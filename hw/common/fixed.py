"""Fixed point: rounding and saturation of vector elements."""

from amaranth import Const, Mux, Value

from hw.contract.params import VECTOR_WIDTH

__all__ = ["round_half_away", "saturate"]

_HIGHEST = (1 << VECTOR_WIDTH - 1) - 1


def round_half_away(value: Value, places: int) -> Value:
    """Return the signed `value` divided by ``2^places``, halves away from zero; places >= 1."""
    half = Const(1 << places - 1)
    return (value + Mux(value < 0, half - 1, half)).as_signed() >> places


def saturate(value: Value) -> Value:
    """Return the signed `value` clamped to a vector element."""
    above = value[VECTOR_WIDTH - 1 :]
    limit = Mux(value[-1], ~_HIGHEST, _HIGHEST)
    return Mux(above.all() | ~above.any(), value[:VECTOR_WIDTH].as_signed(), limit)
