"""A device's memory: its regions, and the vectors that lie in them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compiler.passes.place import Region

__all__ = ["MemoryMap"]


@dataclass(frozen=True, kw_only=True)
class MemoryMap:
    """What lies where in a device's memory.

    Attributes
    ----------
    tokens : int
        Rows of every vector region.
    memory_bytes : int
        First address beyond the last region.
    regions : dict of str to Region
        By name, in the order of their addresses.
    """

    tokens: int
    memory_bytes: int
    regions: dict[str, Region]

    @property
    def program_address(self) -> int:
        """Byte address of the program's header."""
        return self.regions["program"].address

    @property
    def inputs(self) -> dict[str, Region]:
        """Regions that the host fills before the start."""
        return self.of_kind("input")

    @property
    def outputs(self) -> dict[str, Region]:
        """Regions that the program fills."""
        return self.of_kind("output")

    def of_kind(self, kind: str) -> dict[str, Region]:
        """Return the regions of a kind."""
        return {name: region for name, region in self.regions.items() if region.kind == kind}

    def region_at(self, address: int) -> Region | None:
        """Return the region that holds an address."""
        regions = list(self.regions.values())
        at = bisect_right(regions, address, key=lambda region: region.address) - 1
        region = regions[max(at, 0)]
        return region if 0 <= address - region.address < region.bytes else None

    def place_of(self, address: int) -> str:
        """Return an address as a region's name, with an offset unless it is the region's start."""
        if (region := self.region_at(address)) is None:
            return f"{address:#x}"
        offset = address - region.address
        return f"{region.name}+{offset:#x}" if offset else region.name

    def view(self, memory: np.ndarray, name: str) -> np.ndarray:
        """View the bytes of a region of `memory`."""
        region = self.regions[name]
        return memory[region.address : region.address + region.bytes]

    def read(self, memory: np.ndarray, name: str) -> np.ndarray:
        """Return a copy of the vectors of a region of `memory`: int32, (tokens, channels)."""
        return self._rows(memory, name).astype(np.int32)

    def fill(self, memory: np.ndarray, inputs: Mapping[str, np.ndarray]) -> None:
        """Write the vectors of each input region, int32 of shape (tokens, channels), to `memory`.

        Raises
        ------
        ValueError
            Where an input is missing, unknown, or not of its region's shape and type.
        """
        if wrong := sorted(inputs.keys() ^ self.inputs.keys()):
            names = ", ".join(self.inputs)
            raise ValueError(f"inputs must be {names}: {wrong[0]} is missing or unknown")
        for name, vectors in inputs.items():
            self._rows(memory, name)[:] = self._checked(name, vectors)

    def _rows(self, memory: np.ndarray, name: str) -> np.ndarray:
        """View the vectors of a region, without their padding."""
        words = self.view(memory, name).view("<i4")
        return words.reshape(self.tokens, -1)[:, : self.regions[name].channels]

    def _checked(self, name: str, vectors: np.ndarray) -> np.ndarray:
        shape = (self.tokens, self.regions[name].channels)
        vectors = np.asarray(vectors)
        if vectors.shape != shape or vectors.dtype != np.int32:
            raise ValueError(
                f"input {name} must be int32 of shape {shape}, not {vectors.dtype} of shape "
                f"{vectors.shape}"
            )
        return vectors
