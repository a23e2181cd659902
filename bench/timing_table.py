"""The report of the bench timing as Markdown."""

from collections.abc import Mapping

from bench.before import BEFORE, XILINX_BEFORE
from compiler.pages.markdown import table

__all__ = ["timing_table"]


def timing_table(report: Mapping) -> str:
    """Return a block's frequency, cells and worst path, a table for each preset."""
    tools = ", ".join(f"{name} {version}" for name, version in report["tools"].items())
    seeds = ", ".join(map(str, report["seeds"]))
    parts = [f"{report['device']}; {tools}; placed and routed alone, seeds {seeds}."]
    for preset in dict.fromkeys(row["preset"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["preset"] == preset]
        parts += [f"Parameters of `{preset}`:", _cells(rows), _paths(rows)]
        if all("xilinx" in row for row in rows):
            parts += [f"The same on a Xilinx 7, parameters of `{preset}`:", _xilinx(rows)]
    if report["failed"]:
        parts.append("Not placed or not routed:")
        parts += [f"- {row['preset']}, {row['block']}: {row['error']}" for row in report["failed"]]
    return "\n\n".join(parts)


def _cells(rows: list[dict]) -> str:
    before = BEFORE if _of_test(rows) else {}
    headings = [
        "block",
        *(["MHz before"] if before else []),
        "MHz",
        "LUT4",
        "CCU2C",
        "flip-flops",
        "block RAMs",
        "DSPs",
    ]
    names = ("lut4", "ccu2c", "flip_flops", "block_rams", "dsps")
    return table(
        headings,
        [
            (
                row["block"],
                *(
                    [f"{before[row['block']]:.1f}" if row["block"] in before else ""]
                    if before
                    else ()
                ),
                " / ".join(f"{mhz:.1f}" for mhz in row["mhz"].values()),
                *(f"{row[name]:,}" for name in names),
            )
            for row in rows
        ],
    )


def _xilinx(rows: list[dict]) -> str:
    """Return cells and levels on a Xilinx 7, each before and now."""
    before = XILINX_BEFORE if _of_test(rows) else {}
    names = ("luts", "dsps", "levels")
    headings = ["block"]
    for what in ("LUTs", "DSPs", "levels"):
        headings += [f"{what} before", what] if before else [what]
    found = []
    for row in rows:
        cells = [row["block"]]
        for index, name in enumerate(names):
            if before:
                then = before.get(row["block"])
                cells.append(f"{then[index]:,}" if then else "")
            cells.append(f"{row['xilinx'][name]:,}")
        found.append(cells)
    return table(headings, found)


def _of_test(rows: list[dict]) -> bool:
    return {row["preset"] for row in rows} == {"test"}


def _paths(rows: list[dict]) -> str:
    return "\n".join(f"- {row['block']}: {_path(row['path'])}" for row in rows)


def _path(path: list[dict]) -> str:
    steps = []
    for step in path:
        source = f" ({step['source']})" if step["source"] else ""
        steps.append(f"`{step['signal']}`{source} {step['ns']} ns")
    return " → ".join(steps)
