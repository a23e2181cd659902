"""Programs for the controller: good instructions, records, slots with a header."""

import random

from hw.contract.isa import (
    HEADER,
    MAGIC,
    MODIFIERS,
    SLOT_BYTES,
    Cache,
    Coding,
    Offsets,
    Opcode,
    Rule,
    VectorOp,
    assemble,
    pack,
)

__all__ = [
    "CONTROL",
    "ENCODE",
    "FINGERPRINT",
    "FOR_EVER",
    "GOOD",
    "HANDED_OVER",
    "LAYERED",
    "MATMUL",
    "PLAIN",
    "PROGRAM",
    "RECORDS",
    "SAME",
    "TOKENS",
    "fields",
    "layers_of",
    "plain",
    "program",
    "record",
    "slot",
]

FINGERPRINT = random.Random(7).getrandbits(256)
PROGRAM = 0x12_3456_7000
RECORDS = 0x3E_0000_0100
TOKENS = 0x77_0000_0300

ENCODE = {
    "rule": Rule.MEAN,
    "tokens": 1,
    "channels": 5,
    "max_count": 3,
    "multiplier": 256,
    "divisor": 9,
    "peak": 1 << 31,
    "dead_zone": 12345,
    "shifts": 0,
    "largest_exponent": 0,
    "exponents": 0xCD_1234_0000,
    "source": 0xAB_CDEF_0000,
    "source_stride": 0x7000,
}
MATMUL = {
    "coding": Coding.CSD,
    "weight_width": 4,
    "has_bias": 1,
    "strided": 1,
    "group": 0,
    "scale_width_log2": 3,
    "offsets": Offsets.MINIMUM,
    "offset_shift": 5,
    "outputs": 7,
    "weights": 0x98_7654_3000,
    "channel_words": 0x11_2233_4000,
    "destination": 0x01_0203_4000,
    "destination_stride": 0xFF_F000,
}
VECTOR = {
    "operation": VectorOp.ROTATE,
    "rows": 3,
    "elements": 10,
    "stride": 0x1_2340,
    "a": 0x23_4567_8000,
    "b": 0x34_5678_9000,
    "destination": 0x45_6789_A000,
    "constant": 0x1FF_FFFF,
    "a_by_token": 0,
    "b_by_position": 0,
    "b_same": 1,
}
STORE = {
    "cache": Cache.VALUE,
    "heads": 5,
    "channels": 20,
    "source": 0x56_789A_B000,
    "source_stride": 0x2_0000,
    "codes": 0x67_89AB_C000,
    "codes_stride": 0x30_0000,
    "scales": 0x78_9ABC_D000,
    "scales_stride": 0x4000,
}
GOOD = {
    Opcode.ENCODE: ENCODE,
    Opcode.MATMUL: MATMUL,
    Opcode.VECTOR: VECTOR,
    Opcode.STORE: STORE,
    Opcode.TOKEN: {"tokens": TOKENS, "vocabulary": 1000},
    Opcode.NEXT: {"slots": 0},
    Opcode.PREFILL: {"slots": 0},
    Opcode.LAYERS: {"layers": 1, "slots": 1, "records": RECORDS, "record_count": 0},
    Opcode.END: {},
}
HANDED_OVER = [Opcode.ENCODE, Opcode.MATMUL, Opcode.VECTOR, Opcode.STORE]
CONTROL = [Opcode.TOKEN, Opcode.NEXT, Opcode.PREFILL, Opcode.LAYERS]
FOR_EVER = {"end_position": (1 << 32) - 1, "stop_token": (1 << 32) - 1}
"""Registers with which a program ends by itself only."""


def slot(opcode, **changes):
    """Return the slot of an instruction of `GOOD` with changes."""
    return assemble(opcode, **GOOD[opcode] | changes)


def record(layered, whole):
    """Return the record that turns a layered slot into another one."""
    pairs = zip(layered, whole, strict=True)
    return bytes(a ^ b for a, b in pairs)


def program(*slots, magic=MAGIC, fingerprint=FINGERPRINT, count=None):
    """Return a program of these slots; `count` is what its header says of their number."""
    count = len(slots) if count is None else count
    header = pack(HEADER, magic=magic, slots=count, reserved=0, fingerprint=fingerprint)
    return header + b"".join(slots)


def fields(opcode, **changes):
    """Return an instruction of `GOOD` with changes as (opcode, fields in plain integers)."""
    return opcode, plain(GOOD[opcode] | changes)


def plain(values):
    """Return fields by value, enumerations too, those of every instruction among them."""
    values = dict.fromkeys(MODIFIERS, 0) | values
    return {name: int(getattr(value, "value", value)) for name, value in values.items()}


def layers_of(*slots, **changes):
    """Return LAYERS and the slots that it repeats."""
    return [slot(Opcode.LAYERS, slots=len(slots), **changes), *slots]


PLAIN = slot(Opcode.ENCODE)
LAYERED = slot(Opcode.ENCODE, layered=1)
SAME = bytes(SLOT_BYTES)
"""A record that changes nothing."""
