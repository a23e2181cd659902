"""Reports of benches as Markdown, for pages of docs/ and for the terminal."""

from collections.abc import Iterable

from bench.arrays import HARDWARE
from bench.markdown import markdown
from bench.profile_table import profile_table
from bench.roofline import ALL
from bench.sim_speed import LOOP

__all__ = ["TABLES"]

Report = dict[str, object]

# LUTs of a bare ternary-spike adder lane, as synthesized for the project's plan by other means.
_YARDSTICKS = {
    ("W8/A20", "xc7"): 20.1,
    ("W8/A20", "ecp5"): 28.1,
    ("W4/A16", "xc7"): 16.1,
    ("W4/A16", "ecp5"): 20.1,
}
_BLOCK_RAMS = {"ecp5": ("an ECP5-85F", 208)}  # of the device that the preset edge is for
_FAMILIES = {"ecp5": "ECP5", "xc7": "Xilinx 7"}
_KINDS = {"adder": "ternary adder", "spike": "spike: shift, add", "mac": "MAC: multiply, add"}


def _roofline(report: Report) -> str:
    rows = report["rows"]
    every = next(row for row in rows if row["name"] == ALL)
    head = (
        f"{report['model']}, preset {report['preset']}, recipe {report['recipe']}, "
        f'{report["coding"]}, one token (the last of "{report["prompt"]}"), memory latency '
        f"{report['latency']} cycles, {report['head_rows']:,} rows of the head by itself. "
        f"Every linear layer and the head in one program: **{every['cycles']:,} cycles, "
        f"{every['cycles_to_touched']:.4f} of what the touched bytes need, "
        f"{every['cycles_to_dense']:.3f} of what the dense bytes would need**."
    )
    parts = [head]
    for activations, title in (
        ("prompt", "Activations of the prompt:"),
        ("dense", "No channel silent (random counts from 1 to the largest, seed {seed}):"),
    ):
        table = markdown(
            (
                "layer",
                "silent of all channels",
                "cycles",
                "touched bytes need",
                "ratio",
                "dense bytes need",
                "ratio",
            ),
            [
                (
                    row["name"],
                    _share(row["silent_channels"], row["silent_channels"] + row["events"]),
                    f"{row['cycles']:,}",
                    f"{row['touched_cycles']:,}",
                    f"{row['cycles_to_touched']:.4f}",
                    f"{row['dense_cycles']:,}",
                    f"{row['cycles_to_dense']:.4f}",
                )
                for row in rows
                if row["activations"] == activations
            ],
        )
        parts += [title.format(**report), table]
    return "\n\n".join(parts)


def _tokens(report: Report) -> str:
    head = (
        f"{report['model']}, preset {report['preset']}, {report['coding']}, memory latency "
        f"{report['latency']} cycles."
    )
    table = markdown(
        (
            "recipe, position",
            "silent of all channels",
            "cycles",
            "touched bytes need",
            "ratio",
            "weights, keys, values alone",
            "ratio",
            "vector unit",
            "encoding",
        ),
        [
            (
                f"{row['recipe']}, {row['position']:,}",
                _share(row["silent_channels"], row["silent_channels"] + row["events"]),
                f"{row['cycles']:,}",
                f"{row['touched_cycles']:,}",
                f"{row['cycles_to_touched']:.4f}",
                f"{row['weight_cycles']:,}",
                f"{row['cycles'] / row['weight_cycles']:.4f}",
                f"{row['vector_cycles']:,}",
                f"{row['encode_cycles']:,}",
            )
            for row in report["rows"]
        ],
    )
    return f"{head}\n\n{table}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _arrays(report: Report) -> str:
    by_plan: dict[tuple, dict[str, dict]] = {}
    for row in report["rows"]:
        plan = (row["layer"], row["weight_width"], row["tokens"])
        by_plan.setdefault(plan, {})[row["hardware"]] = row
    names = [name for name in HARDWARE if name in next(iter(by_plan.values()))]
    word_bytes = report["params"]["axi_data_width"] // 8
    cycles = markdown(
        ("layer, bits, tokens", "touched bytes need", *(f"cycles, {name}" for name in names)),
        [
            (
                "{} W{} x{}".format(*plan),
                f"{rows[names[0]]['dram_bytes_read'] // word_bytes:,}",
                *(f"{rows[name]['cycles']:,}" for name in names),
            )
            for plan, rows in by_plan.items()
        ],
    )
    work = markdown(
        (
            "layer, bits, tokens",
            "additions",
            "multiplications",
            "additions a multiplication",
            "spike array busy",
            "MAC array busy",
        ),
        [
            (
                "{} W{} x{}".format(*plan),
                f"{spike['synaptic_operations']:,}",
                f"{mac['synaptic_operations']:,}",
                f"{spike['synaptic_operations'] / mac['synaptic_operations']:.2f}",
                _share(spike["array_cycles"], spike["cycles"]),
                _share(mac["array_cycles"], mac["cycles"]),
            )
            for plan, rows in by_plan.items()
            for spike, mac in [(rows["spike"], rows["mac"])]
        ],
    )
    head = (
        f"{report['model']}, preset {report['preset']}, {report['coding']}, last tokens of "
        f'"{report["prompt"]}", memory latency {report["latency"]} cycles. Every run gave the '
        "same bits on every accelerator."
    )
    return "\n\n".join((head, cycles, work))


def _area(report: Report) -> str:
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
        headings = ("accelerator", "LUTs", "flip-flops", "DSPs", "block RAMs", "LUTs as RAM")
        parts += [
            "Whole accelerators:",
            markdown(
                headings,
                [
                    (
                        f"{row['preset']}, {row['array']}, {_FAMILIES[row['family']]}",
                        *(
                            f"{row[what]:,}"
                            for what in ("luts", "flip_flops", "dsps", "block_rams", "ram_luts")
                        ),
                    )
                    for row in tops
                ],
            ),
            *_misfits(tops),
        ]
    if failed := report["failed"]:
        names = (f"{row['preset']}, {row['array']}, {_FAMILIES[row['family']]}" for row in failed)
        parts.append(f"Yosys itself fails on: {'; '.join(names)}.")
    return "\n\n".join(parts)


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
    return markdown(headings, lines)


def _sim_speed(report: Report) -> str:
    loops = {row["preset"]: row for row in report["rows"] if row["simulator"] == LOOP}
    machine = report["machine"]
    head = (
        f"{report['model']} {report['layer']}, one token; {machine['cores']} cores "
        f"({machine['processor']}), load {machine['load']} at the start; the fastest of "
        f"{report['repeats']} runs, recording: of one. Builds are without any cache, and include "
        "the emission of the Verilog: "
        + ", ".join(f"{name} {s:.1f} s" for name, s in report["emission_seconds"].items())
        + "."
    )
    table = markdown(
        ("preset, simulator", "cycles", "cycles a second", "of the loop's", "build"),
        [
            (
                f"{row['preset']}, {row['simulator']}",
                f"{row['cycles']:,}",
                f"{row['cycles_per_second']:,.0f}",
                f"{row['cycles_per_second'] / loops[row['preset']]['cycles_per_second']:.2f}",
                "the same" if row["build_seconds"] is None else f"{row['build_seconds']:.0f} s",
            )
            for row in report["rows"]
        ],
    )
    return f"{head}\n\n{table}"


def _stream(report: Report) -> str:
    runs = {"cp -r": report["copy"]}
    runs |= {f"compiler, {name}": run for name, run in report["recipes"].items()}
    rows = []
    for name, run in runs.items():
        memory = "" if name == "cp -r" else f"{run['peak_rss_bytes'] / 2**30:.2f} GiB"
        rows.append(
            (
                name,
                f"{run['seconds']:.0f}",
                f"{run['megabytes_per_second']:.0f}",
                f"{run['cpu_seconds']:.0f}",
                f"{run['cores_busy']:.2f}",
                memory,
            )
        )
    table = markdown(
        ("command", "seconds", "MB/s of checkpoint", "CPU seconds", "cores busy", "peak RSS"), rows
    )
    resumed = report["resumed"]
    return (
        f"{report['shape']} shape, {report['checkpoint_bytes'] / 1e9:.1f} GB in bfloat16, "
        f"{report['weights']}; load of the machine before: {report['machine']['load']}.\n\n{table}"
        f"\n\nKilled after {resumed['killed_after_matrices']} matrices, the same command takes "
        f"{resumed['seconds']:.0f} s more, and every file has the bytes of an undisturbed build."
    )


def _front(report: Report) -> str:
    head = (
        f"{report['model']}; perplexity over fp32 on {report['tokens']:,} tokens of "
        f"{report['text']}, at the share of weight bytes not fetched."
    )
    curves = report["curves"]
    columns = max(map(len, curves.values()))
    table = markdown(
        ("what was done to the model", *[""] * columns),
        [
            (title, *(f"{p['ratio']:.4f} at {_share(p['skipped'], 1)}" for p in points))
            for title, points in curves.items()
        ],
    )
    return f"{head}\n\n{table}"


TABLES = {
    "roofline": _roofline,
    "tokens": _tokens,
    "profile": profile_table,
    "front": _front,
    "arrays": _arrays,
    "area": _area,
    "sim_speed": _sim_speed,
    "stream": _stream,
}
"""By bench, what makes Markdown of its report."""
