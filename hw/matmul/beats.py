"""Cuts memory words into beats of weights, whatever their width."""

from amaranth import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.matmul.fetch import row_words_layout

__all__ = ["Beats", "beat_layout"]


def beat_layout(params: HwParams) -> data.ArrayLayout:
    """Return one beat: a signed weight for each lane."""
    return data.ArrayLayout(signed(max(params.weight_widths)), params.lanes)


class Beats(Component):
    """Gather the words of a beat, or cut a word into several beats, and extend each weight's sign.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_rows : In(stream)
        The extent of each row segment.
    i : In(stream)
        Memory words of row segments.
    o_scales : Out(stream)
        Those of segments that hold scales.
    o : Out(stream)
        Beats, lane 0 from the lowest bits.

    Timing:      latency 1 cycle after a beat's last word; a word or a beat a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_rows": In(stream.Signature(row_words_layout(p))),
                "i": In(stream.Signature(p.axi_data_width)),
                "o": Out(stream.Signature(beat_layout(p))),
                "o_scales": Out(stream.Signature(p.axi_data_width)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        beat_bits = {width: p.lanes * width for width in p.weight_widths}
        words_per_beat = {w: max(1, bits // p.axi_data_width) for w, bits in beat_bits.items()}
        beats_per_word = {w: max(1, p.axi_data_width // bits) for w, bits in beat_bits.items()}
        most_words, most_beats = max(words_per_beat.values()), max(beats_per_word.values())

        row = self.i_rows.payload
        taken_words = Signal.like(row.words)  # of the row
        word_taken = Signal()
        m.d.comb += word_taken.eq(self.i.valid & self.i.ready)
        with m.If(word_taken):
            m.d.sync += taken_words.eq(taken_words + 1)
            with m.If(taken_words == row.words - 1):
                m.d.comb += self.i_rows.ready.eq(1)
                m.d.sync += taken_words.eq(0)

        # Earlier words of the beat that is being gathered, the latest one last.
        earlier = [
            Signal(p.axi_data_width, name=f"word{index}", reset_less=True)
            for index in range(most_words - 1)
        ]
        gathered = Cat(*earlier, self.i.payload)
        word_index = Signal(range(max(most_words, 2)))
        beat_index = Signal(range(max(most_beats, 2)))
        complete, exhausted = Signal(), Signal()
        beat = Signal(beat_layout(p))
        with m.Switch(row.weight_width):
            for width in p.weight_widths:
                with m.Case(width):
                    m.d.comb += [
                        complete.eq(word_index == words_per_beat[width] - 1),
                        exhausted.eq(beat_index == beats_per_word[width] - 1),
                    ]
                    low = len(gathered) - words_per_beat[width] * p.axi_data_width
                    choices = Array(
                        gathered[low + index * beat_bits[width] :][: beat_bits[width]]
                        for index in range(beats_per_word[width])
                    )
                    chosen = Signal(beat_bits[width], name=f"beat_of_{width}_bits")
                    m.d.comb += chosen.eq(choices[beat_index])
                    for lane in range(p.lanes):
                        m.d.comb += beat[lane].eq(chosen.word_select(lane, width).as_signed())

        free, move = Signal(), Signal()
        m.d.comb += [
            free.eq(~complete | ~self.o.valid | self.o.ready),
            move.eq(self.i.valid & self.i_rows.valid & ~row.scales & free),
            self.i.ready.eq(
                self.i_rows.valid
                & Mux(row.scales, self.o_scales.ready, (~complete | exhausted) & free)
            ),
            self.o_scales.valid.eq(self.i.valid & self.i_rows.valid & row.scales),
            self.o_scales.payload.eq(self.i.payload),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(move):
            with m.If(complete):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(beat),
                    beat_index.eq(Mux(exhausted, 0, beat_index + 1)),
                    word_index.eq(0),
                ]
            with m.Else():
                m.d.sync += word_index.eq(word_index + 1)
                for word, newer in zip(earlier, [*earlier, self.i.payload][1:], strict=True):
                    m.d.sync += word.eq(newer)
        return m
