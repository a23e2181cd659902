"""Marks where a group of channels ends among the events of a MATMUL."""

from typing import Any

from amaranth import Array, Module, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.isa import INSTRUCTIONS, Opcode
from hw.contract.params import GROUPS, HwParams
from hw.spike.events import event_layout

__all__ = ["GroupMarks", "GROUP", "group_of", "low_channels", "marked_layout"]

GROUP = INSTRUCTIONS[Opcode.MATMUL]["group"].shape
"""Shape of the field that says how many channels a group has."""


def marked_layout(params: HwParams) -> data.StructLayout:
    """Return an event, the mark that ends a tile, or the mark that ends a group.

    The latter's channel is that of the group's last event.
    """
    return data.StructLayout({**dict(event_layout_of(params)), "group_end": 1})


def event_layout_of(params: HwParams) -> dict[str, Any]:
    """Return the fields of an event by name."""
    return {name: field.shape for name, field in event_layout(params)}


def low_channels(group: Value) -> Value:
    """Return the bits of a channel that tell those of a group apart, all set: for a field `group`.

    The field is not 0.
    """
    return Array([0, *(size - 1 for size in GROUPS)])[group]


def group_of(channel: Value, group: Value) -> Value:
    """Return the number of the group that a channel is in; the field `group` is not 0."""
    return Array([0, *(channel >> exact_log2(size) for size in GROUPS)])[group]


class GroupMarks(Component):
    """Pass events on, and put a mark behind the last one of each group that has some.

    Parameters
    ----------
    params : HwParams
        The accelerator; with groups.

    Members
    -------
    i : In(stream)
        Events and end marks.
    i_group : In(stream)
        The `group` of their MATMUL; taken with its last end mark.
    o : Out(stream)
        The same, and the marks.

    Timing:      latency 0; a cycle more for each mark.
    Arithmetic:  none.
    Golden:      none.
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(event_layout(p))),
                "i_group": In(stream.Signature(GROUP)),
                "o": Out(stream.Signature(marked_layout(p))),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        event, grouped = self.i.payload, self.i_group.payload != 0
        waits = Signal()  # the group of the last event has no mark yet
        channel = Signal.like(event.channel)
        apart = group_of(event.channel ^ channel, self.i_group.payload) != 0
        mark = Signal()
        taken = Signal()
        m.d.comb += [
            mark.eq(waits & (event.end | apart)),
            self.o.valid.eq(self.i.valid & self.i_group.valid),
            taken.eq(self.o.valid & self.o.ready),
            self.i.ready.eq(self.i_group.valid & self.o.ready & ~mark),
            self.i_group.ready.eq(self.i.valid & self.i.ready & event.last),
        ]
        for name, _ in event_layout(self._params):
            m.d.comb += self.o.payload[name].eq(event[name])
        with m.If(mark):
            m.d.comb += [
                self.o.payload.channel.eq(channel),
                self.o.payload.end.eq(0),
                self.o.payload.last.eq(0),
                self.o.payload.group_end.eq(1),
            ]
        with m.If(taken):
            m.d.sync += [waits.eq(grouped & ~mark & ~event.end), channel.eq(event.channel)]
        return m
