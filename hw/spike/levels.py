"""By how many doublings a group's threshold exceeds the token's finest, by its loudest channel."""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.params import THRESHOLD_GROUP, VECTOR_WIDTH, HwParams
from hw.spike.neuron import levels
from hw.spike.threshold import potential_width

__all__ = ["Levels"]


class Levels(Component):
    """Find the largest magnitude of each group of 32 channels, and hold it against the potential.

    A token's words come first, then its potential stands, then its words are gone through again.

    Parameters
    ----------
    params : HwParams
        The accelerator; with shifts.

    Members
    -------
    i_valid, i, i_word : In
        The largest magnitude of a word of the token, and the word's number; words in order.
    potential, shifts : In
        Of the token and its site; steady from some cycles before the first word is asked for.
    word, enable : In
        The word that is asked for; words in order, and word 0 while nothing is asked for.
    o : Out
        The level of the word asked for one cycle before, from 0 to `shifts`.

    Timing:      latency 1 cycle; a word a cycle; the first one may be asked for 5 cycles after the
                 last magnitude and the potential have come.
    Arithmetic:  comparisons.
    Golden:      golden.numerics.neuron.group_shifts
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        word = range(p.max_channels // p.encode_lanes + 1)
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(VECTOR_WIDTH),
                "i_word": In(word),
                "potential": In(potential_width(p)),
                "shifts": In(range(levels(p) + 1)),
                "word": In(word),
                "enable": In(1),
                "o": Out(range(levels(p) + 1)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        words_log2 = exact_log2(THRESHOLD_GROUP // p.encode_lanes)
        m.submodules.peaks = peaks = memory.Memory(
            shape=VECTOR_WIDTH,
            depth=p.max_channels // THRESHOLD_GROUP,
            init=[],
            attrs=NO_COLLISIONS,
        )
        write, read = peaks.write_port(), peaks.read_port()

        # A group's peak is written with each of its words: the last writing is complete.
        peak = Signal(VECTOR_WIDTH)
        peak_valid = Signal()
        peak_word = Signal.like(self.i_word)
        begins = self.i_word[:words_log2] == 0
        m.d.sync += peak_valid.eq(self.i_valid)
        with m.If(self.i_valid):
            m.d.sync += peak_word.eq(self.i_word)
            with m.If(begins | (self.i > peak)):
                m.d.sync += peak.eq(self.i)
        m.d.comb += [
            write.addr.eq(peak_word >> words_log2),
            write.data.eq(peak),
            write.en.eq(peak_valid),
        ]

        # The level of the next group is found while the words of this one are asked for.
        fits = Signal(levels(p))
        following = Signal.like(self.o)
        current = Signal.like(self.o)
        ends = self.enable & (self.word[:words_log2] == (1 << words_log2) - 1)
        m.d.comb += [
            read.addr.eq(Mux(self.enable, (self.word >> words_log2) + 1, 0)),
            read.en.eq(1),
            following.eq(
                self.shifts - sum(fits[index] & (self.shifts > index) for index in range(levels(p)))
            ),
        ]
        m.d.sync += [
            fits[index].eq((read.data << (index + 1)) <= self.potential)
            for index in range(levels(p))
        ]
        with m.If(~self.enable | ends):
            m.d.sync += current.eq(following)
        with m.If(self.enable):
            m.d.sync += self.o.eq(current)
        return m
