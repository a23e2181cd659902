"""The accelerator: AXI4-Lite slave `s_axil_*`, AXI4 master `m_axi_*`, `irq`."""

from amaranth import Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.contract.fingerprint import fingerprint
from hw.contract.isa import Rule
from hw.contract.params import CACHE_COUNT, HwParams
from hw.contract.regs import Error
from hw.control.controller import Controller
from hw.control.csr import AXIL_PORTS, Csr
from hw.control.watchdog import Watchdog
from hw.matmul.matmul import MatrixPath
from hw.memory.faults import FaultLog
from hw.memory.guard import Guard
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
_REFUSALS = (Error.BAD_MAGIC, Error.BAD_FINGERPRINT, Error.BAD_INSTRUCTION, Error.BAD_TOKEN)
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
        blocks = {
            "controller": (controller := Controller(p, identity)),
            "encoder": (encoder := Encoder(p)),
            "matrix": (matrix := MatrixPath(p)),
            "read": (read := ReadPort(p)),
            "vector": (vector := VectorUnit(p)),
            "cache": (cache := CacheWriter(p)),
            "rows": (rows := RowMux(p)),
            "write": (write := WritePort(p)),
        }
        m.submodules.guard = guard = Guard(p)
        for name, block in blocks.items():  # what an abort resets: all but guard and registers
            m.submodules[name] = ResetInserter(guard.reset)(block)

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
            encoder.store.eq(controller.storing),
            encoder.i.valid.eq(
                (store.valid & cache.i.ready) | (encode.valid & matrix.i_encode.ready)
            ),
            encoder.i.payload.eq(encode.payload),
            cache.i.payload.eq(store.payload),
            cache.position.eq(controller.position),
        ]
        with m.If(controller.storing):
            for name, value in {
                "rule": Rule.ABSMAX,
                "tokens": store.payload.heads,
                "channels": store.payload.channels,
                "max_count": CACHE_COUNT,
                "multiplier": 256,
                "divisor": CACHE_COUNT,
                "dead_zone": 0,
                "shifts": 0,
                "largest_exponent": 0,
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
        # A cycle late, which no instruction notices: the next one is read for longer than that.
        m.d.sync += controller.working.eq(working)
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
            controller.bank_busy.eq(matrix.bank_busy),
            encoder.bank.eq(controller.bank),
            csr.busy.eq(controller.busy | guard.closed),
            csr.done.eq((controller.done & ~guard.closed) | guard.ended),
            csr.error.eq(Mux(guard.ended, guard.error, controller.error)),
            csr.ending.eq(guard.closed),
            guard.running.eq(controller.busy & ~controller.done),
            guard.abort.eq(csr.abort),
            matrix.tokens.eq(controller.tokens),
            matrix.bank.eq(controller.bank),
            matrix.scales.eq(encoder.scales),
            matrix.scales_ready.eq(encoder.scales_ready),
            self.irq.eq(csr.irq),
        ]
        self._connect_memory(m, read, write, guard)
        self._watch(m, controller, csr, guard)
        return m

    def _causes(self, m: Module, busy, **holding) -> dict[str, Signal]:
        """Share each busy cycle out to the first cause that holds."""
        left, causes = busy, {}
        for name, holds in holding.items():
            causes[name] = cause = Signal(name=name)
            m.d.comb += cause.eq(left & holds)
            left = left & ~holds
        return causes

    def _connect_memory(self, m: Module, read: ReadPort, write: WritePort, guard: Guard) -> None:
        byte_log2 = exact_log2(self._params.axi_bytes)
        connect(m, read.o_address, guard.i_read)
        connect(m, write.o_address, guard.i_write)
        connect(m, write.o_data, guard.i_write_data)
        connect(m, guard.o_read_data, read.i_data)
        connect(m, guard.o_response, write.i_response)

        axi = self.m_axi
        to_read, to_write = guard.o_read.payload, guard.o_write.payload
        for channel, source, burst, client in (
            (axi.ar, guard.o_read, to_read.burst, to_read.client),
            (axi.aw, guard.o_write, to_write, Const(0, CLIENT_WIDTH)),
        ):
            m.d.comb += [
                channel.id.eq(Cat(client, guard.epoch)),
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
        word, response = guard.i_read_data, guard.i_response
        m.d.comb += [
            word.payload.data.eq(axi.r.data),
            word.payload.client.eq(axi.r.id[:CLIENT_WIDTH]),
            word.payload.epoch.eq(axi.r.id[CLIENT_WIDTH:]),
            word.payload.failed.eq((axi.r.resp & _OKAY_MASK) != 0),
            word.payload.last.eq(axi.r.last),
            word.valid.eq(axi.r.valid),
            axi.r.ready.eq(word.ready),
            axi.w.data.eq(guard.o_write_data.payload.data),
            axi.w.strb.eq(guard.o_write_data.payload.strobe),
            axi.w.last.eq(guard.o_write_data.payload.last),
            axi.w.valid.eq(guard.o_write_data.valid),
            guard.o_write_data.ready.eq(axi.w.ready),
            response.payload.failed.eq((axi.b.resp & _OKAY_MASK) != 0),
            response.payload.epoch.eq(axi.b.id[CLIENT_WIDTH:]),
            response.valid.eq(axi.b.valid),
            axi.b.ready.eq(1),
        ]

    def _watch(self, m: Module, controller: Controller, csr: Csr, guard: Guard) -> None:
        """Connect the watchdog, and what remembers faults."""
        m.submodules.watchdog = watchdog = Watchdog()
        m.submodules.faults = faults = FaultLog(self._params)
        read, write, words = guard.o_read, guard.o_write, guard.o_write_data
        data, response = guard.o_read_data, guard.o_response
        axi = self.m_axi
        came = axi.r.valid & axi.r.ready
        m.d.comb += [
            watchdog.limit.eq(csr.watchdog),
            watchdog.watching.eq(controller.busy | guard.closed),
            watchdog.transfer.eq(
                Cat(taken.valid & taken.ready for taken in (read, write, words)).any()
                | came
                | axi.b.valid
            ),
            guard.expired.eq(watchdog.expired),
            faults.clear.eq(csr.start),
            faults.forget.eq(guard.reset),
            faults.asked.eq(read.valid & read.ready),
            faults.read.eq(read.payload),
            faults.came.eq(data.valid & data.ready),
            faults.client.eq(data.payload.client),
            faults.last.eq(axi.r.last),
            faults.read_failed.eq(data.payload.failed),
            faults.addressed.eq(write.valid & write.ready),
            faults.write.eq(write.payload),
            faults.answered.eq(response.valid),
            faults.write_failed.eq(response.payload),
            faults.missed.eq(watchdog.expired & guard.running & ~guard.closed),
            faults.refused.eq(
                controller.done
                & ~guard.closed
                & controller.error.as_value().matches(*(error.value for error in _REFUSALS))
            ),
            faults.slot.eq(controller.slot_address),
            csr.fault_kind.eq(faults.kind),
            csr.fault_client.eq(faults.reader),
            csr.fault_address.eq(faults.address),
        ]
