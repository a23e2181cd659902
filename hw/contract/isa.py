"""Instructions and the program's header, as data layouts: one description for everyone.

A program is a header of two slots and then instructions of one slot each, 32 bytes a slot, little
endian. Instructions take effect in order.
"""

from operator import index

from amaranth import unsigned
from amaranth.lib import data, enum

from hw.contract.params import EXPONENT_WIDTH, VECTOR_WIDTH

__all__ = [
    "CHANNEL_WORDS",
    "Cache",
    "Coding",
    "HEADER",
    "INSTRUCTIONS",
    "MAGIC",
    "MODIFIERS",
    "Offsets",
    "Opcode",
    "POSITION_WIDTH",
    "PSEUDOCODE",
    "Rule",
    "SCALE",
    "SLOT_BYTES",
    "STEEPNESS_WIDTH",
    "VECTOR_PASSES",
    "VECTOR_UNARY",
    "VectorOp",
    "assemble",
    "disassemble",
    "pack",
    "unpack",
]

SLOT_BYTES = 32
POSITION_WIDTH = 16
"""Bits of a position that addresses are made of (STORE, VECTOR with b_by_position)."""
STEEPNESS_WIDTH = 25
"""Bits of SOFTMAX's constant that count; the others are zero."""
MAGIC = int.from_bytes(b"SPKL", "little")


class Opcode(enum.Enum, shape=8):
    """What an instruction does."""

    END = 1
    ENCODE = 2
    MATMUL = 3
    VECTOR = 4
    STORE = 5
    TOKEN = 6
    NEXT = 7
    PREFILL = 8
    LAYERS = 9


class Rule(enum.Enum, shape=2):
    """Which potential A sets a site's threshold (numerics, section 2)."""

    ABSMAX = 0
    MEAN = 1
    STATIC = 2


class Coding(enum.Enum, shape=2):
    """How counts become spikes (numerics, section 3)."""

    UNARY = 0
    BITWISE = 1
    CSD = 2


class Offsets(enum.Enum, shape=2):
    """What a group of weights has beside its scale d (numerics, section 4)."""

    NONE = 0
    ZERO = 1
    MINIMUM = 2


class VectorOp(enum.Enum, shape=4):
    """What is done with vectors between the matrices (numerics, section 8)."""

    COPY = 0
    ADD = 1
    NORM = 2
    ROTATE = 3
    SWIGLU = 4
    SOFTMAX = 5
    ARGMAX = 6


VECTOR_PASSES = {VectorOp.NORM: 2, VectorOp.SOFTMAX: 3}
"""How often VECTOR reads a row of `a`; once where the operation is not listed."""
VECTOR_UNARY = (VectorOp.COPY, VectorOp.ARGMAX)
"""Operations that read no row of `b`; all others read it once."""


class Cache(enum.Enum, shape=1):
    """Which rows STORE writes; the layout serves the product that reads them."""

    KEY = 0  # channel after channel: positions are output channels of the scores
    VALUE = 1  # position after position: positions are input channels of the outputs


_ADDRESS = 40  # byte address bits in instructions; an accelerator's own port may have fewer


HEADER = data.StructLayout(
    {
        "magic": 32,
        "slots": 32,  # instructions that follow the header
        "reserved": 192,
        "fingerprint": 256,  # of parameters, instructions and registers
    }
)

MODIFIERS = ("layered", "fence", "by_position")
"""Fields of one bit that every instruction has, and that are 0 unless they are given.

layered: the slot is combined (exclusive or) with the next record of LAYERS before it is decoded.
fence: wait until every earlier instruction has ended and its results have been written.
by_position: the instruction's length (channels, outputs or elements) grows by the position.
"""

_BODY = {
    Opcode.END: {},
    Opcode.ENCODE: {
        "rule": Rule,
        "tokens": 7,
        "channels": 16,
        "max_count": 7,
        "multiplier": 9,
        "divisor": 24,
        "peak": VECTOR_WIDTH,
        "dead_zone": VECTOR_WIDTH,
        "shifts": 2,
        "largest_exponent": EXPONENT_WIDTH,  # of a channel; 0: there are no exponents
        "exponents": _ADDRESS,  # of the channels, the first in the lowest bits
        "source": _ADDRESS,  # of the first token's vector
        "source_stride": 24,  # bytes from one token's vector to the next
    },
    Opcode.MATMUL: {
        "coding": Coding,
        "weight_width": 4,  # bits of a weight: 2, 4 or 8
        "has_bias": 1,
        "strided": 1,  # the rows of a ragged tile lie as far apart as those of a full one
        "group": 3,  # 0: one scale a row; else groups of 8 << group input channels
        "scale_width_log2": 3,  # of a group's d, and of its z or m: 3 or 4
        "offsets": Offsets,
        "offset_shift": 3,  # c
        "outputs": 24,
        "weights": _ADDRESS,
        "channel_words": _ADDRESS,
        "destination": _ADDRESS,
        "destination_stride": 24,  # bytes from one token's vector to the next
    },
    Opcode.VECTOR: {
        "operation": VectorOp,
        "rows": 7,
        "elements": 24,  # of a row
        "stride": 24,  # bytes from one row to the next, of all operands
        "a": _ADDRESS,
        "b": _ADDRESS,
        "destination": _ADDRESS,
        "constant": 32,  # NORM: E, not 0; SOFTMAX: mu
        "a_by_token": 1,  # a is the token's row of a table
        "b_by_position": 1,  # b is the position's row of a table
        "b_same": 1,  # all rows have the same b
    },
    Opcode.STORE: {
        "cache": Cache,
        "heads": 7,
        "channels": 16,  # of a head
        "source": _ADDRESS,  # of the first head's row
        "source_stride": 24,  # bytes from one head's row to the next
        "codes": _ADDRESS,
        "codes_stride": 24,  # bytes from one head's codes to the next one's
        "scales": _ADDRESS,
        "scales_stride": 24,  # bytes from one head's scale words to the next one's
    },
    Opcode.TOKEN: {
        "tokens": _ADDRESS,  # 32-bit token numbers, by position
        "vocabulary": 24,
    },
    Opcode.NEXT: {"slots": 16},
    Opcode.PREFILL: {"slots": 16},
    Opcode.LAYERS: {
        "layers": 16,
        "slots": 16,
        "records": _ADDRESS,
        "record_count": 24,  # of all layers together
    },
}

PSEUDOCODE = {
    Opcode.END: "wait until every write has been acknowledged; set done; raise irq",
    Opcode.ENCODE: """\
for m in range(tokens):
    x = vector[channels] at source + m * source_stride
    V[m] = threshold(x, rule, multiplier, divisor, peak, shifts)
    for k in range(channels):
        s = shift of group k // 32 of x, up to shifts
        e = min(exponents[k], largest_exponent) if largest_exponent else 0
        a[m, k] = fire(x[k], V[m] << s, max_count, dead_zone) << (s + e)""",
    Opcode.MATMUL: """\
for tile in tiles(outputs):                       # tile_outputs channels, the last one ragged
    for k in range(channels) if any(a[:, k]):     # events, in channel order
        for beat in row segment k of the tile:    # lanes weights
            for t in steps where any(s[:, k, t]): # of the trains of a[:, k]
                acc[:, beat] += s[:, k, t] * (beat << weight(t))
        if group and k is the last event of its group g:
            d, z, m = scale segment g of the tile   # of each output; see docs/compiled.md
            sum += d * (acc + z * S[:, g]) + m * S[:, g] << offset_shift;  acc = 0
    for m in range(tokens):
        y = requantize(sum[m] if group else acc[m], V[m], channel_words of the tile)
        vector at destination + m * destination_stride, the tile's channels = y""",
    Opcode.VECTOR: """\
if a_by_token: a += token * stride
if b_by_position: b += position * stride
for r in range(rows):
    x = vector[elements] at a + r * stride
    z = vector[elements] at b + (0 if b_same else r * stride)      # not by COPY and ARGMAX
    vector[elements] at destination + r * stride = operation(x, z, constant)
    # ARGMAX: 32-bit number at destination + 4 * (position + 1)""",
    Opcode.STORE: """\
for h in range(heads):
    x = vector[channels] at source + h * source_stride
    V = threshold(x, ABSMAX, 256, 127, 0); n = fire(x, V, 127, 0)
    scale word at scales + h * scales_stride + 4 * position = scale of V
    base = codes + h * codes_stride
    KEY:   tile, column = divmod(position, tile_outputs)
           for d in range(channels):
               byte at base + (tile * channels + d) * tile_outputs + column = n[d]
    VALUE: bytes at base + position * row_bytes(channels, 8) = n""",
    Opcode.TOKEN: """\
wait as with fence
if position == END_POSITION: end as with END
token = tokens[position]; error BAD_TOKEN if token >= vocabulary
if position >= PROMPT_END and token == STOP_TOKEN: end as with END""",
    Opcode.NEXT: "position += 1; go back `slots` slots",
    Opcode.PREFILL: "if position + 1 < PROMPT_END: skip the next `slots` slots",
    Opcode.LAYERS: """\
repeat `layers` times the next `slots` slots
layered slots take the slots at `records` one after the other, through all repetitions
error BAD_INSTRUCTION unless those are `record_count` in all""",
}

INSTRUCTIONS = {
    opcode: data.StructLayout({"opcode": Opcode, **dict.fromkeys(MODIFIERS, 1), **body})
    for opcode, body in _BODY.items()
}
"""Layout of each instruction; the bits of its slot above the layout are zero."""

SCALE = data.StructLayout({"mantissa": 16, "exponent": 8, "reserved": 8})
"""One output channel's scale: code 1 is worth mantissa * 2^-exponent (numerics, section 4)."""

CHANNEL_WORDS = {False: ("scale",), True: ("scale", "bias")}
"""What the memory words at `channel_words` hold in turn, by `has_bias`: a word of scales, then one
of the same output channels' biases (signed Q15.16)."""

_UNLESS_GIVEN = {
    Opcode.ENCODE: {"shifts": 0, "largest_exponent": 0, "exponents": 0},
    Opcode.MATMUL: {"group": 0, "scale_width_log2": 4, "offsets": 0, "offset_shift": 0},
}

assert all(layout.size <= 8 * SLOT_BYTES for layout in INSTRUCTIONS.values())


def pack(layout: data.StructLayout, **values: int) -> bytes:
    """Encode `values` (one for each field, enumerations by value) by `layout`, little endian.

    Raises
    ------
    ValueError
        Where a field is missing, unknown, no integer or out of its range; it names the field.
    """
    fields = dict(layout)
    if wrong := sorted(fields.keys() ^ values.keys()):
        raise ValueError(
            f"fields must be {', '.join(fields)}: {', '.join(wrong)} is missing or unknown"
        )
    word = 0
    for name, field in fields.items():
        try:
            value = index(getattr(values[name], "value", values[name]))
        except TypeError:
            raise ValueError(f"{name} must be an integer, not {values[name]!r}") from None
        width = unsigned(field.width).width
        if not 0 <= value < 1 << width:
            raise ValueError(f"{name} must be 0 to {(1 << width) - 1}, not {value}")
        word |= value << field.offset
    return word.to_bytes(-(-layout.size // 8), "little")


def unpack(layout: data.StructLayout, raw: bytes) -> dict[str, int]:
    """Decode `raw` by `layout` into plain integers."""
    word = int.from_bytes(raw, "little")
    return {name: (word >> field.offset) & ((1 << field.width) - 1) for name, field in layout}


def assemble(opcode: Opcode, **values: int) -> bytes:
    """Encode one instruction into its slot of `SLOT_BYTES` bytes; raises as `pack` does.

    Modifiers are 0 unless they are given, and so is what says of shifts, exponents and groups.
    """
    values = dict.fromkeys(MODIFIERS, 0) | _UNLESS_GIVEN.get(opcode, {}) | values
    raw = pack(INSTRUCTIONS[opcode], opcode=opcode.value, **values)
    return raw.ljust(SLOT_BYTES, b"\0")


def disassemble(slot: bytes) -> tuple[Opcode, dict[str, int]]:
    """Decode one slot; raises ValueError where its opcode is unknown."""
    try:
        opcode = Opcode(slot[0])
    except ValueError:
        raise ValueError(
            f"opcode must be one of {[o.value for o in Opcode]}, not {slot[0]}"
        ) from None
    values = unpack(INSTRUCTIONS[opcode], slot)
    del values["opcode"]
    return opcode, values
