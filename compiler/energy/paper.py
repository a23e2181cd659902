"""The paper's joules (arXiv 2604.16475): its own rule, and what is left of it with memory.

Its rule counts arithmetic alone: the multiply-accumulates of all layers' matrices and of attention
over the whole prompt (not causal, without the head), each 4.6 pJ in fp32; an eighth of that for
W4A4; and for spikes an eighth of an fp32 addition, 0.9 pJ, times the spikes a value.
"""

from dataclasses import dataclass

from compiler.energy.constants import constants
from compiler.predict.activity import published
from compiler.predict.counts import count
from compiler.predict.workload import products
from golden.checkpoint.config import ModelConfig
from golden.recipe.recipe import Recipe
from hw.contract.params import HwParams

__all__ = ["PROMPT", "Method", "macs", "memory_joules", "methods", "paper_report"]

PROMPT = 1024
"""Tokens of the paper's prompt."""
SPIKELLM_RATIO = 7.0
"""SpikeLLM's energy over SDLLM's, by the paper's abstract."""

_EIGHTH = 8  # of fp32's energy, for 4-bit weights and activations


@dataclass(frozen=True, kw_only=True)
class Method:
    """One row of the paper's comparison.

    Attributes
    ----------
    name : str
        Of the method.
    joules : float
        Of arithmetic, for the prompt, by the paper's rule.
    weight_width : int
        Bits of a weight.
    cache_width : int
        Bits of a key's or value's element.
    skips : bool
        Whether silent channels are not fetched.
    """

    name: str
    joules: float
    weight_width: int
    cache_width: int
    skips: bool = False


def macs(config: ModelConfig, recipe: Recipe, prompt: int = PROMPT) -> int:
    """Return the multiply-accumulates of a prompt as the paper counts them."""
    found = products(config, recipe, published(), prompt - 1)  # the last token sees all
    return prompt * sum(product.macs for product in found if product.name != "lm_head")


def methods(config: ModelConfig, recipe: Recipe, prompt: int = PROMPT) -> list[Method]:
    """Return the paper's methods with their joules for a prompt."""
    number, known = macs(config, recipe, prompt), constants()
    spikes = published()(None, "head").spikes["unary"]
    dense = number * known["fp32_mac"].typical * 1e-12
    spiking = number * known["fp32_add"].typical * 1e-12 / _EIGHTH * spikes
    return [
        Method(name="FP16", joules=dense, weight_width=16, cache_width=16),
        Method(name="W4A4", joules=dense / _EIGHTH, weight_width=4, cache_width=8),
        Method(name="SpikeLLM", joules=SPIKELLM_RATIO * spiking, weight_width=4, cache_width=8),
        Method(name="SDLLM", joules=spiking, weight_width=4, cache_width=8, skips=True),
    ]


def memory_joules(
    method: Method,
    config: ModelConfig,
    recipe: Recipe,
    params: HwParams,
    position: int,
    batch: int,
    dram: str = "dram_ddr4",
    level: str = "typical",
) -> float:
    """Return what DRAM takes for one token's weights and cache, which the rule leaves out.

    Parameters
    ----------
    method : Method
        Whose widths; where it skips, channels that are silent for all tokens of the batch.
    config, recipe, params
        The model; what its products are counted with.
    position : int
        Tokens before this one.
    batch : int
        Tokens that share what is fetched.
    dram, level : str
        The constant of the memory, and which of its values.
    """
    found = [p for p in products(config, recipe, published(), position) if p.name != "lm_head"]
    counts = count(config, found, params, "unary", position, batch)
    silent = published()(None, "head").silent ** batch if method.skips else 0.0
    bits = method.weight_width * counts.weight_elements + method.cache_width * counts.cache_elements
    return (1 - silent) * bits * getattr(constants()[dram], level) * 1e-12


def paper_report(config: ModelConfig, recipe: Recipe, params: HwParams) -> dict[str, object]:
    """Return the paper's joules for its prompt, and with weights and cache in DRAM."""
    rows = []
    middle = (PROMPT - 1) // 2
    for method in methods(config, recipe):
        row: dict[str, object] = {"method": method.name, "arithmetic": method.joules}
        for dram in ("dram_ddr4", "dram_hbm2"):
            for batch in (PROMPT, 64, params.tokens):
                more = memory_joules(method, config, recipe, params, middle, batch, dram)
                row[f"prompt {dram} {batch}"] = method.joules + PROMPT * more
            more = memory_joules(method, config, recipe, params, PROMPT - 1, 1, dram)
            row[f"decode {dram}"] = method.joules / PROMPT + more
        rows.append(row)
    return {"model": config.name, "macs": macs(config, recipe), "prompt": PROMPT, "methods": rows}
