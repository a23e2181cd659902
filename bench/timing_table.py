"""The report of the bench timing as Markdown."""

from collections.abc import Mapping

from bench.timing_before import BEFORE
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
    if report["failed"]:
        parts.append("Not placed or not routed:")
        parts += [f"- {row['preset']}, {row['block']}: {row['error']}" for row in report["failed"]]
    return "\n\n".join(parts)


def _cells(rows: list[dict]) -> str:
    before = BEFORE if {row["preset"] for row in rows} == {"test"} else {}
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
    xilinx = all("xilinx" in row for row in rows)
    if xilinx:
        headings += ["Xilinx LUTs", "DSPs", "levels"]
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
                *(
                    (f"{row['xilinx'][name]:,}" for name in ("luts", "dsps", "levels"))
                    if xilinx
                    else ()
                ),
            )
            for row in rows
        ],
    )


def _paths(rows: list[dict]) -> str:
    return "\n".join(f"- {row['block']}: {_path(row['path'])}" for row in rows)


def _path(path: list[dict]) -> str:
    steps = []
    for step in path:
        source = f" ({step['source']})" if step["source"] else ""
        steps.append(f"`{step['signal']}`{source} {step['ns']} ns")
    return " → ".join(steps)
