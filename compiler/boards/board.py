"""Boards: what an FPGA and its memory offer, each value with its source."""

import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from hw.contract.params import HwParams

__all__ = ["Board", "Value", "board_called", "boards"]

_FOLDER = Path(__file__).with_name("known")


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number, where it is from, and whether it is an estimate or of something similar."""

    value: float
    source: str
    estimate: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """One board.

    Attributes
    ----------
    key, name, device : str
        Of its file, for people, and its FPGA.
    family : str
        Of the area model: ``ecp5`` or ``xc7``.
    dram : str
        Constant of its memory (`compiler.energy.constants`).
    clock_mhz : Value
        What the accelerator is assumed to reach.
    luts, flip_flops, block_rams, dsps : Value
        Of the FPGA; block RAMs of 18 kbit.
    ports : Value
        Memory ports, each of which may have a core.
    gigabytes_per_second, efficiency : Value
        Peak of the memory, and the share of it that is reached.
    capacity_bytes : Value
        Of the memory.
    port_width : Value
        Most bits of a port.
    """

    key: str
    name: str
    device: str
    family: str
    dram: str
    clock_mhz: Value
    luts: Value
    flip_flops: Value
    block_rams: Value
    dsps: Value
    ports: Value
    gigabytes_per_second: Value
    efficiency: Value
    capacity_bytes: Value
    port_width: Value = Value(value=256, source="the widest of hw.contract.params")

    @property
    def bytes_per_second(self) -> float:
        """What its memory delivers."""
        return self.efficiency.value * self.gigabytes_per_second.value * 1e9

    def port_bytes_per_second(self, params: HwParams, cores: int) -> float:
        """Return what the ports of all cores take at most: a word each cycle."""
        return cores * params.axi_bytes * self.clock_mhz.value * 1e6

    def offer(self, params: HwParams, cores: int) -> float:
        """Return the words that DRAM offers a core in a cycle, were its port wide enough."""
        return self.bytes_per_second / self.port_bytes_per_second(params, cores)

    def rate(self, params: HwParams, cores: int) -> float:
        """Return the words that a core gets in a cycle: what DRAM offers, at most its port's."""
        return min(1.0, self.offer(params, cores))

    @property
    def values(self) -> dict[str, Value]:
        """Its numbers by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Value)}


@cache
def boards() -> dict[str, Board]:
    """Return all boards by key."""
    found = {}
    for file in sorted(_FOLDER.glob("*.toml")):
        table = tomllib.loads(file.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            k: Value(**v) if isinstance(v, dict) else v for k, v in table.items()
        }
        found[file.stem] = Board(key=file.stem, **values)
    return found


def board_called(key: str) -> Board:
    """Return a board by its key; raises ValueError naming those that there are."""
    if key not in boards():
        raise ValueError(f"board must be one of {', '.join(boards())}, not {key!r}")
    return boards()[key]
