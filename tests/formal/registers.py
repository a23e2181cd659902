"""The registers' AXI4-Lite port: what is offered stays, and every request gets one answer."""

from amaranth import Module, Signal
from amaranth.hdl import Assert, Assume, Cover

from hw.contract.params import HwParams
from hw.contract.regs import COUNTERS, REGISTERS
from hw.control.csr import AXIL_PORTS, Csr
from tests.formal.rules import Opened, free, keeps

_CHANNELS = {"aw": ["awaddr", "awprot"], "w": ["wdata", "wstrb"], "ar": ["araddr", "arprot"]}


def registers(m: Module, p: HwParams) -> None:
    """Drive the port with anything that keeps AXI4-Lite's rules."""
    dut = Csr(p, 0, {name: 2 for name in COUNTERS})
    Opened(m, dut)
    inputs = [name for name, member in AXIL_PORTS.items() if member.flow.name == "In"]
    free(m, *(getattr(dut, name) for name in inputs), dut.busy, dut.done, dut.error)
    free(m, dut.ending, dut.fault_kind, dut.fault_client, dut.fault_address)
    free(m, *(getattr(dut, f"count_{name}") for name in COUNTERS))
    for channel, payload in _CHANNELS.items():
        waits = getattr(dut, f"{channel}valid") & ~getattr(dut, f"{channel}ready")
        kept = [getattr(dut, name) for name in (f"{channel}valid", *payload)]
        keeps(m, Assume, waits, *kept, name=channel)
    keeps(m, Assert, dut.bvalid & ~dut.bready, dut.bvalid, dut.bresp, name="b")
    keeps(m, Assert, dut.rvalid & ~dut.rready, dut.rvalid, dut.rresp, dut.rdata, name="r")

    # Requests without their answer. An address and its data may come in any order.
    taken = {
        name: getattr(dut, f"{name}valid") & getattr(dut, f"{name}ready")
        for name in ("aw", "w", "b", "ar", "r")
    }
    addresses, words, reads = (Signal(4, name=n) for n in ("addresses", "words", "reads"))
    m.d.sync += [
        addresses.eq(addresses + taken["aw"] - taken["b"]),
        words.eq(words + taken["w"] - taken["b"]),
        reads.eq(reads + taken["ar"] - taken["r"]),
    ]
    m.d.comb += [
        Assert(dut.bvalid == (addresses != 0)),
        Assert((addresses == words) & (addresses <= 1)),
        Assert((dut.rvalid == (reads != 0)) & (reads <= 1)),
    ]

    # A waiting request is taken as soon as its answer has a place.
    both = dut.awvalid & dut.wvalid
    m.d.comb += [
        Assert(~both | ~(~dut.bvalid | dut.bready) | (dut.awready & dut.wready)),
        Assert(~dut.arvalid | ~(~dut.rvalid | dut.rready) | dut.arready),
    ]

    control = REGISTERS["CONTROL"].offset >> 2
    starts = taken["aw"] & (dut.awaddr[2:] == control) & dut.wstrb[0] & dut.wdata[0]
    aborts = taken["aw"] & (dut.awaddr[2:] == control) & dut.wstrb[0] & dut.wdata[1]
    m.d.comb += Assert(dut.start == (starts & ~aborts & ~dut.busy))
    m.d.comb += Assert(dut.abort == aborts)
    m.d.comb += [
        Cover(dut.start),
        Cover(dut.bvalid & ~dut.bready),
        Cover(dut.rvalid & ~dut.rready & (dut.rdata != 0)),
    ]
