"""Memory tests see every stuck line, and say where."""

import re

import numpy as np
import pytest

from hw.contract.presets import preset
from spikeloom.board.errors import MemoryFault
from spikeloom.board.memory import test_memory as check_memory
from tests.spikeloom.board.fake import FakeBoard, Faults

BYTES = 1 << 18
WORD = 8


def board(**faults) -> FakeBoard:
    return FakeBoard(preset("test"), BYTES, Faults(**faults))


def test_a_memory_that_holds_passes_and_all_of_it_was_written():
    transport, told = board(), []
    check_memory(transport, 0, BYTES, progress=lambda done, total: told.append((done, total)))
    assert not np.array_equal(transport.memory, np.full(BYTES, 0xEE, np.uint8))
    assert told == sorted(told) and told[-1] == (2 * BYTES, 2 * BYTES)
    again = board()
    check_memory(again, 0, BYTES, seed=1)
    assert np.mean(again.memory == transport.memory) < 0.01


@pytest.mark.parametrize("bit", [0, 1, 7, 8, 62, 63])
@pytest.mark.parametrize("stuck", [0, 1])
def test_a_data_line_that_is_stuck_is_named(bit, stuck):
    def stored(address, data):
        lane = data[(bit // 8 - address) % WORD :: WORD]
        lane[:] = lane & ~np.uint8(1 << bit % 8) | np.uint8(stuck << bit % 8)
        return data

    with pytest.raises(MemoryFault, match="test of a data line") as told:
        check_memory(board(stored=stored), 0, BYTES)
    assert f"memory at {bit // 8:#x} reads" in str(told.value)
    assert f"bit {bit % 8} of the byte; 1 of 8 bytes differ" in str(told.value)


@pytest.mark.parametrize("line", range(3, 18))
@pytest.mark.parametrize("first", [0, WORD])
def test_an_address_line_that_is_stuck_is_seen(line, first):
    with pytest.raises(MemoryFault, match="test of an address line") as told:
        check_memory(board(read=lambda address: address & ~(1 << line)), first, BYTES)
    assert re.match(r"memory at 0x[0-9a-f]+ reads 0x", str(told.value))


def test_address_lines_are_tested_beyond_what_is_filled():
    stuck = {"read": lambda address: address & ~(1 << 16)}
    check_memory(board(**stuck), 0, 1 << 12)
    with pytest.raises(MemoryFault, match="test of an address line"):
        check_memory(board(**stuck), 0, 1 << 12, lines_end=BYTES)


def test_two_address_lines_that_hang_together_are_seen():
    def joined(address):
        both = (address >> 9 | address >> 12) & 1
        return address & ~(1 << 9 | 1 << 12) | both << 9 | both << 12

    with pytest.raises(MemoryFault, match="test of an address line"):
        check_memory(board(read=joined), 0, BYTES)


def test_a_single_bad_byte_is_found_by_the_random_bytes():
    def stored(address, data):
        if address <= 0x23457 < address + len(data) and len(data) > WORD:
            data[0x23457 - address] = 0x5A
        return data

    with pytest.raises(MemoryFault, match=r"memory at 0x23457 reads 0x5a where .*random bytes"):
        check_memory(board(stored=stored), 0, BYTES)


@pytest.mark.parametrize(("first", "end"), [(4, 64), (0, 60), (64, 64), (128, 64)])
def test_a_range_of_no_whole_words_is_refused(first, end):
    with pytest.raises(ValueError, match="a memory test goes over whole words of 8 bytes, not"):
        check_memory(board(), first, end)
