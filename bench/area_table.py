"""The report of the bench `area` as Markdown."""

from collections.abc import Iterable, Mapping
from itertools import zip_longest

from bench.before import AREA_BEFORE
from compiler.pages.markdown import table

__all__ = ["area_table"]

# LUTs of a bare ternary-spike adder lane, as synthesized for the project's plan by other means.
_YARDSTICKS = {
    ("W8/A20", "xc7"): 20.1,
    ("W8/A20", "ecp5"): 28.1,
    ("W4/A16", "xc7"): 16.1,
    ("W4/A16", "ecp5"): 20.1,
}
_OF_TOPS = {
    "luts": "LUTs",
    "flip_flops": "flip-flops",
    "dsps": "DSPs",
    "block_rams": "block RAMs",
    "ram_luts": "LUTs as RAM",
}
_BLOCK_RAMS = {"ecp5": ("an ECP5-85F", 208)}  # of the device that the preset edge is for
_FAMILIES = {"ecp5": "ECP5", "xc7": "Xilinx 7"}
_KINDS = {"adder": "ternary adder", "spike": "spike: shift, add", "mac": "MAC: multiply, add"}


def area_table(report: Mapping) -> str:
    """Return its tables: bare lanes, arrays, and whole accelerators."""
    rows = report["rows"]
    parts = ["Bare lanes: the registers of operand and accumulator, and what is between them."]
    parts.append(_area_table(rows, "lane"))
    params = report["array_params"]
    parts.append(
        f"The array of preset {report['array_preset']}, {params['lanes']} lanes of it: with the "
        "accumulators' memory ports, the selection of what is loaded, and the read-out."
    )
    parts.append(_area_table(rows, "array"))
    tops = [row for row in rows if row["block"] == "accelerator"]
    if tops:
        headings = ["accelerator"]
        for what in _OF_TOPS.values():
            headings += [f"{what} before", what]
        parts += [
            "Whole accelerators; *before* is commit c603a20:",
            table(headings, [_of_top(row) for row in tops]),
            *_misfits(tops),
        ]
    if failed := report["failed"]:
        names = (f"{row['preset']}, {row['array']}, {_FAMILIES[row['family']]}" for row in failed)
        parts.append(f"Yosys itself fails on: {'; '.join(names)}.")
    return "\n\n".join(parts)


def _of_top(row: dict) -> list[str]:
    name = f"{row['preset']}, {row['array']}, {_FAMILIES[row['family']]}"
    before = AREA_BEFORE.get((row["preset"], row["array"], row["family"]), ())
    line = [name]
    for what, then in zip_longest(_OF_TOPS, before):
        line += ["" if then is None else f"{then:,}", f"{row[what]:,}"]
    return line


def _misfits(tops: list[dict]) -> Iterable[str]:
    for family, (device, block_rams) in _BLOCK_RAMS.items():
        too_large = [
            f"{row['preset']}, {row['array']}"
            for row in tops
            if row["family"] == family and row["block_rams"] > block_rams
        ]
        if too_large:
            yield (
                f"{device[0].upper()}{device[1:]} has {block_rams} block RAMs: too few, as Yosys "
                f"maps the memories, for {'; '.join(too_large)}."
            )


def _area_table(rows: list[dict], block: str) -> str:
    headings = ["per lane"]
    for family in _FAMILIES.values():
        headings += [f"{family} LUTs", "flip-flops", "DSPs"]
        headings += ["yardstick"] if block == "lane" else ["memory of all lanes"]
    by_circuit: dict[str, dict[str, dict]] = {}
    for row in rows:
        if row["block"] != block:
            continue
        multiplier = "" if row["array"] != "mac" else ", DSPs" if row["dsps_allowed"] else ", LUTs"
        tokens = f" x{row['tokens']}" if "tokens" in row else ""
        name = f"{_KINDS[row['array']]}{multiplier}, {row['widths']}{tokens}"
        by_circuit.setdefault(name, {})[row["family"]] = row
    lines = []
    for name, by_family in by_circuit.items():
        line = [name]
        for family in _FAMILIES:
            row = by_family[family]
            line += [f"{row[what] / row['lanes']:.1f}" for what in ("luts", "flip_flops")]
            line.append(f"{row['dsps'] / row['lanes']:g}")
            if block != "lane":
                line.append(f"{row['block_rams']} block RAMs, {row['ram_luts']:,} LUTs")
            elif row["array"] == "adder":
                line.append(f"{_YARDSTICKS[row['widths'], family]}")
            else:
                line.append("")
        lines.append(line)
    return table(headings, lines)
