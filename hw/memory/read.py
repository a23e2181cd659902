"""The read side of the memory port: its clients share it, none can block another."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.common.component import Component
from hw.common.stream import Queue
from hw.contract.params import HwParams
from hw.memory.bursts import Bursts
from hw.memory.port import (
    READ_CLIENTS,
    queue_depths,
    read_address_layout,
    read_data_layout,
    segment_layout,
)

__all__ = ["ReadPort"]


class ReadPort(Component):
    """Serve the clients' segments from memory.

    A burst is asked for only when its client's queue has room for all of it, so data never waits at
    the port and a slow client cannot hold up another. Where two clients have a burst ready, the one
    with the lower index goes first.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i_<client> : In(stream)
        Segments that a client of `READ_CLIENTS` wants, in order.
    o_<client> : Out(stream)
        The words of those segments, in order.
    o_address, i_data : Out(stream), In(stream)
        The channels AR and R.
    o_taken : Out
        For each client: a word of it arrived in this cycle.
    o_failed : Out(1)
        In this cycle a word arrived that the memory marks as failed.

    Timing:      latency 3 cycles from a segment to AR, 2 from R to the client; a word a cycle.
    Arithmetic:  addresses only.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = params
        clients = {}
        for name in READ_CLIENTS:
            clients[f"i_{name}"] = In(stream.Signature(segment_layout(params)))
            clients[f"o_{name}"] = Out(stream.Signature(params.axi_data_width))
        super().__init__(
            clients
            | {
                "o_address": Out(stream.Signature(read_address_layout(params))),
                "i_data": In(stream.Signature(read_data_layout(params))),
                "o_taken": Out(len(READ_CLIENTS)),
                "o_failed": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        idle = ~self.o_address.valid | self.o_address.ready
        wants = []
        taken_ready = []
        with m.If(self.o_address.ready):
            m.d.sync += self.o_address.valid.eq(0)
        for index, name in enumerate(READ_CLIENTS):
            depth = queue_depths(p)[name]
            bursts = Bursts(p, min(p.max_burst_words, depth))
            queue = Queue(p.axi_data_width, depth)
            m.submodules[f"{name}_bursts"] = bursts
            m.submodules[f"{name}_queue"] = queue
            connect(m, flipped(getattr(self, f"i_{name}")), bursts.i)
            connect(m, queue.o, flipped(getattr(self, f"o_{name}")))

            free = Signal(range(depth + 1), init=depth, name=f"{name}_free")  # words of its queue
            room = Signal(name=f"{name}_room")
            grant = Signal(name=f"{name}_grant")
            # While enough is under way to hide memory's latency, a burst may wait to grow.
            m.d.comb += [
                bursts.hurry.eq(free > depth // 2),
                room.eq(bursts.o.payload.words <= free),
                grant.eq(bursts.o.valid & room & idle & ~Cat(*wants).any()),
                bursts.o.ready.eq(grant),
            ]
            wants.append(bursts.o.valid & room)
            left = queue.o.valid & queue.o.ready
            m.d.sync += free.eq(Mux(grant, free - bursts.o.payload.words, free) + left)
            with m.If(grant):
                m.d.sync += [
                    self.o_address.valid.eq(1),
                    self.o_address.payload.burst.eq(bursts.o.payload),
                    self.o_address.payload.client.eq(index),
                ]
            here = self.i_data.payload.client == index
            m.d.comb += [
                queue.i.payload.eq(self.i_data.payload.data),
                queue.i.valid.eq(self.i_data.valid & here),
                self.o_taken[index].eq(queue.i.valid & queue.i.ready),
            ]
            taken_ready.append(here & queue.i.ready)
        m.d.comb += [
            self.i_data.ready.eq(Cat(*taken_ready).any()),
            self.o_failed.eq(self.i_data.valid & self.i_data.ready & self.i_data.payload.failed),
        ]
        return m
