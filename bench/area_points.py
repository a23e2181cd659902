"""What accelerators of several dimensions cost in cells: the points of the area model.

``python -m bench.area_points`` synthesizes them (hours) and writes ``compiler/boards/area.json``.
"""

import json
import sys
from collections.abc import Iterable

from bench.area import FAMILIES, synthesize_accelerator
from compiler.boards.area import CELLS, POINTS, VARIED, with_dimensions
from hw.contract.params import HwParams
from hw.contract.presets import preset
from hw.generate import yosys

__all__ = ["as_point", "points", "write"]

_DIMENSIONS = (  # tokens, lanes, banks, axi_data_width, max_channels; the first is that of `test`
    (2, 8, 4, 64, 2048),
    (2, 32, 32, 128, 8192),
    (1, 32, 16, 64, 4096),
    (1, 64, 32, 128, 4096),
    (1, 64, 32, 256, 16384),
    (4, 16, 16, 64, 2048),
    (2, 128, 16, 256, 16384),
)


def points() -> Iterable[HwParams]:
    """Return the accelerators that are measured."""
    yield preset("edge")
    for values in _DIMENSIONS:
        yield with_dimensions(**dict(zip(VARIED, values, strict=True)))


def as_point(params: HwParams, family: str, row: dict[str, object]) -> dict[str, object]:
    """Return one point as it is written."""
    dimensions = {name: getattr(params, name) for name in VARIED}
    return {"family": family, **dimensions, **{cell: row[cell] for cell in CELLS}}


def write(found: list[dict[str, object]]) -> None:
    """Write the points, one a line."""
    POINTS.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    measured = []
    for family in FAMILIES:
        for params in points():
            try:
                row = synthesize_accelerator(params, family)
            except yosys.YosysError as error:  # Yosys itself fails on some
                print(f"{family} {params}: {error}", file=sys.stderr)
                continue
            measured.append(as_point(params, family, row))
            print(measured[-1], file=sys.stderr)
    write(measured)
