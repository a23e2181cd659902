"""Remembers where memory failed first."""

from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2, exact_log2

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.contract.regs import FaultKind
from hw.memory.port import (
    CLIENT_WIDTH,
    MOST_WRITES,
    READ_CLIENTS,
    burst_layout,
    queue_depths,
    read_address_layout,
    word_address_width,
)

__all__ = ["FaultLog"]


class FaultLog(Component):
    """Keep the addresses of all bursts under way, and that of the first one that failed.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    clear : In(1)
        Forget the fault.
    forget : In(1)
        Forget the bursts that are under way.
    asked, read : In(1), In
        Memory has taken this read burst.
    came, client, last, read_failed : In
        It has sent a word for this client, which ends its burst or has failed.
    addressed, write : In(1), In
        It has taken this write burst.
    answered, write_failed : In(1)
        It has answered the oldest one, which failed.
    missed : In(1)
        Responses are given up: the fault is the oldest burst that waits for one, of the first
        client that has such, or else a write.
    refused, slot : In(1), In
        The fault is the instruction at this word address, whatever was before.
    kind, reader, address : Out
        The fault, its client and its byte address.

    Timing:      a fault is told 3 cycles after its word or response, a refused slot in the next.
    Arithmetic:  addresses only.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "clear": In(1),
                "forget": In(1),
                "asked": In(1),
                "read": In(read_address_layout(p)),
                "came": In(1),
                "client": In(CLIENT_WIDTH),
                "last": In(1),
                "read_failed": In(1),
                "addressed": In(1),
                "write": In(burst_layout(p)),
                "answered": In(1),
                "write_failed": In(1),
                "missed": In(1),
                "refused": In(1),
                "slot": In(word_address_width(p)),
                "kind": Out(FaultKind),
                "reader": Out(CLIENT_WIDTH),
                "address": Out(p.axi_addr_width),
            }
        )

    def _bases(self) -> dict[str, tuple[int, int]]:
        """Return for each client the first place of its ring and the logarithm of their number."""
        widths = {name: ceil_log2(depth) for name, depth in queue_depths(self._params).items()}
        bases, place = {}, 0
        for name in sorted(widths, key=lambda name: -widths[name]):  # each at a multiple of itself
            bases[name] = place, widths[name]
            place += 1 << widths[name]
        return bases

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        address_width = word_address_width(p)
        bases = self._bases()
        places = sum(1 << width for _, width in bases.values())
        m.submodules.reads = reads = Memory(shape=address_width, depth=places, init=[])
        m.submodules.writes = writes = Memory(shape=address_width, depth=MOST_WRITES, init=[])
        read_in, read_out = reads.write_port(), reads.read_port()
        write_in, write_out = writes.write_port(), writes.read_port()

        # What happens on the bus, a cycle late.
        asked = Signal()
        asker = Signal(CLIENT_WIDTH)
        came = Signal()
        client = Signal(CLIENT_WIDTH)
        last = Signal()
        read_failed = Signal()
        addressed = Signal()
        answered = Signal()
        write_failed = Signal()
        missed = Signal()
        m.d.sync += [
            asked.eq(self.asked),
            asker.eq(self.read.client),
            read_in.data.eq(self.read.burst.address),
            came.eq(self.came),
            client.eq(self.client),
            last.eq(self.last),
            read_failed.eq(self.came & self.read_failed),
            addressed.eq(self.addressed),
            write_in.data.eq(self.write.address),
            answered.eq(self.answered),
            write_failed.eq(self.answered & self.write_failed),
            missed.eq(self.missed & ~(self.came | self.answered)),
        ]

        # A ring of addresses for each client, and how many words of its oldest burst have come.
        waiting = Signal(len(READ_CLIENTS))
        missed_client = Signal(CLIENT_WIDTH)
        words_came = Signal(range(p.max_burst_words))
        looked_at = Signal(CLIENT_WIDTH)
        m.d.comb += looked_at.eq(client)
        with m.If(missed):
            m.d.comb += looked_at.eq(missed_client)
        for index in reversed(range(len(READ_CLIENTS))):
            with m.If(waiting[index]):
                m.d.comb += missed_client.eq(index)
        for index, name in enumerate(READ_CLIENTS):
            base, width = bases[name]
            newest = Signal(width, name=f"{name}_newest")
            oldest = Signal(width, name=f"{name}_oldest")
            words = Signal.like(words_came, name=f"{name}_words")
            m.d.comb += waiting[index].eq(newest != oldest)
            with m.If(asked & (asker == index)):
                m.d.comb += read_in.addr.eq(base | newest)
                m.d.sync += newest.eq(newest + 1)
            with m.If(looked_at == index):
                m.d.comb += [read_out.addr.eq(base | oldest), words_came.eq(words)]
            with m.If(came & (client == index)):
                m.d.sync += words.eq(words + 1)
                with m.If(last):
                    m.d.sync += [words.eq(0), oldest.eq(oldest + 1)]
            with m.If(self.forget):
                m.d.sync += [newest.eq(0), oldest.eq(0), words.eq(0)]
        m.d.comb += read_in.en.eq(asked)

        newest = Signal(range(MOST_WRITES))
        oldest = Signal(range(MOST_WRITES))
        m.d.comb += [write_in.addr.eq(newest), write_in.en.eq(addressed)]
        m.d.comb += write_out.addr.eq(oldest)
        m.d.sync += [newest.eq(newest + addressed), oldest.eq(oldest + answered)]
        with m.If(self.forget):
            m.d.sync += [newest.eq(0), oldest.eq(0)]

        # The address that was looked up is there in the cycle after.
        found = Signal(FaultKind)
        offset = Signal.like(words_came)
        reader = Signal(CLIENT_WIDTH)
        m.d.sync += [found.eq(FaultKind.NONE), offset.eq(words_came), reader.eq(looked_at)]
        with m.If(write_failed | (missed & (newest != oldest))):
            m.d.sync += found.eq(FaultKind.WRITE)
        with m.If(read_failed | (missed & waiting.any())):
            m.d.sync += found.eq(FaultKind.READ)
        byte_log2 = exact_log2(p.axi_bytes)
        with m.If((self.kind == FaultKind.NONE) & (found != FaultKind.NONE)):
            m.d.sync += [
                self.kind.eq(found),
                self.reader.eq(reader),
                self.address.eq((read_out.data + offset)[:address_width] << byte_log2),
            ]
            with m.If(found == FaultKind.WRITE):
                m.d.sync += [self.reader.eq(0), self.address.eq(write_out.data << byte_log2)]
        with m.If(self.refused):
            m.d.sync += [
                self.kind.eq(FaultKind.INSTRUCTION),
                self.reader.eq(0),
                self.address.eq(self.slot << byte_log2),
            ]
        with m.If(self.clear):
            m.d.sync += [self.kind.eq(FaultKind.NONE), self.reader.eq(0), self.address.eq(0)]
        return m
