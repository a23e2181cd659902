"""The parameters: what they refuse, word for word, and what follows from them."""

import json
from dataclasses import FrozenInstanceError, asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.contract.params import HwParams
from hw.contract.presets import PRESETS, preset

TEST = preset("test")

REFUSED = {
    "tokens must be 1 to 64, not 0": {"tokens": 0},
    "tokens must be 1 to 64, not 65": {"tokens": 65},
    "max_count must be 1 to 127, not 0": {"max_count": 0},
    "max_count must be 1 to 127, not 128": {"max_count": 128},
    "max_shift must be 0 to 6, not -1": {"max_shift": -1},
    "max_shift must be 0 to 6, not 7": {"max_shift": 7},
    "axi_addr_width must be 16 to 40, not 15": {"axi_addr_width": 15},
    "axi_addr_width must be 16 to 40, not 41": {"axi_addr_width": 41},
    "lanes must be a power of two from 4 to 256, not 12": {"lanes": 12},
    "lanes must be a power of two from 4 to 256, not 2": {"lanes": 2},
    "lanes must be a power of two from 4 to 256, not 512": {"lanes": 512},
    "lanes must be a power of two from 4 to 256, not -8": {"lanes": -8},
    "banks must be a power of two from 1 to 256, not 0": {"banks": 0},
    "banks must be a power of two from 1 to 256, not 3": {"banks": 3},
    "max_channels must be a power of two from 64 to 32768, not 32": {"max_channels": 32},
    "max_channels must be a power of two from 64 to 32768, not 1536": {"max_channels": 1536},
    "axi_data_width must be a power of two from 64 to 256, not 32": {"axi_data_width": 32},
    "axi_data_width must be a power of two from 64 to 256, not 512": {"axi_data_width": 512},
    "max_burst_words must be a power of two from 4 to 256, not 2": {"max_burst_words": 2},
    "fetch_depth must be a power of two from 16 to 4096, not 33": {"fetch_depth": 33},
    "event_depth must be a power of two from 4 to 512, not 2": {"event_depth": 2},
    "scan_width must be a power of two from 16 to 128, not 256": {"scan_width": 256},
    "weight_widths must be distinct values of 8, 4, 2, not ()": {"weight_widths": ()},
    "weight_widths must be distinct values of 8, 4, 2, not (8, 3)": {"weight_widths": (8, 3)},
    "weight_widths must be distinct values of 8, 4, 2, not (8, 8)": {"weight_widths": (8, 8)},
    "lanes * banks must be at least axi_data_width / 2 = 32, not 16": {"banks": 2},
    "lanes * banks must be at least axi_data_width / 4 = 16, not 8": {
        "banks": 1,
        "weight_widths": (8, 4),
    },
    "lanes must be at least axi_data_width / 32 = 8, not 4": {
        "axi_data_width": 256,
        "lanes": 4,
        "banks": 64,
    },
    "max_burst_words must be at most 128 (4 KiB), not 256": {
        "axi_data_width": 256,
        "banks": 16,
        "max_burst_words": 256,
    },
    "fetch_depth must be at least 2 x max_burst_words = 32, not 16": {"fetch_depth": 16},
    "array must be spike or mac, not 'analog'": {"array": "analog"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(ValueError) as error:
        replace(TEST, **REFUSED[message])
    assert str(error.value) == message


def test_every_preset_is_a_valid_choice():
    for params in PRESETS.values():
        assert replace(params) == params


def test_parameters_do_not_change():
    with pytest.raises(FrozenInstanceError):
        TEST.lanes = 16


def test_dictionary_and_back():
    for params in PRESETS.values():
        plain = json.loads(json.dumps(params.as_dict()))
        assert HwParams.from_dict(plain) == params
        assert plain.keys() == asdict(params).keys() == {field.name for field in fields(params)}


@pytest.mark.parametrize("change", [{"lanes": None}, {"columns": 8}])
def test_a_dictionary_of_another_version(change):
    choices = {k: v for k, v in (TEST.as_dict() | change).items() if v is not None}
    with pytest.raises(ValueError, match="^hardware parameters are not of this version: .+"):
        HwParams.from_dict(choices)


def test_a_dictionary_with_a_bad_value():
    with pytest.raises(ValueError, match="^lanes must be a power of two from 4 to 256, not 12$"):
        HwParams.from_dict(TEST.as_dict() | {"lanes": 12})
    for bad in ("8", 8.0, None, True):
        with pytest.raises(ValueError, match=f"^lanes must be a whole number, not {bad!r}$"):
            HwParams.from_dict(TEST.as_dict() | {"lanes": bad})
    with pytest.raises(ValueError, match="^skip_silent must be true or false, not 1$"):
        HwParams.from_dict(TEST.as_dict() | {"skip_silent": 1})


@st.composite
def choices(draw):
    """Draw parameters from all that are valid."""
    widths = draw(st.sets(st.sampled_from((8, 4, 2)), min_size=1))
    axi_data_width = draw(st.sampled_from((64, 128, 256)))
    lanes = draw(st.sampled_from([n for n in (4, 8, 64, 256) if n >= axi_data_width // 32]))
    fewest_banks = max(1, axi_data_width // (lanes * min(widths)))
    max_burst_words = 1 << draw(st.integers(2, 7))
    return HwParams(
        tokens=draw(st.integers(1, 64)),
        lanes=lanes,
        banks=draw(st.sampled_from([b for b in (1 << e for e in range(9)) if b >= fewest_banks])),
        weight_widths=tuple(widths),
        max_count=draw(st.integers(1, 127)),
        max_channels=1 << draw(st.integers(6, 15)),
        axi_data_width=axi_data_width,
        max_burst_words=max_burst_words,
        fetch_depth=max(16, 2 * max_burst_words),
        event_depth=8,
        scan_width=draw(st.sampled_from((16, 32, 64, 128))),
        array=draw(st.sampled_from(("spike", "mac"))),
        skip_silent=draw(st.booleans()),
        max_shift=draw(st.integers(0, 6)),
        grouped=draw(st.booleans()),
    )


@given(choices())
def test_widths_hold_what_they_must(p):
    largest = p.max_count << p.max_shift
    assert largest * 128 * p.max_channels < 1 << p.acc_width - 1
    assert largest * 128 * p.max_channels >= 1 << p.acc_width - 2, "a bit too many"
    assert p.max_count < 1 << p.count_width - 1
    assert largest < 1 << p.spike_width - 1
    assert largest * 128 < 1 << p.spike_sum_width - 1
    # The digits of a non-adjacent form: 2/3 of 2^T is the largest sum.
    assert largest <= (1 << p.step_width + 1) // 3
    assert p.sum_width == (max(48, p.acc_width) if p.grouped else p.acc_width)
    assert p.encode_lanes * 32 == p.axi_data_width
    assert p.threshold_width == 56


@given(choices(), st.integers(1, 1 << 18))
def test_tiles_cover_the_outputs(p, outputs):
    tiles = p.tiles(outputs)
    assert sum(tiles) == outputs
    assert all(size == p.tile_outputs for size in tiles[:-1])
    assert 1 <= tiles[-1] <= p.tile_outputs


@given(choices(), st.data())
def test_rows_are_whole_beats_and_whole_words(p, data):
    size = data.draw(st.integers(1, p.tile_outputs))
    width = data.draw(st.sampled_from(p.weight_widths))
    words, beats = p.row_words(size, width), p.row_beats(size, width)
    bits = words * p.axi_data_width
    assert bits == beats * p.lanes * width == 8 * p.row_bytes(size, width)
    unit = max(p.axi_data_width, p.lanes * width)  # both are powers of two
    assert bits - unit < size * width <= bits
    assert beats <= p.banks


@given(choices(), st.integers(1, 5000))
def test_vectors_are_whole_words(p, elements):
    length = p.vector_bytes(elements)
    assert length % p.axi_bytes == 0
    assert length - p.axi_bytes < 4 * elements <= length
