"""Reports of benches as Markdown, for pages of docs/ and for the terminal."""

from typing import Any

from bench.area_table import area_table
from bench.arrays import HARDWARE
from bench.dram import dram_table
from bench.profile_table import profile_table
from bench.roofline import ALL
from bench.sim_speed import LOOP
from bench.timing_table import timing_table
from compiler.pages.markdown import table

__all__ = ["TABLES"]

Report = dict[str, Any]


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
        found = table(
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
        parts += [title.format(**report), found]
    return "\n\n".join(parts)


def _tokens(report: Report) -> str:
    head = (
        f"{report['model']}, preset {report['preset']}, {report['coding']}, memory latency "
        f"{report['latency']} cycles."
    )
    found = table(
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
    return f"{head}\n\n{found}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _arrays(report: Report) -> str:
    by_plan: dict[tuple, dict[str, dict]] = {}
    for row in report["rows"]:
        plan = (row["layer"], row["weight_width"], row["tokens"])
        by_plan.setdefault(plan, {})[row["hardware"]] = row
    names = [name for name in HARDWARE if name in next(iter(by_plan.values()))]
    word_bytes = report["params"]["axi_data_width"] // 8
    cycles = table(
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
    work = table(
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
    found = table(
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
    return f"{head}\n\n{found}"


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
    found = table(
        ("command", "seconds", "MB/s of checkpoint", "CPU seconds", "cores busy", "peak RSS"), rows
    )
    resumed = report["resumed"]
    return (
        f"{report['shape']} shape, {report['checkpoint_bytes'] / 1e9:.1f} GB in bfloat16, "
        f"{report['weights']}; load of the machine before: {report['machine']['load']}.\n\n{found}"
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
    found = table(
        ("what was done to the model", *[""] * columns),
        [
            (title, *(f"{p['ratio']:.4f} at {_share(p['skipped'], 1)}" for p in points))
            for title, points in curves.items()
        ],
    )
    return f"{head}\n\n{found}"


TABLES = {
    "roofline": _roofline,
    "tokens": _tokens,
    "profile": profile_table,
    "front": _front,
    "arrays": _arrays,
    "area": area_table,
    "timing": timing_table,
    "dram": dram_table,
    "sim_speed": _sim_speed,
    "stream": _stream,
}
"""By bench, what makes Markdown of its report."""
