"""One processing element: a sign-aware conditional adder."""

from amaranth import Cat, Mux, Value

__all__ = ["accumulate"]


def accumulate(v_mem: Value, weight: Value, fires: Value, minus: Value) -> Value:
    """Return ``v_mem + weight`` where it `fires`, less it where `minus` too, else ``v_mem``.

    One carry chain: a subtraction adds the complement, and the sign spike is the carry into the
    lowest bit. The result is as wide as `v_mem`, which the caller makes wide enough.

    Parameters
    ----------
    v_mem : Value
        Membrane potential, signed.
    weight : Value
        Weight, shifted to its step's place, signed, not wider than `v_mem`.
    fires, minus : Value
        The spike, one bit each: whether there is one, and whether it is negative.
    """
    width = len(v_mem)
    wide = Cat(weight, weight[-1].replicate(width - len(weight)))
    operand = Mux(fires, wide ^ minus.replicate(width), 0)
    total = Cat(1, v_mem) + Cat(minus, operand)
    return total[1 : width + 1].as_signed()
