"""Instructions: what is packed is unpacked, and nothing out of range is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.contract.isa import (
    CHANNEL_WORDS,
    HEADER,
    INSTRUCTIONS,
    MAGIC,
    PSEUDOCODE,
    SCALE,
    SLOT_BYTES,
    Cache,
    Coding,
    Opcode,
    Rule,
    VectorOp,
    assemble,
    disassemble,
    pack,
    unpack,
)

LAYOUTS = {
    "header": HEADER,
    "scale": SCALE,
    **{opcode.name: layout for opcode, layout in INSTRUCTIONS.items()},
}


def values_of(layout, *without):
    """Draw a value for each field, of an enumeration one of its members'."""
    strategies = {}
    for name, field in layout:
        if isinstance(field.shape, type):
            strategies[name] = st.sampled_from([member.value for member in field.shape])
        else:
            strategies[name] = st.integers(0, (1 << field.width) - 1)
    return st.fixed_dictionaries({k: v for k, v in strategies.items() if k not in without})


@pytest.mark.parametrize("name", LAYOUTS)
@given(data=st.data())
def test_unpack_inverts_pack(name, data):
    layout = LAYOUTS[name]
    values = data.draw(values_of(layout))
    raw = pack(layout, **values)
    assert len(raw) == -(-layout.size // 8)
    assert unpack(layout, raw) == values


@pytest.mark.parametrize("name", LAYOUTS)
@given(data=st.data())
def test_packed_bytes_are_the_layout_that_hardware_uses(name, data):
    layout = LAYOUTS[name]
    values = data.draw(values_of(layout))
    word = int.from_bytes(pack(layout, **values), "little")
    view = layout.from_bits(word)
    for field, value in values.items():
        assert getattr(view[field], "value", view[field]) == value


@pytest.mark.parametrize("opcode", list(Opcode))
@given(data=st.data())
def test_disassemble_inverts_assemble(opcode, data):
    values = data.draw(values_of(INSTRUCTIONS[opcode], "opcode"))
    slot = assemble(opcode, **values)
    assert len(slot) == SLOT_BYTES
    assert disassemble(slot) == (opcode, values)
    assert int.from_bytes(slot, "little") >> INSTRUCTIONS[opcode].size == 0


FIELDS = [(name, field, f.width) for name, layout in LAYOUTS.items() for field, f in layout]


@pytest.mark.parametrize("name, field, width", FIELDS)
def test_a_value_out_of_range_is_named(name, field, width):
    values = dict.fromkeys(dict(LAYOUTS[name]), 0)
    for value in (-1, 1 << width):
        with pytest.raises(ValueError) as error:
            pack(LAYOUTS[name], **values | {field: value})
        assert str(error.value) == f"{field} must be 0 to {(1 << width) - 1}, not {value}"


@pytest.mark.parametrize("value", [1.0, 1.5, "1", None])
def test_a_value_that_is_no_integer_is_named(value):
    with pytest.raises(ValueError) as error:
        pack(SCALE, mantissa=value, exponent=1, reserved=0)
    assert str(error.value) == f"mantissa must be an integer, not {value!r}"


def test_integers_of_numpy_and_truths_are_integers():
    expected = pack(SCALE, mantissa=1, exponent=1, reserved=0)
    assert pack(SCALE, mantissa=np.int64(1), exponent=True, reserved=np.uint8(0)) == expected


def test_missing_and_unknown_fields_are_named():
    with pytest.raises(ValueError) as error:
        pack(SCALE, mantissa=1, exponent=1, sign=0)
    assert str(error.value) == (
        "fields must be mantissa, exponent, reserved: reserved, sign is missing or unknown"
    )


def test_enumerations_are_taken_by_member_or_value():
    fields = {name: 1 for name, _ in INSTRUCTIONS[Opcode.ENCODE] if name != "opcode"}
    by_member = assemble(Opcode.ENCODE, **fields | {"rule": Rule.STATIC})
    assert by_member == assemble(Opcode.ENCODE, **fields | {"rule": 2})


@pytest.mark.parametrize("opcode", [0, 10, 255])
def test_an_unknown_opcode(opcode):
    with pytest.raises(ValueError) as error:
        disassemble(bytes([opcode]).ljust(SLOT_BYTES, b"\0"))
    assert str(error.value) == f"opcode must be one of {list(range(1, 10))}, not {opcode}"


def test_the_numbers_of_the_contract():
    """What compiled programs hold: a change is one of the format."""
    assert MAGIC.to_bytes(4, "little") == b"SPKL"
    assert HEADER.size == 2 * 8 * SLOT_BYTES
    names = ["END", "ENCODE", "MATMUL", "VECTOR", "STORE", "TOKEN", "NEXT", "PREFILL", "LAYERS"]
    assert {o.name: o.value for o in Opcode} == {n: i for i, n in enumerate(names, start=1)}
    assert {r.name: r.value for r in Rule} == {"ABSMAX": 0, "MEAN": 1, "STATIC": 2}
    assert {c.name: c.value for c in Coding} == {"UNARY": 0, "BITWISE": 1, "CSD": 2}
    names = ["COPY", "ADD", "NORM", "ROTATE", "SWIGLU", "SOFTMAX", "ARGMAX"]
    assert {o.name: o.value for o in VectorOp} == {n: i for i, n in enumerate(names)}
    assert {c.name: c.value for c in Cache} == {"KEY": 0, "VALUE": 1}
    assert SCALE.size == 32
    assert CHANNEL_WORDS == {False: ("scale",), True: ("scale", "bias")}


@pytest.mark.parametrize("opcode", list(Opcode))
def test_an_instruction_fits_its_slot_and_is_explained(opcode):
    layout = INSTRUCTIONS[opcode]
    assert layout["opcode"].offset == 0
    assert layout.size <= 8 * SLOT_BYTES
    assert PSEUDOCODE[opcode].strip()
    places = [range(f.offset, f.offset + f.width) for _, f in layout]
    assert len({bit for place in places for bit in place}) == sum(map(len, places)) == layout.size
