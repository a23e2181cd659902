"""A compiled directory into a board's memory, each region read back and held against the file."""

from collections.abc import Callable, Iterator

import numpy as np

from compiler.artifact.program import Compiled
from compiler.passes.place import Region
from compiler.storage.checksums import Checksums, chunks
from spikeloom.board.errors import MemoryFault
from spikeloom.board.transport import Transport

__all__ = ["load_regions"]

_BLOCK_BYTES = 1 << 16


def load_regions(
    transport: Transport,
    compiled: Compiled,
    *,
    resume: bool = False,
    say: Callable[[str], None] = lambda _doing: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Load all regions, their contents or zeros; then read all back and compare.

    Nothing is compared before all is written: a region that lands on another is seen too.

    Parameters
    ----------
    transport : Transport
        The board.
    compiled : Compiled
        The directory.
    resume : bool
        Whether a load was cut short: what is there already is not written again.
    say, progress : callable
        Told the region, and how many bytes of how many are done: each is written, then read.

    Raises
    ------
    MemoryFault
        Naming the first byte of a region that is not as it was written.
    """
    done, total = 0, 2 * sum(region.bytes for region in compiled.regions.values())
    for name, region in compiled.regions.items():
        say(f"loading {name}")
        for address, data in _blocks(compiled, region):
            if not resume or transport.read_memory(address, len(data)) != data:
                transport.write_memory(address, data)
            done += len(data)
            progress(done, total)
    for name, region in compiled.regions.items():
        say(f"reading {name} back")
        there = Checksums()
        for address, data in _blocks(compiled, region):
            read = transport.read_memory(address, len(data))
            _require_same(name, region.address, address, data, read)
            there.update(read)
            done += len(data)
            progress(done, total)
        entry = compiled.contents.get(name)
        if entry is not None and (found := there.entry()["sha256"]) != entry["sha256"]:
            raise MemoryFault(
                f"region {name} has checksum {found[:12]}, not {entry['sha256'][:12]} as "
                f"{compiled.directory} says: its files have changed, so build it again"
            )


def _blocks(compiled: Compiled, region: Region) -> Iterator[tuple[int, bytes]]:
    """Yield addresses and bytes of a region."""
    entry = compiled.contents.get(region.name)
    if entry is None:
        for at in range(0, region.bytes, _BLOCK_BYTES):
            yield region.address + at, bytes(min(_BLOCK_BYTES, region.bytes - at))
        return
    address = region.address
    path = compiled.directory / entry["file"]
    for block in chunks(path, entry["offset"], region.bytes):
        yield address, block
        address += len(block)


def _require_same(name: str, start: int, address: int, written: bytes, read: bytes) -> None:
    """Raise MemoryFault where bytes of a region, at `address`, are not read as written."""
    if written == read:
        return
    wrong = np.frombuffer(written, np.uint8) != np.frombuffer(read, np.uint8)
    at = int(np.flatnonzero(wrong)[0])
    raise MemoryFault(
        f"region {name} is not on the board as it was loaded: its byte {address + at - start:#x} "
        f"(address {address + at:#x}) reads {read[at]:#04x}, not {written[at]:#04x}, and "
        f"{np.count_nonzero(wrong)} of the block's {len(read)} bytes differ: test the memory "
        "(python -m spikeloom.board selftest)"
    )
