"""The spike-driven strategy, end to end, against its sections computed one value at a time."""

import math

import numpy as np
import pytest
import torch

from golden.checkpoint.checkpoint import load
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import tensor_shapes
from golden.model.llama import Model
from golden.model.spiking import SpikingLinear
from golden.numerics.accumulation import accumulate_spikes
from golden.numerics.codings import encode, time_steps_for
from golden.numerics.fixed import to_fixed
from golden.recipe.recipe import Recipe, RecipeError, load_recipe
from golden.recipe.settings import SiteSettings

CONFIG = ModelConfig(
    name="small",
    vocab_size=40,
    hidden_size=16,
    ffn_size=24,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=4,
    max_positions=32,
    norm_eps=1e-5,
    rope_theta=1e4,
    rope_interleaved=False,
    qkv_bias=True,
)


def tensors(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = tensor_shapes(CONFIG).items()
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes}


def recipe(**settings) -> Recipe:
    return Recipe("test", SiteSettings(**settings), {}, {})


def value_by_value(x, codes, mantissa, exponent, bias, max_count):
    """Sections 1, 2, 5 and 6 for one token by absmax, in Python integers."""
    # Half away from zero; round() would take halves to even.
    lsb = [int(math.copysign(int(abs(float(value)) * 65536 + 0.5), value)) for value in x]
    v = max(1 << 24, max(map(abs, lsb)) * 256 * (1 << 16) // max_count)
    counts = [
        min(max_count, (abs(value) * (1 << 25) + v) // (2 * v)) * (1 if value > 0 else -1)
        for value in lsb
    ]
    e = v.bit_length() - 16
    y = []
    for row, m, ex, b in zip(codes, mantissa, exponent, bias, strict=True):
        p = sum(n * c for n, c in zip(counts, row, strict=True)) * (v >> e) * m
        sh = 24 + ex - e
        r = (abs(p) + (1 << sh - 1) >> sh) * (1 if p > 0 else -1)
        y.append(max(-(1 << 31), min((1 << 31) - 1, r + b)))
    return counts, v, y


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("max_count", [127, 7])
def test_a_matrix_is_its_sections_one_after_another(bits, max_count, seed):
    weights = tensors(seed)
    linear = SpikingLinear(
        CONFIG, weights.__getitem__, recipe(weight_bits=bits, max_count=max_count)
    )
    x = torch.randn(6, 16, generator=torch.Generator().manual_seed(seed + 1))
    matrix = linear.matrix("layers.1.k")
    encoded = matrix.encode(to_fixed(x))
    y = matrix.requantize(matrix.accumulate(encoded), encoded)
    bias = to_fixed(weights["layers.1.k_bias"]).tolist()
    w = matrix.weight
    for m, token in enumerate(x):
        counts, v, want = value_by_value(
            token, w.codes.tolist(), w.mantissa.tolist(), w.exponent.tolist(), bias, max_count
        )
        assert encoded.counts[m].tolist() == counts
        assert encoded.v[m] == v
        assert y[m].tolist() == want
    assert torch.equal(matrix.apply(encoded), y)
    assert torch.equal(linear("layers.1.qkv", "layers.1.k", x), (y.double() / 65536).float())


def test_outputs_come_near_the_float_product(seed):
    weights = tensors(seed)
    linear = SpikingLinear(CONFIG, weights.__getitem__, recipe())
    x = torch.randn(8, 24, generator=torch.Generator().manual_seed(seed + 1))
    want = x @ weights["layers.0.down"].T
    got = linear("layers.0.down", "layers.0.down", x)
    assert (got - want).norm() < 0.02 * want.norm()


@pytest.mark.parametrize("coding", ["unary", "bitwise", "csd", "binary"])
def test_spike_trains_lead_to_the_same_accumulators(coding, seed):
    linear = SpikingLinear(CONFIG, tensors(seed).__getitem__, recipe())
    matrix = linear.matrix("layers.0.gate")
    x = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed + 1))
    encoded = matrix.encode(to_fixed(x))
    spikes = encode(encoded.counts, coding, time_steps_for(127, coding))
    added = accumulate_spikes(spikes, matrix.weight.codes, coding)
    assert torch.equal(added, matrix.accumulate(encoded))


def test_blocks_of_outputs_make_no_difference(monkeypatch, seed):
    linear = SpikingLinear(CONFIG, tensors(seed).__getitem__, recipe())
    matrix = linear.matrix("layers.0.q")
    encoded = matrix.encode(to_fixed(torch.randn(5, 16)))
    whole = matrix.apply(encoded)
    monkeypatch.setattr("golden.model.spiking._BLOCK_ELEMENTS", 15)  # 3 outputs of 5 tokens
    assert torch.equal(matrix.apply(encoded), whole)


class Checkpoint:
    """As much of a checkpoint as a model asks for."""

    def __init__(self, seed: int) -> None:
        self.config, self._tensors = CONFIG, tensors(seed)

    def tensor(self, name: str) -> torch.Tensor:
        return self._tensors[name]


def test_a_model_encodes_each_site_once_and_in_order(seed):
    checkpoint, seen = Checkpoint(seed), []
    linear = SpikingLinear(
        CONFIG, checkpoint.tensor, recipe(), lambda site, encoded: seen.append(site)
    )
    model = Model(checkpoint, linear)
    logits = model.forward([1, 2, 3])
    sites = [f"layers.{i}.{site}" for i in (0, 1) for site in ("qkv", "o", "gate_up", "down")]
    assert seen == [*sites, "head"]
    assert torch.equal(model.forward([1, 2, 3]), logits)
    assert seen == [*sites, "head"] * 2


def test_recipes_reach_their_sites(seed):
    settings = {
        "qkv": SiteSettings(weight_bits=4, clip=0.5),
        "o": SiteSettings(dead_zone=0.5),
        "gate_up": SiteSettings(dead_quantile=0.5),
        "down": SiteSettings(rule="mean", kappa=2.0),
    }
    linear = SpikingLinear(
        CONFIG, tensors(seed).__getitem__, Recipe("test", SiteSettings(), settings, {})
    )
    q, o, gate, down, head = (
        linear.matrix(name)
        for name in ("layers.0.q", "layers.0.o", "layers.0.gate", "layers.1.down", "lm_head")
    )
    assert (q.weight.bits, q.site.multiplier) == (4, 128)
    assert (down.weight.bits, down.site.divisor, down.bias) == (8, 48, None)
    assert (head.site.dead_zone, head.dead_quantile) == (0, 0)
    x = to_fixed(torch.linspace(-1, 0.9, 16)[None])
    magnitude = x.abs()
    assert torch.equal(o.encode(x).counts == 0, magnitude < 32768)
    assert int((gate.encode(x).counts == 0).sum()) == 8
    with pytest.raises(RecipeError, match="^recipe test names layer 2, but the model's layers are"):
        SpikingLinear(
            CONFIG,
            tensors(seed).__getitem__,
            Recipe("test", SiteSettings(), {}, {(2, "o"): SiteSettings()}),
        )


def test_a_story_goes_on_as_in_float(stories260k):
    checkpoint = load(stories260k)
    ids = checkpoint.tokenizer.encode("Once upon a time, there was a little girl named Lily. She")
    fp32 = Model(checkpoint)
    spiking = Model(checkpoint, SpikingLinear(checkpoint.config, fp32.tensor, load_recipe("w8")))
    want, got = fp32.forward(ids).numpy(), spiking.forward(ids).numpy()
    assert np.linalg.norm(got - want) < 0.03 * np.linalg.norm(want)
