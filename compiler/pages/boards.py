"""docs/boards.md: what the picker chooses for each board, and what it would do there."""

import re
from collections.abc import Iterable

from compiler.boards.area import CELLS, left_out_error, points
from compiler.boards.board import boards
from compiler.boards.fit import ROUTABLE
from compiler.boards.report import boards_report, predicted_cycles
from compiler.models.known import KNOWN_MODELS
from compiler.pages.markdown import DOCS, HEAD, MODELS, POSITION, PROMPT, table, wrapped
from compiler.report.style import number
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset

__all__ = ["boards_page"]

_ABOUT_BOARDS = (
    "What the picker (`python -m compiler boards MODEL`, `--board NAME` for one) chooses for each "
    "board, and what it would do there; `python -m compiler build MODEL --board NAME` builds for "
    "it: one core, within the board's memory, predicted at its clock (report.html, *On the "
    "board*).\n\n"
    "**Nothing on this page has run on an FPGA.** Cells are from a model of Yosys' figures, of "
    "LUTs at most {routable:.0%} are used (an estimate), and clocks are assumptions but for "
    "those of both ECP5 boards. Firing is "
    "borrowed from SmolLM2-135M; with `--profile FILE`, recorded by `python -m golden profile`, "
    "it is as measured of the checkpoint. More than one core is a projection: there is no such "
    "top yet. Versal and UltraScale+ are taken as if they were Xilinx 7. Energy is the ledger's "
    "(45 nm silicon with the board's memory), not an FPGA's.\n\n"
    "The bottleneck (*limited by*) is the unit that is busy longest:\n\n"
    "- the memory port, a word a cycle in each core;\n"
    "- DRAM, behind all ports;\n"
    "- the array;\n"
    "- the encoder;\n"
    "- the vector unit."
)


def boards_page() -> str:
    """Return the page."""
    parts = [
        "# Boards",
        HEAD,
        _ABOUT_BOARDS.format(routable=ROUTABLE),
    ]
    reports = [
        boards_report(KNOWN_MODELS[model].config, load_recipe(name), POSITION, PROMPT)
        for model, name in MODELS
    ]
    for report in reports:
        parts += _board_tables(report)
    parts += ["## Whether `edge` fits", *_edge(reports[-1]), "## Predicted against measured"]
    parts += [_measured(), "## The area model", _area(), "## Sources"]
    parts += [_sources()]
    return wrapped("\n\n".join(parts) + "\n")


def _board_tables(report: dict) -> Iterable[str]:
    yield f"## {report['model']}, {report['recipe']}, {report['coding']}"
    yield (
        f"Decoding at position {report['position']:,}; a prompt of {report['prompt']:,} tokens, a "
        "token at a time as programs do now, and at least, were weights fetched once for as many "
        "tokens as the array has rows."
    )
    chosen = [row for row in report["boards"] if "params" in row]
    yield table(
        (
            "board",
            "cores x tokens x lanes x banks",
            "port",
            "all ports, GB/s",
            "DRAM, GB/s",
            "tokens/s",
            "limited by",
            "prompt",
            "batched",
            "J a token",
        ),
        [
            (
                f"{row['board']} (`{row['key']}`)",
                " x ".join(
                    str(value)
                    for value in (
                        row["cores"],
                        *(row["params"][key] for key in ("tokens", "lanes", "banks")),
                    )
                ),
                f"{row['params']['axi_data_width']} bits",
                number(row["port_gigabytes_per_second"]),
                number(row["dram_gigabytes_per_second"]),
                number(row["tokens_per_second"]),
                row["bound"],
                f"{number(row['prompt_seconds'])} s",
                f"{number(row['batched_seconds'])} s",
                number(row["joules_per_token"]),
            )
            for row in chosen
        ],
    )
    yield "\n".join(f"- {row['board']}: {row['reason']}." for row in report["boards"])


def _edge(report: dict) -> Iterable[str]:
    yield "\n".join(
        f"- {row['board']}: {'needs ' + row['edge'] if row['edge'] else 'fits'}."
        for row in report["boards"]
    )


def _measured() -> str:
    model, name = MODELS[0]
    text = (DOCS / "performance.md").read_text()
    rows = []
    for position, cycles in re.findall(r"^\| w8, ([\d,]+) \|[^|]*\| ([\d,]+) \|", text, re.M):
        at, measured = (int(value.replace(",", "")) for value in (position, cycles))
        got = predicted_cycles(KNOWN_MODELS[model].config, load_recipe(name), preset("edge"), at)
        rows.append((position, cycles, f"{got:,.0f}", f"{got / measured - 1:+.1%}"))
    return (
        f"{model}, {name}, `edge`, one word a cycle: cycles in RTL ([performance.md]"
        "(performance.md)) against the prediction, which knows only how the model fires in the "
        "mean of other text. The first token fires unlike all others.\n\n"
        + table(("position", "RTL", "predicted", "error"), rows)
    )


def _area() -> str:
    families = list(dict.fromkeys(point.family for point in points()))
    rows = [
        (family, *(f"{left_out_error(family, cell):.1%}" for cell in CELLS)) for family in families
    ]
    counts = ", ".join(
        f"{family} {sum(p.family == family for p in points())}" for family in families
    )
    return (
        "Accumulators and the queue of beats are counted by the rules by which Yosys maps "
        "memories; the rest is linear in the port's width, `tokens x lanes`, channels and tile, "
        f"fitted to whole accelerators (`compiler/boards/area.json`: {counts} points). The largest "
        "error on a point when the others alone make the model:\n\n"
        + table(("family", *CELLS), rows)
    )


def _sources() -> str:
    rows = []
    for board in boards().values():
        for name, value in board.values.items():
            mark = " **(estimate)**" if value.estimate else ""
            rows.append((board.name, name, f"{value.value:,}", value.source + mark))
    return table(("board", "what", "value", "source"), rows)
