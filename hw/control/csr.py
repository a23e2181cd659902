"""Control and status registers behind AXI4-Lite, and the counters."""

from functools import reduce
from operator import or_

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from hw.common.component import Component
from hw.contract.params import HwParams
from hw.contract.regs import (
    ADDR_WIDTH,
    COUNTERS,
    REGISTERS,
    VERSION,
    Error,
    FaultKind,
    capabilities,
)

__all__ = ["AXIL_PORTS", "Csr"]

AXIL_PORTS = {
    "awaddr": In(ADDR_WIDTH),
    "awprot": In(3),
    "awvalid": In(1),
    "awready": Out(1),
    "wdata": In(32),
    "wstrb": In(4),
    "wvalid": In(1),
    "wready": Out(1),
    "bresp": Out(2),
    "bvalid": Out(1),
    "bready": In(1),
    "araddr": In(ADDR_WIDTH),
    "arprot": In(3),
    "arvalid": In(1),
    "arready": Out(1),
    "rdata": Out(32),
    "rresp": Out(2),
    "rvalid": Out(1),
    "rready": In(1),
}
"""The AXI4-Lite slave's signals, by their names in the standard."""

_GROUP = 4  # bits of a register's number within the group that a read chooses from first
_SETTINGS = ("first_position", "prompt_end", "end_position", "stop_token", "watchdog")


class Csr(Component):
    """Registers as `regs` lists them. Writes to read-only or absent registers are ignored.

    Parameters
    ----------
    params : HwParams
        The accelerator.
    fingerprint : int
        Value of the ID registers.
    increment_widths : dict of str to int
        Bits of each counter's increment, by name.

    Members
    -------
    aw…, w…, b…, ar…, r…
        AXI4-Lite slave.
    start, program : Out(1), Out(64)
        Start the program at this byte address.
    abort : Out(1)
        Abort what runs.
    first_position, prompt_end, end_position, stop_token, watchdog : Out
        The registers of these names.
    position, busy, done, error : In
        Of the run.
    ending : In(1)
        An abort or the watchdog ends it, as soon as memory lets it.
    fault_kind, fault_client, fault_address : In
        The first fault since the start.
    count_<name> : In
        What counter `name` counts in this cycle.
    irq : Out(1)
        Interrupt, level.

    Timing:      a write and a read a cycle.
    Arithmetic:  counters wrap at 64 bits.
    Golden:      golden.numerics.costs
    """

    def __init__(
        self, params: HwParams, fingerprint: int, increment_widths: dict[str, int]
    ) -> None:
        self._params, self._fingerprint = params, fingerprint
        if increment_widths.keys() != COUNTERS.keys():
            raise ValueError(f"increments must be of {', '.join(COUNTERS)}")
        counts = {f"count_{name}": In(width) for name, width in increment_widths.items()}
        super().__init__(
            AXIL_PORTS
            | counts
            | {
                "start": Out(1),
                "abort": Out(1),
                "program": Out(64),
                **{name: Out(32) for name in _SETTINGS},
                "position": In(32),
                "busy": In(1),
                "done": In(1),
                "error": In(Error),
                "ending": In(1),
                "fault_kind": In(FaultKind),
                "fault_client": In(8),
                "fault_address": In(params.axi_addr_width),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        done, failed = Signal(), Signal()
        error = Signal(Error)
        position = Signal(32)
        kept = Signal()
        irq_enable, irq_status = Signal(), Signal()
        counter_high = Signal(32)
        m.d.sync += self.irq.eq(irq_enable & irq_status)

        # Writes: address and data are taken together.
        write = Signal()
        m.d.comb += [
            write.eq(self.awvalid & self.wvalid & (~self.bvalid | self.bready)),
            self.awready.eq(write),
            self.wready.eq(write),
        ]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        mask = Cat(byte.replicate(8) for byte in self.wstrb)

        def writes(name):
            return write & (self.awaddr[2:] == REGISTERS[name].offset >> 2)

        with m.If(write):
            m.d.sync += self.bvalid.eq(1)
        control = writes("CONTROL") & self.wstrb[0]
        m.d.comb += [
            self.abort.eq(control & self.wdata[1]),
            self.start.eq(control & self.wdata[0] & ~self.wdata[1] & ~self.busy),
        ]
        with m.If(writes("IRQ_ENABLE") & self.wstrb[0]):
            m.d.sync += irq_enable.eq(self.wdata[0])
        with m.If(writes("IRQ_STATUS") & self.wstrb[0] & self.wdata[0]):
            m.d.sync += irq_status.eq(0)
        fields = {"PROGRAM_LOW": self.program[:32], "PROGRAM_HIGH": self.program[32:]}
        fields |= {name.upper(): getattr(self, name) for name in _SETTINGS}
        for name, field in fields.items():
            with m.If(writes(name)):
                m.d.sync += field.eq((field & ~mask) | (self.wdata & mask))

        with m.If(self.start):
            m.d.sync += [done.eq(0), failed.eq(0), error.eq(Error.NONE), kept.eq(0)]
        with m.If(self.done):
            m.d.sync += [
                done.eq(1),
                failed.eq(self.error != Error.NONE),
                error.eq(self.error),
                irq_status.eq(1),
            ]

        # Ended from outside, the controller is reset; the position stays until the next start.
        with m.If(self.ending):
            m.d.sync += kept.eq(1)
        with m.If(~self.ending & ~kept):
            m.d.sync += position.eq(self.position)

        # Counters.
        counters = {}
        for name in COUNTERS:
            counters[name] = counter = Signal(64, name=f"counter_{name}")
            m.d.sync += counter.eq(Mux(self.start, 0, counter + getattr(self, f"count_{name}")))

        # Reads.
        fault_address = Cat(self.fault_address, Const(0, 64 - len(self.fault_address)))
        values = {f"ID{i}": (self._fingerprint >> 32 * i) & 0xFFFF_FFFF for i in range(8)}
        held = capabilities(self._params)
        values |= {f"CAPABILITY_{name.upper()}": value for name, value in held.items()}
        values |= {
            "VERSION": VERSION,
            "CONTROL": 0,
            "STATUS": Cat(self.busy, done, failed, self.ending),
            "ERROR": error,
            "IRQ_ENABLE": irq_enable,
            "IRQ_STATUS": irq_status,
            "POSITION": Mux(self.ending | kept, position, self.position),
            "FAULT_ADDRESS_LOW": fault_address[:32],
            "FAULT_ADDRESS_HIGH": fault_address[32:],
            "FAULT_ID": Cat(self.fault_client, self.fault_kind),
            **fields,
        }
        for name, counter in counters.items():
            values[f"{name.upper()}_LOW"] = counter[:32]
            values[f"{name.upper()}_HIGH"] = counter_high
        read = Signal()
        m.d.comb += [
            read.eq(self.arvalid & (~self.rvalid | self.rready)),
            self.arready.eq(read),
        ]
        with m.If(self.rready):
            m.d.sync += self.rvalid.eq(0)
        with m.If(read):
            m.d.sync += self.rvalid.eq(1)
            for name, counter in counters.items():
                with m.If(self.araddr[2:] == REGISTERS[f"{name.upper()}_LOW"].offset >> 2):
                    m.d.sync += counter_high.eq(counter[32:])

        # One of all in two steps, a register between: of each group one or 0, and their or.
        groups = {}
        for name, register in REGISTERS.items():
            groups.setdefault(register.offset >> 2 >> _GROUP, []).append(name)
        parts = []
        for index, names in groups.items():
            parts.append(part := Signal(32, name=f"read_{index}"))
            with m.If(read):
                m.d.sync += part.eq(0)
                with m.Switch(self.araddr[2:]):
                    for name in names:
                        with m.Case(REGISTERS[name].offset >> 2):
                            m.d.sync += part.eq(values[name])
        m.d.comb += self.rdata.eq(reduce(or_, parts))
        return m
