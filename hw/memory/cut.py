"""Where a run of memory words is cut: at the longest burst, and at 4 KiB."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.utils import exact_log2

from hw.contract.params import HwParams

__all__ = ["cut"]


def cut(m: Module, params: HwParams, address, max_words: int) -> tuple[Signal, Signal]:
    """Return the most words that a burst from `address` may have, and where such a one ends.

    Longest bursts are powers of two, so both need no adder of the address' width but a carry: a
    burst that does not end at 4 KiB leaves the address' lower bits as they are.

    Parameters
    ----------
    m : Module
        Where it is built.
    params : HwParams
        The accelerator.
    address : Value
        Word address.
    max_words : int
        Longest burst, a power of two.
    """
    low_width = exact_log2(max_words)
    low = address[:low_width]
    longest = Signal(range(max_words + 1), name="longest")
    next_address = Signal(len(address), name="next_address")
    ends_page = Signal(name="ends_page")
    m.d.comb += [
        ends_page.eq(address[low_width : exact_log2(4096 // params.axi_bytes)].all()),
        longest.eq(max_words - Mux(ends_page, low, 0)),
        next_address.eq(Cat(Mux(ends_page, 0, low), address[low_width:] + 1)),
    ]
    return longest, next_address
