"""Rounding and saturation, as expressions (numerics, sections 1 and 8)."""

from amaranth import Const, Mux, Value

from hw.contract.params import VECTOR_WIDTH

__all__ = ["round_half_away", "saturate"]

_LIMIT = 1 << VECTOR_WIDTH - 1


def round_half_away(value: Value, places: Value | int) -> Value:
    """Return the signed `value` divided by ``2^places``, halves away from zero; places >= 1."""
    half = (Const(1) << places)[: len(value)] >> 1
    return (value + half - (value < 0)).as_signed() >> places


def saturate(value: Value) -> Value:
    """Return the signed `value` clamped to a vector element."""
    return Mux(value >= _LIMIT, _LIMIT - 1, Mux(value < -_LIMIT, -_LIMIT, value))
