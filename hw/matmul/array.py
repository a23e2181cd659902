"""The PE array: tokens x lanes processing elements over banked accumulators."""

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.common.component import Component
from hw.common.memories import NO_COLLISIONS
from hw.contract.params import HwParams
from hw.matmul.pe import accumulate
from hw.matmul.sequencer import operation_layout

__all__ = ["PEArray"]

_NEAR = 4
"""Accumulators of which a block RAM's output is one, in time for a register."""


class PEArray(Component):
    """Add spikes times weights into accumulators.

    Each operation is held for a cycle and then passes two stages: the beat is shifted to its step's
    place, then every token's lanes add it (a MAC array, the opponent to compare with, multiplies
    instead of shifting). An accumulator word is loaded at a beat's first step and stored after its
    last; a beat that returns at once is taken from the adder instead of memory. Memory has one port
    to read, for operations and, where they leave it free, for the drain. What is read while it is
    stored may be anything: it is never used (docs/proofs.md).

    In a word of memory those accumulators are neighbours among which the drain chooses: so the
    block RAMs that hold them, and the way from there to the drain, are short on a chip. Block RAM
    is slow: the drain's registers take one of a few, and the choice among these follows them.

    Parameters
    ----------
    params : HwParams
        The accelerator.

    Members
    -------
    i : In(stream)
        Operations; one is taken each cycle.
    idle : Out(1)
        No operation is inside.
    storing : Out(1)
        One beat's accumulators will be stored when an operation of this cycle would load its own.
    half, bank, token, group, enable : In
        The accumulators to read: of a bank's lanes, the group that fills a memory word of results.
    ready : Out(1)
        They can be read in this cycle: no operation loads its own.
    take : In(1)
        They are taken in this cycle; a cycle after they were read, or later where no operation has
        loaded its own since.
    psums : Out(array)
        Those taken last.
    synaptic_operations : Out
        Additions into accumulators that count, of the operation taken two cycles ago.

    Timing:      latency 4 cycles from an operation to the stored accumulators; one operation a
                 cycle.
    Arithmetic:  exact; acc_width holds max_count x 2^max_shift x 128 x max_channels.
    Golden:      golden.numerics.accumulation.accumulate
    """

    def __init__(self, params: HwParams) -> None:
        self._params = p = params
        super().__init__(
            {
                "i": In(stream.Signature(operation_layout(p), always_ready=True)),
                "idle": Out(1),
                "storing": Out(1),
                "half": In(1),
                "bank": In(range(max(p.banks, 2))),
                "token": In(range(max(p.tokens, 2))),
                "group": In(range(max(p.lanes // p.encode_lanes, 2))),
                "enable": In(1),
                "ready": Out(1),
                "take": In(1),
                "psums": Out(data.ArrayLayout(signed(p.acc_width), p.encode_lanes)),
                "synaptic_operations": Out(range(p.tokens * p.lanes + 1)),
            }
        )

    def elaborate(self, platform):
        """Build it."""
        m = Module()
        p = self._params
        groups = p.lanes // p.encode_lanes
        group_row = data.ArrayLayout(data.ArrayLayout(signed(p.acc_width), p.tokens), groups)
        row = data.ArrayLayout(group_row, p.encode_lanes)

        def of(row, token, lane):
            return row[lane % p.encode_lanes][lane // p.encode_lanes][token]

        m.submodules.accumulators = accumulators = memory.Memory(
            shape=row, depth=2 * p.banks, init=[], attrs=NO_COLLISIONS
        )
        store, read = accumulators.write_port(), accumulators.read_port()

        def address(half, bank):
            return bank + Mux(half, p.banks, 0)

        # Stage 1: the operation. What says whether there is one is reset, numbers are not.
        operation = Signal(operation_layout(p), reset_less=True)
        taken = Signal()
        m.d.sync += [operation.eq(self.i.payload), taken.eq(self.i.valid)]

        # Stage 2: the operands, while their accumulators are read. Spikes of all tokens share the
        # beat, shifted to their step's place; a MAC array has products instead.
        mac = p.array == "mac"
        weight_width = operation.beat[0].shape().width
        operand_width = min(weight_width + p.step_width - 1, p.acc_width)
        row_of_operands = data.ArrayLayout(signed(operand_width), p.lanes)
        rows_of_operands = data.ArrayLayout(row_of_operands, p.tokens if mac else 1)
        operands = Signal(rows_of_operands, reset_less=True)
        spikes = Signal(data.StructLayout({"fires": p.tokens, "minus": p.tokens}), reset_less=True)
        place = Signal(range(2 * p.banks))
        flags = Signal(data.StructLayout({"valid": 1, "keep": 1, "load": 1, "store": 1}))
        operation_place = Signal(range(2 * p.banks))
        loads = Signal()
        m.d.comb += [
            operation_place.eq(address(operation.half, operation.bank)),
            loads.eq(taken & operation.first_step & ~operation.first_event),
            read.addr.eq(Mux(loads, operation_place, address(self.half, self.bank))),
            read.en.eq(loads | self.enable),
            self.ready.eq(~loads),
        ]
        # Where the accumulators come from, the adder or memory or nowhere, is found out a stage
        # ahead, since every lane of every token chooses by it.
        held_place = Signal(range(2 * p.banks))
        next_held_place = Signal(range(2 * p.banks))
        clear, held = Signal(), Signal()
        m.d.comb += [
            next_held_place.eq(Mux(flags.valid, place, held_place)),
            clear.eq(operation.first_event & operation.first_step),
            held.eq(next_held_place == operation_place),
        ]
        fires = operation.plus | operation.minus
        for lane in range(p.lanes):
            weight = operation.beat[lane]
            if mac:
                for token in range(p.tokens):
                    m.d.sync += operands[token][lane].eq(weight * operation.magnitudes[token])
            else:
                m.d.sync += operands[0][lane].eq(weight << operation.shift)
        m.d.sync += [  # whatever they are where there is no operation: the adder does not move then
            spikes.fires.eq(fires),
            spikes.minus.eq(operation.minus),
            place.eq(operation_place),
            flags.valid.eq(taken),
            flags.keep.eq(held & ~clear),
            flags.load.eq(~held & ~clear),
            flags.store.eq(operation.last_step),
        ]

        # Stage 3: the additions. Stage 4: the store.
        v_mem = Signal(row, reset_less=True)
        store_valid = Signal()
        m.d.comb += [
            store.addr.eq(held_place),
            store.data.eq(v_mem),
            store.en.eq(store_valid),
            self.idle.eq(~flags.valid & ~store_valid & ~taken),
        ]
        stores = flags.valid & flags.store
        m.d.sync += [
            store_valid.eq(stores),
            held_place.eq(next_held_place),
            self.storing.eq(taken & operation.last_step & self.i.valid),
        ]
        for token in range(p.tokens):
            for lane in range(p.lanes):
                base = Signal(signed(p.acc_width), name=f"base_{token}_{lane}")
                kept = of(v_mem, token, lane) & flags.keep.replicate(p.acc_width)
                loaded = of(read.data, token, lane) & flags.load.replicate(p.acc_width)
                m.d.comb += base.eq(kept | loaded)
                operand = operands[token if mac else 0][lane]
                with m.If(flags.valid):
                    m.d.sync += of(v_mem, token, lane).eq(
                        accumulate(base, operand, spikes.fires[token], spikes.minus[token])
                    )

        adds = sum(Mux(fires[token], operation.lanes, 0) for token in range(p.tokens))
        m.d.sync += self.synaptic_operations.eq(Mux(taken, adds, 0))

        token, group = Signal.like(self.token), Signal.like(self.group)
        with m.If(self.enable & self.ready):
            m.d.sync += [token.eq(self.token), group.eq(self.group)]
        near = min(_NEAR // p.tokens or 1, groups)  # groups of a register
        near_log2 = exact_log2(near)
        far = Signal(range(max(groups // near, 2)))
        with m.If(self.take):
            m.d.sync += far.eq(group >> near_log2)
        for index in range(p.encode_lanes):
            of_index = read.data[index]
            registers = []
            for first in range(0, groups, near):
                choices = Array(Array(of_index[first + g])[token] for g in range(near))
                register = Signal(signed(p.acc_width), name=f"psum{index}_{first}", reset_less=True)
                with m.If(self.take):
                    m.d.sync += register.eq(choices[group[:near_log2]] if near > 1 else choices[0])
                registers.append(register)
            m.d.comb += self.psums[index].eq(Array(registers)[far])
        return m
