"""What an accelerator costs in cells of an FPGA, before any synthesis: a model of measured points.

Memories whose shapes follow from the parameters are counted, by the rules by which Yosys maps them:
the accumulators and the queue of beats. All else is linear in a few dimensions, with coefficients
that least squares find on ``area.json``, whose points Yosys gave.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from hw.contract.params import HwParams
from hw.contract.presets import preset

__all__ = [
    "CELLS",
    "POINTS",
    "VARIED",
    "Area",
    "Point",
    "estimate",
    "extrapolated",
    "left_out_error",
    "points",
    "with_dimensions",
]

CELLS = ("luts", "flip_flops", "dsps", "block_rams", "ram_luts")
"""What is counted: LUTs of logic, flip-flops, DSPs, block RAMs of 18 kbit, LUTs as RAM."""
VARIED = ("tokens", "lanes", "banks", "axi_data_width", "max_channels")
"""Parameters in which the points differ."""
POINTS = Path(__file__).with_name("area.json")
"""The measured points, by `bench.area_points`."""

_ECP5_BLOCK_BITS = 36  # of a block RAM's widest port, 512 words deep
_ECP5_LUT_RAM = (16, 4, 6)  # words, bits, LUTs of one
_XC7_LUT_RAMS = ((32, 6, 4), (64, 3, 4))
_DEEPEST_ECP5_LUT_RAM = 32


@dataclass(frozen=True, kw_only=True)
class Area:
    """Cells of an accelerator, by `CELLS`."""

    luts: float
    flip_flops: float
    dsps: float
    block_rams: float
    ram_luts: float

    @property
    def all_luts(self) -> float:
        """LUTs of logic and as RAM."""
        return self.luts + self.ram_luts


@dataclass(frozen=True, kw_only=True)
class Point:
    """A measured accelerator.

    Attributes
    ----------
    family : str
        ``ecp5`` or ``xc7``.
    dimensions : dict of str to int
        By `VARIED`.
    cells : dict of str to int
        By `CELLS`.
    """

    family: str
    dimensions: dict[str, int]
    cells: dict[str, int]


@cache
def points() -> tuple[Point, ...]:
    """Return the measured points."""
    rows = json.loads(POINTS.read_text(encoding="utf-8"))
    return tuple(
        Point(
            family=row["family"],
            dimensions={name: row[name] for name in VARIED},
            cells={cell: row[cell] for cell in CELLS},
        )
        for row in rows
    )


def with_dimensions(**dimensions: int) -> HwParams:
    """Return the accelerator with these `VARIED`, in all else like the preset `edge`."""
    return replace(preset("edge"), **dimensions)


def estimate(params: HwParams, family: str) -> Area:
    """Return the cells of an accelerator.

    Parameters
    ----------
    params : HwParams
        The accelerator: a spike array, in all else than `VARIED` like the preset `edge`.
    family : str
        ``ecp5`` or ``xc7``; that also stands for the later families of its vendor, an estimate.
    """
    dimensions = {name: getattr(params, name) for name in VARIED}
    of_family = [point for point in points() if point.family == family]
    return Area(**{cell: _estimate(dimensions, family, cell, of_family) for cell in CELLS})


def extrapolated(params: HwParams, family: str) -> bool:
    """Return whether one of `VARIED` is smaller, or larger, than that of every measured point."""
    for name in VARIED:
        measured = [point.dimensions[name] for point in points() if point.family == family]
        if not min(measured) <= getattr(params, name) <= max(measured):
            return True
    return False


def left_out_error(family: str, cell: str) -> float:
    """Return the largest relative error on a point, when the others alone make the model."""
    of_family = [point for point in points() if point.family == family]
    errors = []
    for point in of_family:
        others = [other for other in of_family if other is not point]
        got = _estimate(point.dimensions, family, cell, others)
        errors.append(abs(got / point.cells[cell] - 1))
    return max(errors)


def _estimate(dimensions: dict[str, int], family: str, cell: str, on: list[Point]) -> float:
    rows = np.array([_features(point.dimensions, family, cell) for point in on], float)
    left = [point.cells[cell] - _counted(point.dimensions, family, cell) for point in on]
    coefficients = np.linalg.lstsq(rows, np.array(left, float), rcond=None)[0]
    linear = float(np.array(_features(dimensions, family, cell), float) @ coefficients)
    return max(0.0, linear) + _counted(dimensions, family, cell)


def _features(d: dict[str, int], family: str, cell: str) -> list[float]:
    """Return what the part that is not counted is linear in."""
    if cell == "block_rams":  # buffers a memory word wide, and those of the channels and the tile
        tile = d["lanes"] * d["banks"]
        return [1, d["axi_data_width"], d["max_channels"] / 1024, tile / 1024]
    if cell in ("dsps", "ram_luts"):
        return [1, d["axi_data_width"]]
    elements = d["tokens"] * d["lanes"]
    return [1, d["axi_data_width"], elements, 0 if _in_blocks(d, family) else elements]


def _in_blocks(d: dict[str, int], family: str) -> bool:
    """Return whether the accumulators lie in block RAM; LUTs as RAM have logic about them."""
    return family == "ecp5" and 2 * d["banks"] > _DEEPEST_ECP5_LUT_RAM


def _counted(d: dict[str, int], family: str, cell: str) -> int:
    """Return the cells of the accumulators and of the queue of beats."""
    if cell not in ("block_rams", "ram_luts"):
        return 0
    acc_width = with_dimensions(**d).acc_width
    depth = 2 * d["banks"]
    memories = [d["tokens"] * d["lanes"] * acc_width, 8 * d["lanes"]]
    in_blocks = _in_blocks(d, family)
    if cell == "block_rams":
        return sum(-(-bits // _ECP5_BLOCK_BITS) for bits in memories) if in_blocks else 0
    if in_blocks:
        return 0
    if family == "ecp5":
        words, width, luts = _ECP5_LUT_RAM
        return sum(-(-bits // width) * -(-depth // words) * luts for bits in memories)
    _, width, luts = next(ram for ram in _XC7_LUT_RAMS if depth <= ram[0] or ram[0] == 64)
    return sum(-(-bits // width) * luts for bits in memories)
