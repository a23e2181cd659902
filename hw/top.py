"""The accelerator: AXI4-Lite slave `s_axil_*`, AXI4 master `m_axi_*`, `irq`."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Rule
from hw.contract.params import CACHE_COUNT, HwParams
from hw.control.controller import Controller
from hw.control.csr import AXIL_PORTS, Csr
from hw.matmul.matmul import MatrixPath
from hw.memory.port import AXI_ID_WIDTH, CLIENT_WIDTH, READ_CLIENTS
from hw.memory.read import ReadPort
from hw.memory.rows import RowMux
from hw.memory.write import WritePort
from hw.spike.encoder import Encoder
from hw.spike.kv_cache import CacheWriter
from hw.vector.unit import VectorUnit

__all__ = ["SpikeloomTop"]

_INCR = 1
_NORMAL_BUFFERABLE = 0b0011
_OKAY_MASK = 0b10  # the upper response bit marks SLVERR and DECERR


def _memory_signature(p: HwParams) -> wiring.Signature:
    """Return the AXI4 master's five channels."""
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
    write = {
        "data": Out(p.axi_data_width),
        "strb": Out(p.axi_bytes),
        "last": Out(1),
        "valid": Out(1),
        "ready": In(1),
    }
    response = {"id": In(AXI_ID_WIDTH), "resp": In(2), "valid": In(1), "ready": Out(1)}
    read = {
        "id": In(AXI_ID_WIDTH),
        "data": In(p.axi_data_width),
        "resp": In(2),
        "last": In(1),
        "valid": In(1),
        "ready": Out(1),
    }
    channels = {"aw": address, "w": write, "b": response, "ar": address, "r": read}
    return wiring.Signature({name: Out(wiring.Signature(of)) for name, of in channels.items()})


class SpikeloomTop(Component):
    """A whole accelerator: one clock, one synchronous reset, no vendor primitive.

    Parameters
    ----------
    params : HwParams
        Its dimensions.

    Members
    -------
    s_axil : AXI4-Lite slave
        The registers of `hw.contract.regs`; its ports are s_axil_awaddr and so on.
    m_axi : AXI4 master
        Its ports are m_axi_awaddr and so on.
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
            {
                "s_axil": Out(wiring.Signature(AXIL_PORTS)),
                "m_axi": Out(_memory_signature(params)),
                "irq": Out(1),
            }
        )
        for (interface, *channel), _, port in self.signature.flatten(self):
            # AXI writes m_axi_awaddr where Amaranth would m_axi__aw__addr.
            port.name = f"{interface}_{''.join(channel)}" if channel else interface

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        bytes_log2 = exact_log2(p.axi_bytes)
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
            "weight_bytes_read": read.o_taken[READ_CLIENTS.index("weights")] << bytes_log2,
            "dram_bytes_read": read.o_taken.any() << bytes_log2,
            "dram_bytes_written": write.bytes,
            "read_bursts": read.o_address.valid & read.o_address.ready,
            **causes,
        }
        m.submodules.csr = csr = Csr(p, identity, {name: len(v) for name, v in counts.items()})
        m.d.comb += [getattr(csr, f"count_{name}").eq(v) for name, v in counts.items()]
        for name, member in AXIL_PORTS.items():
            outside, inside = getattr(self.s_axil, name), getattr(csr, name)
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
        byte_log2 = exact_log2(self._params.axi_bytes)

        axi = self.m_axi
        to_read, to_write = read.o_address.payload, write.o_address.payload
        for channel, source, burst, identity in (
            (axi.ar, read.o_address, to_read.burst, to_read.client),
            (axi.aw, write.o_address, to_write, 0),
        ):
            m.d.comb += [
                channel.id.eq(identity),
                channel.addr.eq(burst.address << byte_log2),
                channel.len.eq(burst.words - 1),
                channel.size.eq(byte_log2),
                channel.burst.eq(_INCR),
                channel.lock.eq(0),
                channel.cache.eq(_NORMAL_BUFFERABLE),
                channel.prot.eq(0),
                channel.qos.eq(0),
                channel.valid.eq(source.valid),
                source.ready.eq(channel.ready),
            ]
        m.d.comb += [
            read.i_data.payload.data.eq(axi.r.data),
            read.i_data.payload.client.eq(axi.r.id[:CLIENT_WIDTH]),
            read.i_data.payload.failed.eq((axi.r.resp & _OKAY_MASK) != 0),
            read.i_data.valid.eq(axi.r.valid),
            axi.r.ready.eq(read.i_data.ready),
            axi.w.data.eq(write.o_data.payload.data),
            axi.w.strb.eq(write.o_data.payload.strobe),
            axi.w.last.eq(write.o_data.payload.last),
            axi.w.valid.eq(write.o_data.valid),
            write.o_data.ready.eq(axi.w.ready),
            write.i_response.payload.eq((axi.b.resp & _OKAY_MASK) != 0),
            write.i_response.valid.eq(axi.b.valid),
            axi.b.ready.eq(1),
        ]
