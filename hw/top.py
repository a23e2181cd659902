"""The accelerator: AXI4-Lite slave `s_axil_*`, AXI4 master `m_axi_*`, `irq`."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Rule
from hw.contract.params import CACHE_COUNT, HwParams
from hw.control.controller import Controller
from hw.control.csr import AXIL_PORTS, Csr
from hw.matmul.matmul import MatrixPath
from hw.memory.port import CLIENT_WIDTH, READ_CLIENTS, log2
from hw.memory.read import ReadPort
from hw.memory.rows import RowMux
from hw.memory.write import WritePort
from hw.spike.encoder import Encoder
from hw.spike.kv_cache import CacheWriter
from hw.vector.unit import VectorUnit

__all__ = ["AXI_ID_WIDTH", "SpikeloomTop"]

AXI_ID_WIDTH = CLIENT_WIDTH
_INCR = 1
_NORMAL_BUFFERABLE = 0b0011
_OKAY_MASK = 0b10  # the upper response bit marks SLVERR and DECERR


def _axi_ports(p: HwParams) -> dict[str, wiring.Member]:
    address = {
        "id": Out(AXI_ID_WIDTH),
        "addr": Out(p.axi_addr_width),
        "len": Out(8),
        "size": Out(3),
        "burst": Out(2),
        "lock": Out(1),
        "cache": Out(4),
        "prot": Out(3),
        "qos": Out(4),
        "valid": Out(1),
        "ready": In(1),
    }
    return (
        {f"aw{name}": member for name, member in address.items()}
        | {
            "wdata": Out(p.axi_data_width),
            "wstrb": Out(p.axi_bytes),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(AXI_ID_WIDTH),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
        }
        | {f"ar{name}": member for name, member in address.items()}
        | {
            "rid": In(AXI_ID_WIDTH),
            "rdata": In(p.axi_data_width),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
    )


class SpikeloomTop(wiring.Component):
    """A whole accelerator: one clock, one synchronous reset, no vendor primitive.

    Parameters
    ----------
    params : HwParams
        Its dimensions.

    Members
    -------
    s_axil_… : AXI4-Lite slave
        The registers of `hw.contract.regs`.
    m_axi_… : AXI4 master
        Memory. Read data of different IDs may come in any order, of one ID in order; writes have ID
        0.
    irq : Out(1)
        A program ended.

    Timing:      see the blocks.
    Arithmetic:  exact.
    Golden:      golden.model.spiking
    """

    def __init__(self, params: HwParams) -> None:
        self._params = params
        self.fingerprint = fingerprint(params)
        super().__init__(
            {f"s_axil_{name}": member for name, member in AXIL_PORTS.items()}
            | {f"m_axi_{name}": member for name, member in _axi_ports(params).items()}
            | {"irq": Out(1)}
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        identity = int(self.fingerprint, 16)
        m.submodules.controller = controller = Controller(p, identity)
        m.submodules.encoder = encoder = Encoder(p)
        m.submodules.matrix = matrix = MatrixPath(p)
        m.submodules.read = read = ReadPort(p)
        m.submodules.vector = vector = VectorUnit(p)
        m.submodules.cache = cache = CacheWriter(p)
        m.submodules.rows = rows = RowMux(p)
        m.submodules.write = write = WritePort(p)

        working = Signal()
        causes = self._causes(
            m,
            controller.busy,
            array_cycles=matrix.add,
            stall_cycles=matrix.stall,
            encode_cycles=encoder.busy,
            vector_cycles=vector.busy | cache.busy,
            drain_cycles=matrix.draining | write.busy,
            idle_cycles=Const(1),
        )
        counts = {
            "cycles": controller.busy,
            "events": matrix.event,
            "silent_channels": matrix.silent,
            "synaptic_operations": matrix.synaptic_operations,
            "row_segments": matrix.row_segment,
            "weight_bytes_read": read.o_taken[READ_CLIENTS.index("weights")] << log2(p.axi_bytes),
            "dram_bytes_read": read.o_taken.any() << log2(p.axi_bytes),
            "dram_bytes_written": write.bytes,
            "read_bursts": read.o_address.valid & read.o_address.ready,
            **causes,
        }
        m.submodules.csr = csr = Csr(identity, {name: len(v) for name, v in counts.items()})
        m.d.comb += [getattr(csr, f"count_{name}").eq(v) for name, v in counts.items()]
        for name, member in AXIL_PORTS.items():
            outside, inside = getattr(self, f"s_axil_{name}"), getattr(csr, name)
            m.d.comb += outside.eq(inside) if member.flow is Out else inside.eq(outside)

        # An ENCODE goes to the encoder and, to keep the order, past the MATMULs before it; a STORE
        # to the encoder, as one with fixed parameters, and to the cache.
        encode, store = controller.o_encode, controller.o_store
        for instruction, other in ((encode, matrix.i_encode), (store, cache.i)):
            m.d.comb += [
                other.valid.eq(instruction.valid & encoder.i.ready),
                instruction.ready.eq(encoder.i.ready & other.ready),
            ]
        m.d.comb += [
            encoder.store.eq(store.valid),
            encoder.i.valid.eq(
                Mux(store.valid, cache.i.ready, encode.valid & matrix.i_encode.ready)
            ),
            encoder.i.payload.eq(encode.payload),
            cache.i.payload.eq(store.payload),
            cache.position.eq(controller.position),
        ]
        with m.If(store.valid):
            for name, value in {
                "rule": Rule.ABSMAX,
                "tokens": store.payload.heads,
                "channels": store.payload.channels,
                "max_count": CACHE_COUNT,
                "multiplier": 256,
                "divisor": CACHE_COUNT,
                "dead_zone": 0,
                "source": store.payload.source,
                "source_stride": store.payload.source_stride,
            }.items():
                m.d.comb += encoder.i.payload[name].eq(value)
        connect(m, encoder.o_head, cache.i_head)
        connect(m, encoder.o_scale, cache.i_scale)
        for counts, meant in (
            (matrix.i_counts, ~encoder.storing),
            (cache.i_counts, encoder.storing),
        ):
            m.d.comb += [
                counts.payload.eq(encoder.o_counts.payload),
                counts.valid.eq(encoder.o_counts.valid & meant),
            ]
        connect(m, controller.o_vector, vector.i)
        connect(m, controller.o_matmul, matrix.i)
        connect(m, encoder.o_batch, matrix.i_batch)
        connect(m, controller.o_request, read.i_program)
        connect(m, read.o_program, controller.i_words)
        connect(m, controller.o_records, read.i_records)
        connect(m, read.o_records, controller.i_records)
        connect(m, vector.o_a, read.i_a)
        connect(m, read.o_a, vector.i_a)
        connect(m, vector.o_b, read.i_b)
        connect(m, read.o_b, vector.i_b)
        connect(m, encoder.o_request, read.i_vectors)
        connect(m, read.o_vectors, encoder.i_words)
        connect(m, matrix.o_channel_words, read.i_channel_words)
        connect(m, read.o_channel_words, matrix.i_channel_words)
        connect(m, matrix.o_weights, read.i_weights)
        connect(m, read.o_weights, matrix.i_weights)
        for name, writer in (("results", matrix), ("vectors", vector), ("cache", cache)):
            connect(m, writer.o_row, getattr(rows, f"i_row_{name}"))
            connect(m, writer.o, getattr(rows, f"i_{name}"))
        connect(m, rows.o_row, write.i_row)
        connect(m, rows.o, write.i)
        m.d.comb += [
            working.eq(
                Cat(encoder.busy, matrix.bank_busy, matrix.draining, vector.busy, cache.busy).any()
                | write.busy
            ),
            *(
                getattr(controller, name).eq(getattr(csr, name))
                for name in ("first_position", "prompt_end", "end_position", "stop_token")
            ),
            csr.position.eq(controller.position),
            controller.start.eq(csr.start),
            controller.program.eq(csr.program),
            controller.read_failed.eq(read.o_failed),
            controller.write_failed.eq(write.failed),
            controller.working.eq(working),
            controller.bank_busy.eq(matrix.bank_busy),
            encoder.bank.eq(controller.bank),
            csr.busy.eq(controller.busy),
            csr.done.eq(controller.done),
            csr.error.eq(controller.error),
            matrix.tokens.eq(controller.tokens),
            matrix.bank.eq(controller.bank),
            matrix.scales.eq(encoder.scales),
            matrix.scales_ready.eq(encoder.scales_ready),
            self.irq.eq(csr.irq),
        ]
        self._connect_memory(m, read, write)
        return m

    def _causes(self, m: Module, busy, **holding) -> dict[str, Signal]:
        """Share each busy cycle out to the first cause that holds."""
        left, causes = busy, {}
        for name, holds in holding.items():
            causes[name] = cause = Signal(name=name)
            m.d.comb += cause.eq(left & holds)
            left = left & ~holds
        return causes

    def _connect_memory(self, m: Module, read: ReadPort, write: WritePort) -> None:
        byte_log2 = log2(self._params.axi_bytes)

        def address(channel: str, source, burst, identity) -> None:
            port = {
                "id": identity,
                "addr": burst.address << byte_log2,
                "len": burst.words - 1,
                "size": byte_log2,
                "burst": _INCR,
                "lock": 0,
                "cache": _NORMAL_BUFFERABLE,
                "prot": 0,
                "qos": 0,
                "valid": source.valid,
            }
            for name, value in port.items():
                m.d.comb += getattr(self, f"m_axi_{channel}{name}").eq(value)
            m.d.comb += source.ready.eq(getattr(self, f"m_axi_{channel}ready"))

        address("ar", read.o_address, read.o_address.payload.burst, read.o_address.payload.client)
        address("aw", write.o_address, write.o_address.payload, 0)
        m.d.comb += [
            read.i_data.payload.data.eq(self.m_axi_rdata),
            read.i_data.payload.client.eq(self.m_axi_rid),
            read.i_data.payload.failed.eq((self.m_axi_rresp & _OKAY_MASK) != 0),
            read.i_data.valid.eq(self.m_axi_rvalid),
            self.m_axi_rready.eq(read.i_data.ready),
            self.m_axi_wdata.eq(write.o_data.payload.data),
            self.m_axi_wstrb.eq(write.o_data.payload.strobe),
            self.m_axi_wlast.eq(write.o_data.payload.last),
            self.m_axi_wvalid.eq(write.o_data.valid),
            write.o_data.ready.eq(self.m_axi_wready),
            write.i_response.payload.eq((self.m_axi_bresp & _OKAY_MASK) != 0),
            write.i_response.valid.eq(self.m_axi_bvalid),
            self.m_axi_bready.eq(1),
        ]
