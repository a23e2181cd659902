"""Distillation: an adapter brings a model with dead zones nearer to what it was."""

import pytest
import torch
from torch.nn.functional import kl_div

from golden.calibration.distil import _Fire, distil
from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import matrices, site_of
from golden.model.llama import Model
from golden.model.spiking import SpikingLinear
from golden.numerics.fixed import from_fixed, to_fixed
from golden.numerics.neuron import fire, threshold
from golden.recipe.adapter import adapt, pack_adapter, unpack_adapter
from golden.recipe.recipe import Recipe
from golden.recipe.settings import SiteSettings
from tests.golden.make_checkpoints import SHAPE, random_model

WINDOWS = [
    [(i * k * k + (i + 3) * k) % SHAPE["vocab_size"] for k in range(100)] for i in range(1, 41)
]


@pytest.fixture
def checkpoint(seed, tmp_path):
    random_model("qwen2", seed).save_pretrained(tmp_path)
    return load(tmp_path)


def divergence(checkpoint, spiking, dead_zones, windows):
    """Nats a token between a float model and another's integer matrices with dead zones."""
    default = SiteSettings()
    sites = {}
    for site, zone in dead_zones.items():
        place, _, kind = site.rpartition(".")
        sites[int(place.removeprefix("layers.")) if place else None, kind] = SiteSettings(
            dead_zone=zone
        )
    head = {"head": sites.pop((None, "head"))}
    linear = SpikingLinear(spiking.config, spiking.tensor, Recipe("r", default, head, sites))
    teacher, student = Model(checkpoint), Model(spiking, linear)
    total = sum(
        kl_div(
            student.forward(ids).log_softmax(1), teacher.forward(ids).log_softmax(1),
            reduction="sum", log_target=True,
        )
        for ids in windows
    )  # fmt: skip
    return float(total) / sum(map(len, windows))


def test_silence_costs_less_on_tokens_that_it_did_not_see(checkpoint):
    dead_zones = {site_of(name): 0.6 for name in matrices(checkpoint.config)}
    seen = []
    ups = distil(checkpoint, checkpoint, [dead_zones], 4 * WINDOWS[:30], 8, seen.append)
    assert len(seen) == 120
    adapted = adapt(checkpoint, unpack_adapter(pack_adapter(ups)))
    before = divergence(checkpoint, checkpoint, dead_zones, WINDOWS[30:])
    after = divergence(checkpoint, adapted, dead_zones, WINDOWS[30:])
    assert 0.01 < after < 0.97 * before
    first = divergence(checkpoint, checkpoint, dead_zones, WINDOWS[:1])
    assert seen[0] == pytest.approx(first, rel=0.25)  # weights in bfloat16, not 8 bits


def test_the_same_lessons_teach_the_same(checkpoint):
    lessons = (checkpoint, checkpoint, [{}, {"head": 0.5}], WINDOWS[:4], 2)
    first, again = distil(*lessons), distil(*lessons)
    for name, up in first.items():
        assert torch.equal(up, again[name]) and up.any()


def test_learning_goes_on_from_what_was_learnt(checkpoint):
    dead_zones = {site_of(name): 0.6 for name in matrices(checkpoint.config)}
    lessons = (checkpoint, checkpoint, [dead_zones], 2 * WINDOWS[:30], 8)
    seen: list[float] = []
    ups = distil(*lessons, step=seen.append)
    learnt = unpack_adapter(pack_adapter(ups)).ups
    del learnt["lm_head"]  # one that was not learnt is learnt from nothing
    more = distil(*lessons, seen.append, learnt)
    assert more.keys() == ups.keys() and not torch.equal(more["layers.0.q"], ups["layers.0.q"])
    assert sum(seen[60:63]) < 0.97 * sum(seen[:3])


def test_what_a_student_fires_is_what_counts_stand_for(seed):
    torch.manual_seed(seed)
    x = torch.randn(20, 50)
    site = SiteSettings(dead_zone=0.3).site(50)
    fixed = to_fixed(x)
    v = threshold(fixed, site)
    counts = fire(fixed, v, site)
    fired = _Fire.apply(from_fixed(fixed).float(), site.dead_zone / 65536)
    assert ((fired == 0) == (counts == 0)).all()
    assert torch.allclose(fired.double(), counts * (v.double() / 2**40)[:, None], atol=2e-2)


def test_only_what_fires_is_taught():
    x = torch.tensor([[1.0, -0.2, 0.5, -2.0]], requires_grad=True)
    _Fire.apply(x, 0.5).backward(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert x.grad.tolist() == [[1.0, 0.0, 3.0, 4.0]]
