"""The memory model that the RTL runs on: it keeps bytes and time, and sees breaches of AXI."""

import json

import pytest

from sim.rtl.builds import build_memory
from sim.rtl.simulator import cocotb_run

BREACHES = {
    "crossing_read": "read burst of 2 words at 0xff8 crosses 4 KiB",
    "crossing_write": "write burst of 3 words at 0x8ff0 crosses 4 KiB",
    "beyond": "read burst of 1 words at 0x10000 ends beyond the memory's 0x10000",
    "fixed_burst": "read burst at 0x0 must be of type 1 (INCR), not 0",
    "narrow": "read burst at 0x0 must have words of 8 bytes, not 4",
    "unaligned": "read burst at 0x4 must start at a whole word",
    "early_last": "WLAST is 1 in word 1 of 2 of the write burst at 0x8000",
    "late_last": "WLAST is 0 in word 1 of 1 of the write burst at 0x8000",
    "dropped_ar": "ARVALID fell before ARREADY",
    "dropped_aw": "AWVALID fell before AWREADY",
    "dropped_w": "WVALID fell before WREADY",
    "changed_ar": "the payload of AR changed before ARREADY",
    "changed_aw": "the payload of AW changed before AWREADY",
    "changed_w": "the payload of W changed before WREADY",
    "stray_write": "0x7fff was written and lies in no output",
    "read_under_write": "read burst at 0x8008 meets the unfinished write burst at 0x8000",
    "write_under_read": "write burst at 0x8018 meets the unfinished read burst at 0x8000",
    "two_writes": "write burst at 0x8000 meets the unfinished write burst at 0x8000",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory, request):
    directory = tmp_path_factory.mktemp("memory")
    build = build_memory(data_width=64, addr_width=32)
    environment = {"SEED": str(request.config.option.seed)}
    cocotb_run(build, "tests.e2e.rtl_memory_bench", directory, environment=environment)
    return json.loads((directory / "found.json").read_text())


@pytest.mark.parametrize("breach", BREACHES)
def test_breach_is_seen(found, breach):
    cycle, _, sentence = found[breach].partition(": ")
    assert sentence == BREACHES[breach]
    assert cycle.startswith("cycle ")


@pytest.mark.parametrize("latency", [1, 2, 60])
def test_first_word_comes_after_the_latency_and_then_one_a_cycle(found, latency):
    assert found["timing"][str(latency)] == [latency, latency + 8 * 16 - 1]


def test_failing_addresses_answer_with_slverr_and_keep_their_bytes(found):
    assert found["responses"] == {
        "reads": [0, 2, 0],
        "writes": [0, 2, 0],
        "kept": [False, True, False],
    }


def test_addresses_of_writes_wait_for_data_where_that_is_asked_for(found):
    assert found["data_first"] == [[3, 3, 3], [0, 1, 1]]


def test_bursts_of_different_ids_are_interleaved_under_stalls(found):
    order = found["interleaved"]
    assert sorted(order) == sorted(list(range(4)) * 16)
    assert order != sorted(order)
