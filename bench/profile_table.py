"""The report of the bench `profile` as Markdown."""

from collections.abc import Mapping
from typing import Any

from compiler.pages.markdown import table

__all__ = ["profile_table"]

_Row = Mapping[str, float]


def profile_table(report: dict[str, Any]) -> str:
    """Return its tables: both recipes at a glance, then each layer."""
    word_bytes = report["params"]["axi_data_width"] // 8
    head = (
        f"{report['model']}, preset {report['preset']}, csd, memory latency {report['latency']} "
        f"cycles. Profiled: the first {report['profiled_tokens']:,} tokens of {report['text']}; "
        f"run: {report['judged']} tokens at position {report['position']} of texts after those, on "
        f"the cycle device, {report['rtl_layers']} layers of the first in RTL, counted alike. "
        "*Burst*: words of a read burst."
    )
    parts = [head, table(_GLANCE, [_glance(found, word_bytes) for found in report["recipes"]])]
    for found in report["recipes"]:
        parts.append(f"{found['recipe']}, the first token:")
        rows = [*_layers(found, word_bytes)]
        parts.append(table(_LAYERS, rows))
    return "\n\n".join(parts)


_GLANCE = (
    "recipe",
    "silent values",
    "burst",
    "bursts of a token",
    "cycles of a token",
    "predicted",
)
_LAYERS = (
    "layer",
    "predicted",
    "simulated",
    "difference",
    "burst",
)


def _glance(found: dict, word_bytes: int) -> tuple[object, ...]:
    matrices = [name for name in found["silent"] if not name.endswith(("query", "probabilities"))]
    silent = sum(found["silent"][name] for name in matrices) / len(matrices)
    of_tokens = found["simulated"]["totals"]
    total = {
        name: sum(counted[name] for counted in of_tokens) / len(of_tokens)
        for name in ("cycles", "read_bursts", "dram_bytes_read")
    }
    return (
        found["recipe"],
        f"{silent:.1%}",
        f"{_burst(total, word_bytes):.2f}",
        f"{total['read_bursts']:,.0f}",
        f"{total['cycles']:,.0f}",
        f"{sum(found['predicted'].values()):,}",
    )


def _layers(found: dict, word_bytes: int):
    simulated = found["simulated"]
    rows = [*simulated["layers"], simulated["head"]]
    for (name, predicted), row in zip(found["predicted"].items(), rows, strict=True):
        yield (
            name,
            f"{predicted:,}",
            f"{row['cycles']:,}",
            f"{predicted / row['cycles'] - 1:+.1%}",
            f"{_burst(row, word_bytes):.2f}",
        )


def _burst(counters: _Row, word_bytes: int) -> float:
    return counters["dram_bytes_read"] / word_bytes / counters["read_bursts"]
