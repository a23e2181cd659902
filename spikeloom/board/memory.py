"""Whether a board's memory holds what is written to it: data lines, address lines, random bytes."""

from collections.abc import Callable, Iterator

import numpy as np

from spikeloom.board.errors import MemoryFault
from spikeloom.board.transport import Transport

__all__ = ["test_memory"]

_BLOCK_BYTES = 1 << 16
_WORD_BYTES = 8  # what a pattern of the data lines is as wide as, at least


def test_memory(
    transport: Transport,
    first: int,
    end: int,
    *,
    lines_end: int = 0,
    word_bytes: int = _WORD_BYTES,
    seed: int = 0,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Test the memory from `first` to `end`, whose bytes are lost.

    Data lines: a one walks through a word, and a zero. Address lines: every power of two has a byte
    of its own, up to `lines_end` where that is more. Then what lies between `first` and `end` is
    filled with random bytes and read back.

    Parameters
    ----------
    transport : Transport
        The board.
    first, end : int
        Addresses, multiples of `word_bytes`.
    lines_end : int
        Where the memory ends, if it is larger than what is to be filled.
    word_bytes : int
        Of one word of the memory.
    seed : int
        Of the random bytes.
    say, progress : callable
        Told what is tested, and how many bytes of how many are.

    Raises
    ------
    MemoryFault
        Naming the first address that is wrong, and its bits.
    """
    lines_end = max(lines_end // word_bytes * word_bytes, end)
    if first % word_bytes or end % word_bytes or end - first < word_bytes:
        raise ValueError(
            f"a memory test goes over whole words of {word_bytes} bytes, not {first:#x} to {end:#x}"
        )
    say("data lines")
    for pattern in _walking(word_bytes):
        transport.write_memory(first, pattern)
        _compare("a data line", first, pattern, transport.read_memory(first, word_bytes))
    say("address lines")
    _address_lines(transport, first, lines_end, word_bytes)
    say("random bytes, written")
    total = 2 * (end - first)
    for done, (address, data) in enumerate(_random(first, end, seed)):
        transport.write_memory(address, data)
        progress(min(done * _BLOCK_BYTES + len(data), total), total)
    say("random bytes, read back")
    for address, data in _random(first, end, seed):
        _compare("random bytes", address, data, transport.read_memory(address, len(data)))
        progress(end - first + address + len(data) - first, total)


test_memory.__test__ = False  # pyright: ignore[reportFunctionMemberAccess] - none of pytest's


def _walking(word_bytes: int) -> Iterator[bytes]:
    """Yield words of one bit among zeros, and of a zero among ones."""
    ones = (1 << 8 * word_bytes) - 1
    for bit in range(8 * word_bytes):
        yield (1 << bit).to_bytes(word_bytes, "little")
        yield (ones ^ 1 << bit).to_bytes(word_bytes, "little")


def _address_lines(transport: Transport, first: int, end: int, word_bytes: int) -> None:
    """Give each address that differs in one line from the first, or the last, a word of its own.

    A line that is stuck, or that hangs on another, makes two of them one.
    """
    corners = (first, end - word_bytes)
    lines = [1 << i for i in range(word_bytes.bit_length() - 1, (end - 1).bit_length())]
    places = {corner ^ line for corner in corners for line in (0, *lines)}
    inside = sorted(place for place in places if first <= place < end)
    words = {address: bytes([i + 1]) * word_bytes for i, address in enumerate(inside)}
    for address, word in words.items():
        transport.write_memory(address, word)
    for address, word in words.items():
        _compare("an address line", address, word, transport.read_memory(address, word_bytes))


def _random(first: int, end: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """Yield addresses, and random bytes for them."""
    for address in range(first, end, _BLOCK_BYTES):
        rng = np.random.default_rng([seed, address])
        yield address, rng.bytes(min(_BLOCK_BYTES, end - address))


def _compare(what: str, address: int, written: bytes, read: bytes) -> None:
    """Raise MemoryFault where bytes are not read as they were written."""
    if written == read:
        return
    if len(read) != len(written):
        raise MemoryFault(f"memory at {address:#x}: {len(read)} bytes came, not {len(written)}")
    wrong = np.frombuffer(written, np.uint8) ^ np.frombuffer(read, np.uint8)
    at = int(np.flatnonzero(wrong)[0])
    bits = ", ".join(str(bit) for bit in range(8) if wrong[at] >> bit & 1)
    raise MemoryFault(
        f"memory at {address + at:#x} reads {read[at]:#04x} where {written[at]:#04x} was written "
        f"(test of {what}; bit {bits} of the byte; {np.count_nonzero(wrong)} of {len(read)} bytes "
        "differ): check the memory's training, its clock, and the window to it"
    )
