"""Which slots are instructions that can be executed: the checks that the controller makes."""

from amaranth import Cat, Module, Signal
from amaranth.utils import exact_log2

from hw.contract.isa import (
    POSITION_WIDTH,
    STEEPNESS_WIDTH,
    Coding,
    Offsets,
    Opcode,
    Rule,
    VectorOp,
)
from hw.contract.params import CACHE_COUNT, GROUPS, SCALE_WIDTHS, HwParams
from hw.control.slots import Slots

__all__ = ["legal"]


def legal(
    m: Module, params: HwParams, fields, started, slots: Slots, position
) -> dict[Opcode, Signal]:
    """Return, for each opcode, whether the slot a cycle before could be executed as one."""
    p = params
    slot_count, next_slot, looping = slots.slot_count, slots.next_slot, slots.looping
    byte_log2 = exact_log2(p.axi_bytes)
    encode, matmul = fields[Opcode.ENCODE], fields[Opcode.MATMUL]
    vector, store = fields[Opcode.VECTOR], fields[Opcode.STORE]
    layers = fields[Opcode.LAYERS]
    operation = vector.operation.as_value()

    def aligned(*addresses):
        return ~Cat(*(a[:byte_log2] for a in addresses)).any()

    conditions = {
        Opcode.END: 1,
        Opcode.ENCODE: (
            (encode.rule.as_value() < len(Rule))
            & (encode.tokens != 0)
            & (encode.tokens <= p.tokens)
            & (encode.channels != 0)
            & (encode.channels <= p.max_channels)
            & (encode.max_count != 0)
            & (encode.max_count <= p.max_count)
            & (encode.divisor != 0)
            & ((encode.shifts == 0) | (encode.rule.as_value() != Rule.MEAN.value))
            & (encode.shifts + encode.largest_exponent <= p.max_shift)
            & aligned(encode.source, encode.source_stride, encode.exponents)
        ),
        Opcode.MATMUL: (
            started
            & (matmul.coding.as_value() < len(Coding))
            & matmul.weight_width.matches(*p.weight_widths)
            & (matmul.outputs != 0)
            & (matmul.group <= (len(GROUPS) if p.grouped else 0))
            & (matmul.scale_width_log2.matches(*map(exact_log2, SCALE_WIDTHS)))
            & (matmul.offsets.as_value() < len(Offsets))
            & aligned(
                matmul.weights,
                matmul.channel_words,
                matmul.destination,
                matmul.destination_stride,
            )
        ),
        Opcode.VECTOR: (
            (operation < len(VectorOp))
            & (vector.rows != 0)
            & (vector.elements != 0)
            & (
                ~operation.matches(VectorOp.NORM, VectorOp.SOFTMAX)
                | (vector.elements <= p.max_channels)
            )
            & ((operation != VectorOp.NORM.value) | (vector.constant != 0))
            & ((operation != VectorOp.SOFTMAX.value) | ~vector.constant[STEEPNESS_WIDTH:].any())
            & ((operation != VectorOp.ROTATE.value) | ~vector.elements[0])
            & (~vector.b_by_position | ~position[POSITION_WIDTH:].any())
            & aligned(vector.a, vector.b, vector.destination, vector.stride)
        ),
        Opcode.STORE: (
            (store.heads != 0)
            & (store.channels != 0)
            & (store.channels <= min(p.tile_outputs, p.max_channels))
            & aligned(
                store.source,
                store.source_stride,
                store.codes,
                store.codes_stride,
                store.scales,
                store.scales_stride,
            )
            & ~position[POSITION_WIDTH:].any()
            & (p.max_count >= CACHE_COUNT)
        ),
        Opcode.TOKEN: ~looping & aligned(fields[Opcode.TOKEN].tokens),
        Opcode.NEXT: ~looping & (fields[Opcode.NEXT].slots < next_slot),
        Opcode.PREFILL: ~looping & (next_slot + fields[Opcode.PREFILL].slots <= slot_count),
        Opcode.LAYERS: (
            ~looping
            & (layers.layers != 0)
            & (layers.slots != 0)
            & (next_slot + layers.slots <= slot_count)
            & aligned(layers.records)
        ),
    }
    fits = {}
    for opcode, condition in conditions.items():
        fits[opcode] = Signal(name=f"{opcode.name.lower()}_fits")
        m.d.sync += fits[opcode].eq(condition)
    return fits
