"""The exponents of a site's channels: read from memory with an ENCODE, and given word by word."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.params import EXPONENT_WIDTH, VECTOR_WIDTH, HwParams

__all__ = ["Exponents"]


class Exponents(Component):
    """Hold the exponents of up to `max_channels` channels.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Memory words of exponents, the first channel's in the lowest bits; always taken.
    last_word : In
        The last word of vector elements that there is; steady while exponents come.
    loaded : Out(1)
        The last word comes in this cycle.
    largest : In
        Exponents above it count as it; with 0 there are none.
    word, enable : In
        Which word of vector elements to give those of.
    o : Out(array)
        Those of the word asked for one cycle before.

    Timing:      latency 1 cycle; a word a cycle.
    Arithmetic:  none.
    Golden:      golden.recipe.exponents
    """

    WORDS_LOG2 = exact_log2(VECTOR_WIDTH // EXPONENT_WIDTH)
    """Words of vector elements whose exponents a memory word holds."""

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        words = range(p.max_channels // p.encode_lanes)
        super().__init__(
            {
                "i": In(stream.Signature(p.axi_data_width, always_ready=True)),
                "last_word": In(words),
                "loaded": Out(1),
                "largest": In(EXPONENT_WIDTH),
                "word": In(words),
                "enable": In(1),
                "o": Out(data.ArrayLayout(EXPONENT_WIDTH, p.encode_lanes)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        depth = max(2, p.max_channels // p.encode_lanes >> self.WORDS_LOG2)
        m.submodules.memory = store = memory.Memory(
            shape=p.axi_data_width, depth=depth, init=[], attrs=NO_COLLISIONS
        )
        write, read = store.write_port(), store.read_port()
        written = Signal(range(depth))
        m.d.comb += [
            write.addr.eq(written),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
            self.loaded.eq(self.i.valid & (written == self.last_word >> self.WORDS_LOG2)),
            read.addr.eq(self.word >> self.WORDS_LOG2),
            read.en.eq(self.enable),
        ]
        with m.If(self.i.valid):
            m.d.sync += written.eq(Mux(self.loaded, 0, written + 1))
        place = Signal(self.WORDS_LOG2)
        with m.If(self.enable):
            m.d.sync += place.eq(self.word[: self.WORDS_LOG2])
        given = read.data.word_select(place, EXPONENT_WIDTH * p.encode_lanes)
        for lane in range(p.encode_lanes):
            own = given.word_select(lane, EXPONENT_WIDTH)
            m.d.comb += self.o[lane].eq(Mux(own > self.largest, self.largest, own))
        return m
