"""Found exponents: they lower what encoding costs, as predicted and as measured."""

import pytest
import torch
from torch.nn.functional import kl_div

from golden.calibration.exponents import cost, find_exponents, site_exponents
from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices, site_of
from golden.model.llama import FloatLinear, Model
from golden.numerics.fixed import to_fixed
from golden.numerics.neuron import encode_vectors
from golden.recipe.exponents import apply_exponents, pack_exponents, unpack_exponents
from golden.recipe.settings import SiteSettings
from tests.golden.make_checkpoints import SHAPE, random_model

WINDOWS = [[(7 * i * i + k * i) % SHAPE["vocab_size"] for i in range(100)] for k in (3, 5, 11)]
LOW = SiteSettings(max_count=15)  # coarse enough that thresholds are what costs


class Fired(FloatLinear):
    """Matrices in float of what spikes stand for: nothing is lost but by thresholds."""

    def __init__(self, model: Model, exponents: dict[str, torch.Tensor]) -> None:
        super().__init__(model.config, model.tensor)
        self.exponents = exponents

    def __call__(self, site: str, name: str, x: torch.Tensor) -> torch.Tensor:
        by = torch.exp2(self.exponents[site].float()) if site in self.exponents else 1
        encoded = encode_vectors(to_fixed(x / by), LOW.site(x.shape[1]))
        fired = encoded.counts.double() * encoded.v[:, None] / 2**40
        return super().__call__(site, name, fired.float() * by)


@pytest.fixture
def checkpoint(seed, tmp_path):
    """Return one some of whose channels are louder than the others by far, as trained ones are."""
    model = random_model("qwen2", seed)
    with torch.no_grad():
        for layer in model.model.layers:
            for norm, readers in (
                (layer.input_layernorm, "q_proj k_proj v_proj"),
                (layer.post_attention_layernorm, "gate_proj up_proj"),
            ):
                norm.weight[:3] *= 10
                for reader in readers.split():
                    part = getattr(layer.self_attn, reader, None) or getattr(layer.mlp, reader)
                    part.weight[:, :3] /= 10
            layer.mlp.up_proj.weight[5] *= 12
            layer.mlp.down_proj.weight[:, 5] /= 12
    model.save_pretrained(tmp_path)
    return load(tmp_path)


def divergence(checkpoint, exponents) -> float:
    model = Model(checkpoint)
    expected = [model.forward(ids).log_softmax(dim=1) for ids in WINDOWS]
    model.linear = Fired(model, exponents)
    got = [model.forward(ids).log_softmax(dim=1) for ids in WINDOWS]
    return sum(
        float(kl_div(a, b, reduction="sum", log_target=True))
        for a, b in zip(got, expected, strict=True)
    )


def test_they_lower_the_error_of_other_tokens(checkpoint):
    steps = []
    found = find_exponents(Model(checkpoint), WINDOWS[:1], lambda site: LOW.max_count, steps.append)
    assert steps == ["gradients"]
    assert list(found) == list(dict.fromkeys(map(site_of, matrices(checkpoint.config))))
    for site, e in found.items():
        assert e.dtype == torch.int8 and 0 <= int(e.min()) <= int(e.max()) <= 3, site
    for site in ("layers.1.qkv", "layers.1.gate_up"):
        assert found[site][:3].float().mean() > found[site][3:].float().mean() + 1
    apply_exponents(checkpoint, unpack_exponents(pack_exponents(found)))  # heads share o's
    assert divergence(checkpoint, found) < 0.5 * divergence(checkpoint, {})


def test_they_are_found_again(checkpoint):
    found = [find_exponents(Model(checkpoint), WINDOWS) for _ in range(2)]
    assert pack_exponents(found[0]) == pack_exponents(found[1])


@pytest.mark.parametrize("channels", [1, 2, 50])
def test_they_cost_less_than_none(seed, channels):
    generator = torch.Generator().manual_seed(seed)
    loud = torch.exp2(3 * torch.rand(channels, generator=generator))
    magnitudes = loud * torch.randn(60, channels, generator=generator).abs()
    slopes = (torch.randn(60, channels, generator=generator) / loud).square()
    e = site_exponents(magnitudes, slopes)
    none, found = (cost(magnitudes, slopes, x) for x in (torch.zeros_like(e), e))
    assert found <= none if channels < 50 else found < 0.7 * none


def test_cost_is_what_thresholds_lose(seed):
    generator = torch.Generator().manual_seed(seed)
    x, g = torch.randn(2, 400, 30, generator=generator).unbind()
    e = torch.randint(0, 4, (30,), generator=generator)
    g = g / 50
    by = torch.exp2(e.float())
    encoded = encode_vectors(to_fixed(x / by), LOW.site(30))
    error = encoded.counts * (encoded.v.double() / 2**40)[:, None] * by - x
    real = float(((error * g).sum(dim=1).square() / 2).log1p().sum())
    assert cost(x.abs(), g.square(), e, 15) == pytest.approx(real, rel=0.4)


def test_silence_is_no_obstacle():
    assert not site_exponents(torch.zeros(5, 8), torch.ones(5, 8)).any()
