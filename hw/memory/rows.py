"""Shares the write port among those who write."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.memory.write import row_layout

__all__ = ["WRITE_CLIENTS", "RowMux"]

WRITE_CLIENTS = ("results", "vectors", "cache")
"""Who writes memory, in the order of priority."""


class RowMux(Component):
    """Pass rows on, each followed by its words, one client's at a time.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_row_<client>, i_<client> : In(stream)
        Rows of a client of `WRITE_CLIENTS`, and their words.
    o_row, o : Out(stream)
        The same, for the write port.
    busy : Out(1)
        Words of a row are still to come.

    Timing:      latency 0 (combinational); a row or a word a cycle.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        members = {}
        for name in WRITE_CLIENTS:
            members[f"i_row_{name}"] = In(stream.Signature(row_layout(p)))
            members[f"i_{name}"] = In(stream.Signature(p.axi_data_width))
        super().__init__(
            members
            | {
                "o_row": Out(stream.Signature(row_layout(p))),
                "o": Out(stream.Signature(p.axi_data_width)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        rows = [getattr(self, f"i_row_{name}") for name in WRITE_CLIENTS]
        words = [getattr(self, f"i_{name}") for name in WRITE_CLIENTS]
        row = self.o_row.payload
        left = Signal(row.bytes.shape().width + 1 - exact_log2(p.axi_bytes))
        m.d.comb += self.busy.eq(left != 0)

        # A row that has been offered stays the one on offer.
        offered, kept, chosen, owner = (
            Signal(range(len(WRITE_CLIENTS)), name=name)
            for name in ("offered", "kept", "chosen", "owner")
        )
        waits = Signal()
        for index in reversed(range(len(WRITE_CLIENTS))):
            with m.If(rows[index].valid):
                m.d.comb += offered.eq(index)
        m.d.comb += [
            chosen.eq(Mux(waits, kept, offered)),
            self.o_row.valid.eq(Cat(i.valid for i in rows).bit_select(chosen, 1) & ~self.busy),
            row.eq(Array(i.payload.as_value() for i in rows)[chosen]),
            self.o.valid.eq(Cat(i.valid for i in words).bit_select(owner, 1) & self.busy),
            self.o.payload.eq(Array(i.payload for i in words)[owner]),
        ]
        m.d.sync += [waits.eq(self.o_row.valid & ~self.o_row.ready), kept.eq(chosen)]
        for index in range(len(WRITE_CLIENTS)):
            m.d.comb += [
                rows[index].ready.eq(self.o_row.ready & ~self.busy & (chosen == index)),
                words[index].ready.eq(self.o.ready & self.busy & (owner == index)),
            ]
        with m.If(self.o_row.valid & self.o_row.ready):
            m.d.sync += [
                owner.eq(chosen),
                left.eq((row.first + row.bytes + p.axi_bytes - 1) >> exact_log2(p.axi_bytes)),
            ]
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += left.eq(left - 1)
        return m
