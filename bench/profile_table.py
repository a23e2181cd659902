"""The report of the bench `profile` as Markdown."""

from bench.markdown import markdown

__all__ = ["profile_table"]

_Row = dict[str, int]


def profile_table(report: dict[str, object]) -> str:
    """Return its tables: both recipes at a glance, then each layer."""
    word_bytes = report["params"]["axi_data_width"] // 8
    head = (
        f"{report['model']}, preset {report['preset']}, csd, memory latency {report['latency']} "
        f"cycles. Profiled: the first {report['profiled_tokens']:,} tokens of {report['text']}; "
        f"run: {report['judged']} tokens at position {report['position']} of texts after those, on "
        f"the cycle device, {report['rtl_layers']} layers of the first in RTL, counted alike. "
        "*Run*: neighbouring channels that fire, on kept tokens that the order was not found on. "
        "*Burst*: words of a read burst."
    )
    parts = [head, markdown(_GLANCE, [_glance(found, word_bytes) for found in report["recipes"]])]
    for found in report["recipes"]:
        parts.append(f"{found['recipe']}, the first token:")
        rows = [*_layers(found, word_bytes)]
        parts.append(markdown(_LAYERS, rows))
    return "\n\n".join(parts)


_GLANCE = (
    "recipe",
    "silent values",
    "run, own order",
    "ordered",
    "burst, own order",
    "ordered",
    "bursts of a token, own order",
    "ordered",
    "cycles of a token, own order",
    "ordered",
    "predicted",
)
_LAYERS = (
    "layer",
    "predicted",
    "simulated",
    "difference",
    "own order",
    "burst, own order",
    "ordered",
    "run of down, own order",
    "ordered",
)


def _glance(found: dict, word_bytes: int) -> tuple[object, ...]:
    matrices = [name for name in found["silent"] if not name.endswith(("query", "probabilities"))]
    silent = sum(found["silent"][name] for name in matrices) / len(matrices)
    runs = found["schedule"]["mean_run"].values()
    mean = {key: sum(run[key] for run in runs) / len(runs) for key in ("before", "after")}
    totals = {
        key: {
            name: sum(total[name] for total in found[key]["totals"]) / len(found[key]["totals"])
            for name in ("cycles", "read_bursts", "dram_bytes_read")
        }
        for key in ("own", "ordered")
    }
    return (
        found["recipe"],
        f"{silent:.1%}",
        f"{mean['before']:.2f}",
        f"{mean['after']:.2f}",
        *(f"{_burst(totals[key], word_bytes):.2f}" for key in ("own", "ordered")),
        *(f"{totals[key]['read_bursts']:,.0f}" for key in ("own", "ordered")),
        *(f"{totals[key]['cycles']:,.0f}" for key in ("own", "ordered")),
        f"{sum(found['predicted'].values()):,}",
    )


def _layers(found: dict, word_bytes: int):
    own, ordered = found["own"], found["ordered"]
    rows = zip([*own["layers"], own["head"]], [*ordered["layers"], ordered["head"]], strict=True)
    for (name, predicted), (before, after) in zip(found["predicted"].items(), rows, strict=True):
        run = found["schedule"]["mean_run"].get(f"{name}.down")
        yield (
            name,
            f"{predicted:,}",
            f"{after['cycles']:,}",
            f"{predicted / after['cycles'] - 1:+.1%}",
            f"{before['cycles']:,}",
            f"{_burst(before, word_bytes):.2f}",
            f"{_burst(after, word_bytes):.2f}",
            *((f"{run['before']:.2f}", f"{run['after']:.2f}") if run else ("", "")),
        )


def _burst(counters: _Row, word_bytes: int) -> float:
    return counters["dram_bytes_read"] / word_bytes / counters["read_bursts"]
