"""The register map: one place each, and the places that drivers rely on."""

import pytest

from hw.contract.regs import ADDR_WIDTH, COUNTERS, REGISTERS, Error, offset


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


def test_error_codes():
    assert {error.name: error.value for error in Error} == {
        "NONE": 0,
        "BAD_MAGIC": 1,
        "BAD_FINGERPRINT": 2,
        "BAD_INSTRUCTION": 3,
        "READ_FAILED": 4,
        "WRITE_FAILED": 5,
        "BAD_TOKEN": 6,
    }


def test_an_absent_register():
    with pytest.raises(KeyError):
        offset("VERSION")
