"""The register map: one place each, and the places that drivers rely on."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.contract.params import HwParams
from hw.contract.presets import PRESETS
from hw.contract.regs import (
    ADDR_WIDTH,
    CAPABILITIES,
    COUNTERS,
    REGISTERS,
    VERSION,
    Error,
    FaultKind,
    capabilities,
    offset,
    params_of,
)


def test_offsets_are_aligned_unique_and_within_the_address():
    offsets = [register.offset for register in REGISTERS.values()]
    assert len(set(offsets)) == len(offsets)
    assert all(place % 4 == 0 and 0 <= place < 1 << ADDR_WIDTH for place in offsets)


def test_every_register_is_described():
    for name, register in REGISTERS.items():
        assert register.name == name
        assert register.access in {"ro", "rw", "wo", "w1c"}
        assert register.doc
        assert offset(name) == register.offset


def test_every_counter_has_its_two_registers_side_by_side():
    for name, doc in COUNTERS.items():
        low, high = (REGISTERS[f"{name.upper()}_{half}"] for half in ("LOW", "HIGH"))
        assert high.offset == low.offset + 4
        assert low.offset % 8 == 0
        assert low.access == high.access == "ro"
        assert low.doc.startswith(doc)


def test_the_places_that_every_version_keeps():
    """A driver finds the identity, and sees whether it knows the rest, at the same place."""
    assert [offset(f"ID{index}") for index in range(8)] == list(range(0, 32, 4))
    assert [offset(name) for name in ("CONTROL", "STATUS", "ERROR")] == [0x20, 0x24, 0x28]
    assert (offset("STOP_TOKEN"), offset("VERSION")) == (0xC4, 0xC8)
    assert VERSION.to_bytes(4, "big") == b"SL\x01\x01"


def test_error_codes():
    assert {error.name: error.value for error in Error} == {
        "NONE": 0,
        "BAD_MAGIC": 1,
        "BAD_FINGERPRINT": 2,
        "BAD_INSTRUCTION": 3,
        "READ_FAILED": 4,
        "WRITE_FAILED": 5,
        "BAD_TOKEN": 6,
        "ABORTED": 7,
        "WATCHDOG": 8,
    }
    assert {kind.name: kind.value for kind in FaultKind} == {
        "NONE": 0,
        "READ": 1,
        "WRITE": 2,
        "INSTRUCTION": 3,
    }


def test_an_absent_register():
    with pytest.raises(KeyError):
        offset("REVISION")


def test_every_parameter_has_a_register_that_tells_it():
    assert list(CAPABILITIES) == [field.name for field in fields(HwParams)]
    for params in PRESETS.values():
        values = capabilities(params)
        assert all(0 <= value < 1 << 32 for value in values.values())
        assert params_of(values) == params


@given(st.sampled_from(sorted(PRESETS)), st.permutations([8, 4, 2]), st.integers(1, 3))
def test_the_widths_of_weights_are_told_whatever_their_order(name, widths, count):
    params = replace(PRESETS[name], weight_widths=tuple(widths[:count]))
    told = params_of(capabilities(params))
    assert told == replace(params, weight_widths=tuple(sorted(widths[:count], reverse=True)))


def test_registers_of_no_accelerator():
    values = capabilities(PRESETS["test"])
    for name, value, sentence in (
        ("lanes", 12, "lanes must be a power of two from 4 to 256, not 12"),
        ("array", 2, "array must be 0 or 1, not 2"),
        ("weight_widths", 0, "weight_widths must be distinct values of 8, 4, 2, not ()"),
    ):
        with pytest.raises(ValueError) as error:
            params_of(values | {name: value})
        assert str(error.value) == sentence
