"""What the commands print of a compiled model."""

import argparse
import json
import textwrap
from pathlib import Path

from compiler.artifact.program import Compiled
from compiler.predict.balance import balance, findings
from compiler.predict.measured import told
from compiler.report.style import number
from golden.console.tables import print_lines, print_table

__all__ = ["summarize", "summarize_prediction"]


def summarize(
    compiled: Compiled,
    options: argparse.Namespace,
    seconds: float,
    board: dict | None = None,
    advice: bool = True,
) -> None:
    """Print what a directory holds, as tables or as JSON.

    `board` is its report's, if any; with `advice` tables end with what is out of balance.
    """
    found = balance(compiled, board["words_a_cycle"] if board else 1.0)
    manifest = compiled.manifest
    matrices = [step for step in manifest["operations"] if step["operation"] == "MATMUL"]
    if options.json:
        keys = ("layers", "coding", "fingerprint", "tokens", "memory_bytes", "weights")
        keys += ("context",) if compiled.is_model else ()
        measured = manifest.get("schedule", {})
        report = {
            "directory": str(compiled.directory),
            "model": manifest["model"]["name"],
            "recipe": manifest["recipe"]["name"],
            **{key: manifest[key] for key in keys},
            "matrices": matrices,
            **({"schedule": measured} if measured else {}),
            "balance": [entry.as_dict() for entry in found],
            **({"board": board} if board else {}),
            "seconds": round(seconds, 3),
        }
        print(json.dumps(report, indent=1))
        return
    if compiled.is_model:
        matrices = _alike(matrices)
    keys = ("matrix", "channels", "outputs", "weight_width", "tiles", "weight_bytes")
    print_table(
        ("matrix", "K", "N", "bits", "tiles", "weight bytes", "dense cycles, at least"),
        ([step[key] for key in (*keys, "dense_cycles")] for step in matrices),
        title=f"{manifest['model']['name']}: {', '.join(manifest['layers'])}",
    )
    print_lines(
        f"{compiled.directory}: {len(compiled.regions)} regions, {compiled.memory_bytes:,} bytes "
        f"of memory, recipe {manifest['recipe']['name']}, {manifest['coding']}, "
        f"{_extent(compiled)}, {seconds:.1f} s",
        f"hardware {compiled.fingerprint}",
        *(told(manifest["schedule"]) if "schedule" in manifest else ()),
        *(
            textwrap.fill(f"balance: {told_of}", 80, subsequent_indent="  ", break_long_words=False)
            for told_of in (findings(found) if advice else ())
        ),
    )


def _extent(compiled: Compiled) -> str:
    if compiled.is_model:
        return f"{compiled.context:,} positions"
    return f"{compiled.tokens} tokens"


def _alike(matrices: list[dict]) -> list[dict]:
    """Return a model's matrices with those that differ in their layer only as one."""
    shown: dict[tuple, dict] = {}
    for step in matrices:
        layer, _, kind = step["matrix"].rpartition(".")
        key = (kind, step["channels"], step["outputs"], step["weight_width"])
        if key in shown:
            step = {**shown[key], "matrix": f"layers.*.{kind}"}
        shown[key] = step
    return [*shown.values()]


def summarize_prediction(report: dict, directory: Path) -> None:
    """Print how long tokens take, and where the reports are."""
    rows = []
    for token in report["tokens"]:
        share = token["weight_bytes"] / token["dense_weight_bytes"]
        figures = [token[key] for key in ("position", "cycles", "bytes_read", "weight_bytes")]
        rows.append([*figures, f"{share:.1%}"])
    print_table(
        ("position", "cycles", "bytes read", "weights, keys, values", "of the dense"),
        rows,
        title="one token, predicted",
        left=(),
    )
    print_lines(
        *([_on_board(report["board"])] if "board" in report else []),
        f"firing: {report['activity_source']}",
        f"KV cache: {report['memory']['kv_cache_bytes']:,} bytes, {report['context']:,} positions",
        f"report: {directory / 'report.html'}, report.json, trace.json",
    )


def _on_board(board: dict) -> str:
    """Return what a report says of its board, in a line."""
    cores = f"{board['cores']} core{'s' * (board['cores'] > 1)}"
    one = f" (this program, on one core: {number(board['one_core_tokens_per_second'])})"
    return (
        f"board: {board['board']} at {board['values']['clock_mhz']['value']:,} MHz, {cores}: "
        f"{number(board['tokens_per_second'])} tokens/s{one * (board['cores'] > 1)}, limited by "
        f"{board['bound']}; {board['prompt']:,} tokens of a prompt in "
        f"{number(board['prompt_seconds'])} s; {number(board['joules_per_token'])} J a token"
    )
