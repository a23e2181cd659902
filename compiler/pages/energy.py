"""docs/energy.md: the ledger of each model, the paper's joules, and the constants."""

from collections.abc import Iterable

from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS
from compiler.energy.paper import paper_report
from compiler.energy.report import energy_report
from compiler.models.known import KNOWN_MODELS
from compiler.pages.markdown import HEAD, MODELS, POSITION, PROMPT, table, wrapped
from compiler.report.style import number
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset

__all__ = ["energy_page"]


_ABOUT_ENERGY = (
    "Joules are counts times published constants (`compiler/energy/constants.toml`), not "
    "measurements: `python -m compiler energy MODEL --json` lists each count, constant and "
    "source. Additions, bytes of weights and of vectors are held against the simulators' counters "
    "by tests; what a batch of tokens or of heads shares is estimated as if they fired "
    "independently. How LLaMA-2-7B fires is not measured but borrowed from SmolLM2-135M; with "
    "`--profile FILE`, recorded by `python -m golden profile`, the figures rest on how a trained "
    "checkpoint was measured to fire, in the mean of a text. Not counted, for any design: clock, "
    "control, wires, leakage, refresh, registers inside a processing element, and the shifter of "
    "a spike array."
)
_ABOUT_PAPER = (
    "The paper's figures (arXiv 2604.16475, LLaMA-2-7B, {prompt:,} tokens) are arithmetic alone: "
    "{macs:.4g} multiply-accumulates at 4.6 pJ, an eighth of it for W4A4, and an eighth of 0.9 pJ "
    "for each of 0.862 spikes a value (inferred from its 0.67 J). SpikeLLM's is 7 times SDLLM's. "
    "Below, the same with what DDR4 or HBM2 takes for weights and cache, fetched once for so many "
    "tokens. Silence is not published; SpikingBrain-7B's 18.4 % is taken. Joules, and times "
    "SDLLM's:"
)


def energy_page() -> str:
    """Return the page."""
    params, recipe = preset("datacenter"), load_recipe("w4")
    config = KNOWN_MODELS["sdllm-7b"].config
    paper = paper_report(config, recipe, params)
    parts = [
        "# Energy",
        HEAD,
        _ABOUT_ENERGY,
        "## The paper's joules",
        _ABOUT_PAPER.format(prompt=PROMPT, macs=paper["macs"]),
        *_paper_tables(paper),
        _paper_words(paper),
        "## The ledger",
    ]
    for model, name in (*MODELS, ("sdllm-7b", "w8")):
        hardware = preset(KNOWN_MODELS[model].preset)
        report = energy_report(
            KNOWN_MODELS[model].config, load_recipe(name), hardware, POSITION, PROMPT
        )
        parts += _ledger(report, KNOWN_MODELS[model].preset)
    parts += [
        "## Constants",
        table(
            ("constant", "pJ", "low", "high", "of", "source"),
            [
                (
                    c.name,
                    c.typical,
                    c.low,
                    c.high,
                    c.unit,
                    c.source + (" **(estimate)**" if c.estimate else ""),
                )
                for c in constants().values()
            ],
        ),
    ]
    return wrapped("\n\n".join(parts) + "\n")


def _paper_tables(paper: dict) -> Iterable[str]:
    rows = paper["methods"]
    keys = [key for key in rows[0] if key not in ("method",)]
    least = rows[-1]
    names = {"arithmetic": "the paper's: arithmetic, prompt"}
    for key in keys[1:]:
        phase, dram, *batch = key.split()
        memory = dram.removeprefix("dram_").upper()
        shared = f", weights once for {int(batch[0]):,} tokens" if batch else ", a token"
        names[key] = f"{phase}{shared}, {memory}"
    yield table(
        ("", *(row["method"] for row in rows)),
        [
            (
                names[key],
                *(f"{number(row[key])} ({row[key] / least[key]:.2f} x)" for row in rows),
            )
            for key in keys
        ],
    )


def _paper_words(paper: dict) -> str:
    by_name = {row["method"]: row for row in paper["methods"]}
    spiking, other = by_name["SDLLM"], by_name["SpikeLLM"]
    once, decode = f"prompt dram_ddr4 {PROMPT}", "decode dram_ddr4"
    return (
        f"So of the 7 times, {other[once] / spiking[once]:.2f} remain in a prompt if every weight "
        f"is fetched once for all its tokens, and {other[decode] / spiking[decode]:.2f} in "
        "decoding: there all that is left is what silent channels save. On-chip memory, counted "
        "below, takes from it once more: sums that lie in memory cost more than all additions."
    )


def _ledger(report: dict, hardware: str) -> Iterable[str]:
    rows = [row for row in report["designs"] if row["firing"] == "assumed"]
    (alternative,) = (row for row in report["designs"] if row["firing"] == "published")
    unit = 1e3
    yield f"### {report['model']}, {report['recipe']}, preset {hardware}, DDR4"
    yield (
        f"Decoding at position {report['position']:,}, millijoules a token. Firing: "
        f"{report['firing']}. The dense arrays are a best case, their sums in registers."
    )
    yield table(
        ("", *GROUPS, "all"),
        [
            (
                row["design"],
                *(number(unit * row["groups"][group]) for group in GROUPS),
                f"**{number(unit * row['joules'])}**",
            )
            for row in rows
        ],
    )
    yield (
        f"With {alternative['design'].partition(', ')[2]} spikes as published (0.862 a value, "
        f"18.4 % silent): {number(unit * alternative['joules'])}. The total by the constants, and "
        "in a prompt, without the head, by the tokens that share what is fetched (more than the "
        "array's rows: no such hardware exists):"
    )
    yield table(
        (
            "",
            *rows[0]["range"],
            *(f"prompt, {int(batch):,} share" for batch in rows[0]["prompt_joules_per_token"]),
        ),
        [
            (
                row["design"],
                *(number(unit * value) for value in row["range"].values()),
                *(number(unit * value) for value in row["prompt_joules_per_token"].values()),
            )
            for row in rows
        ],
    )
    total = {row["design"]: row["joules"] for row in rows}
    csd = total["spike array, csd"]
    others = ", ".join(
        f"{name} {value / csd:.2f}" for name, value in total.items() if not name.startswith("spike")
    )
    yield f"In decoding, times the spike array's (csd): {others}."
