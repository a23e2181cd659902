"""The write side of the memory port: rows of bytes become AXI4 write bursts."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.memory.cut import cut
from hw.memory.port import burst_layout, word_address_width, write_data_layout

__all__ = ["WritePort", "row_layout"]


def row_layout(params: HwParams) -> data.StructLayout:
    """Return where a run of bytes goes: its first word, its first byte in it, its bytes (> 0)."""
    return data.StructLayout(
        {
            "address": word_address_width(params),
            "first": range(params.axi_bytes),
            "bytes": 26,
        }
    )


class WritePort(Component):
    """Write rows; bytes before a row's first and beyond its last are not touched.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_row : In(stream)
        Rows, in order.
    i : In(stream)
        Their words, one for each word of memory that a row touches.
    o_address, o_data, i_response : Out(stream), Out(stream), In(stream)
        The channels AW, W and B (payload: the memory reports an error).
    busy : Out(1)
        A row is being written or a burst not yet acknowledged.
    failed : Out(1)
        In this cycle a burst was acknowledged as failed.
    bytes : Out
        Bytes that left in this cycle.

    Timing:      a word a cycle, and besides one cycle a row and 2 a burst.
    Arithmetic:  addresses only.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i_row": In(stream.Signature(row_layout(p))),
                "i": In(stream.Signature(p.axi_data_width)),
                "o_address": Out(stream.Signature(burst_layout(p))),
                "o_data": Out(stream.Signature(write_data_layout(p))),
                "i_response": In(stream.Signature(1, always_ready=True)),
                "busy": Out(1),
                "failed": Out(1),
                "bytes": Out(range(p.axi_bytes + 1)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        byte_log2 = exact_log2(p.axi_bytes)
        address = Signal(word_address_width(p))
        end = Signal(self.i_row.payload.bytes.shape().width + 1)  # of the row, from this word on
        first = Signal(range(p.axi_bytes))
        words = Signal(len(end) - byte_log2)
        burst_words = Signal(range(p.max_burst_words + 1))
        pending = Signal(16)

        longest, next_address = cut(m, p, address, p.max_burst_words)
        low, beyond = words[: len(longest)], words[len(longest) :].any()
        last = Signal()  # the row ends with this burst
        m.d.comb += [
            last.eq(~beyond & (low <= longest)),
            self.o_address.payload.address.eq(address),
            self.o_address.payload.words.eq(Mux(last, low, longest)),
        ]

        out = self.o_data
        sent = out.valid & out.ready
        take = Signal()
        with m.If(sent):
            m.d.sync += out.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                out.valid.eq(1),
                out.payload.data.eq(self.i.payload),
                out.payload.strobe.eq(
                    Cat((byte >= first) & (byte < end) for byte in range(p.axi_bytes))
                ),
                out.payload.last.eq(burst_words == 1),
                burst_words.eq(burst_words - 1),
                end.eq(end - p.axi_bytes),
                first.eq(0),
            ]

        with m.FSM(name="phase") as fsm:
            with m.State("ROW"):
                m.d.comb += self.i_row.ready.eq(1)
                row = self.i_row.payload
                m.d.sync += [
                    address.eq(row.address),
                    first.eq(row.first),
                    end.eq(row.first + row.bytes),
                    words.eq((row.first + row.bytes + p.axi_bytes - 1) >> byte_log2),
                ]
                with m.If(self.i_row.valid):
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.comb += self.o_address.valid.eq(1)
                with m.If(self.o_address.ready):
                    m.d.sync += [
                        address.eq(next_address),
                        words.eq(Mux(last, 0, words - longest)),
                        burst_words.eq(self.o_address.payload.words),
                    ]
                    m.next = "DATA"
            with m.State("DATA"):
                more = burst_words != 0
                m.d.comb += [
                    self.i.ready.eq(more & (~out.valid | out.ready)),
                    take.eq(self.i.valid & self.i.ready),
                ]
                with m.If(~more & sent):
                    m.next = "ADDRESS"
                    with m.If(words == 0):
                        m.next = "ROW"

        asked = self.o_address.valid & self.o_address.ready
        answered = self.i_response.valid
        awaits = Signal()  # an answer: some are pending
        m.d.sync += [
            pending.eq(pending + asked - answered),
            awaits.eq(asked | (awaits & ~answered) | (pending > 1)),
        ]
        m.d.comb += [
            self.busy.eq(~fsm.ongoing("ROW") | awaits),
            self.failed.eq(self.i_response.valid & self.i_response.payload),
            self.bytes.eq(
                Mux(sent, sum(out.payload.strobe[byte] for byte in range(p.axi_bytes)), 0)
            ),
        ]
        return m
