"""The integer model: against its sections token by token, and against itself in pieces."""

import re
from dataclasses import replace

import pytest
import torch

from golden.checkpoint.checkpoint import load
from golden.checkpoint.config import ModelConfig
from golden.checkpoint.names import tensor_shapes
from golden.checkpoint.rope import FactorScaling, YarnScaling, angles_table, pair_order
from golden.model.integer import IntegerModel
from golden.model.llama import Model
from golden.numerics.weights import quantize_weight
from golden.recipe.recipe import Recipe, RecipeError, load_recipe
from golden.recipe.settings import SiteSettings
from tests.golden.make_checkpoints import random_model, rope
from tests.harness import reference

SMALL = ModelConfig(
    name="small",
    vocab_size=23,
    hidden_size=12,
    ffn_size=20,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=4,
    max_positions=32,
    norm_eps=1e-5,
    rope_theta=1e2,
    rope_interleaved=True,
)
YARN = YarnScaling(factor=4.0, original_positions=8, attention_factor=1.14)
VARIANTS = {
    "llama": {},
    "tied, halves": {"tied_head": True, "rope_interleaved": False},
    "qwen2": {"qkv_bias": True, "rope_interleaved": False},
    "qwen3": {"qk_norm": True, "rope_interleaved": False},
    "multi-head": {"kv_heads": 4, "rope_scaling": YARN},
    "one key head": {"kv_heads": 1, "norm_eps": 0.0},
    "window": {"sliding_window": 3, "rope_scaling": FactorScaling(factors=(1.0, 3.0))},
    "window but in layer 1": {"sliding_window": 2, "full_layers": (1,), "qkv_bias": True},
    "window of one": {"sliding_window": 1},
}
W8 = Recipe("test", SiteSettings(), {}, {})
MIXED = Recipe(
    "mixed",
    SiteSettings(weight_bits=4, clip=0.75, dead_zone=0.25),
    {
        "qkv": SiteSettings(rule="mean", kappa=3.0),
        "query": SiteSettings(max_count=31, dead_zone=0.125),
        "probabilities": SiteSettings(rule="static", peak=100.0, max_count=63),
        "head": SiteSettings(max_count=15),
    },
    {
        (1, "query"): SiteSettings(rule="mean", kappa=5.0),
        (1, "probabilities"): SiteSettings(clip=0.5, dead_zone=2.0),
        (1, "down"): SiteSettings(rule="static", peak=3.0),
    },
)


class Checkpoint:
    """As much of a checkpoint as a model asks for."""

    def __init__(self, config: ModelConfig, tensors: dict[str, torch.Tensor]) -> None:
        self.config, self.tensors = config, tensors

    def tensor(self, name: str) -> torch.Tensor:
        return self.tensors[name]

    def grid(self, name: str) -> None:
        return None


def random_checkpoint(seed: int, scale: float = 1.0, **changes) -> Checkpoint:
    config = replace(SMALL, **changes)
    generator = torch.Generator().manual_seed(seed)
    shapes = tensor_shapes(config).items()
    return Checkpoint(
        config, {name: scale * torch.randn(shape, generator=generator) for name, shape in shapes}
    )


def with_neighbours(checkpoint: Checkpoint) -> Checkpoint:
    """Put every pair that lies half a head apart next to each other."""
    config, tensors = checkpoint.config, dict(checkpoint.tensors)
    order = pair_order(config.head_dim, config.rope_interleaved)
    for name, x in tensors.items():
        if name.rpartition(".")[2] in ("q", "k", "q_bias", "k_bias", "q_norm", "k_norm"):
            heads = x.view(-1, config.head_dim, *x.shape[1:])
            tensors[name] = heads[:, order].reshape(x.shape)
    return Checkpoint(replace(config, rope_interleaved=True), tensors)


def ids_of(seed: int, count: int, vocabulary: int = SMALL.vocab_size) -> list[int]:
    generator = torch.Generator().manual_seed(seed + 1)
    return torch.randint(vocabulary, (count,), generator=generator).tolist()


def expected(checkpoint: Checkpoint, recipe: Recipe, ids: list[int]) -> list[list[int]]:
    """Compute the logits value by value."""
    checkpoint = with_neighbours(checkpoint)
    config, weights = checkpoint.config, {}

    def weight(name: str):
        if name not in weights:
            stored = "embed" if name == "lm_head" and config.tied_head else name
            w = quantize_weight(checkpoint.tensor(stored), recipe.weight_bits(name))
            weights[name] = w.codes.tolist(), w.mantissa.tolist(), w.exponent.tolist()
        return weights[name]

    def rotation(position: int):
        table = angles_table(
            torch.tensor([position]), config.head_dim, config.rope_theta, config.rope_scaling
        )
        return [values[0].tolist() for values in table]

    def tensor(name: str):
        return checkpoint.tensor(name).tolist()

    return reference.forward(config, tensor, weight, recipe.site, rotation, ids)


@pytest.mark.parametrize("recipe", [W8, MIXED], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_is_its_sections_one_after_another(variant, recipe, seed):
    checkpoint, ids = random_checkpoint(seed, **VARIANTS[variant]), ids_of(seed, 9)
    got = IntegerModel(checkpoint, recipe).forward(ids)
    assert got.dtype == torch.int32
    assert got.tolist() == expected(checkpoint, recipe, ids)


@pytest.mark.parametrize("scale", [0.05, 30.0])
def test_tiny_and_saturating_models_are_their_sections(scale, seed):
    checkpoint, ids = random_checkpoint(seed, scale, qkv_bias=True), ids_of(seed, 6)
    model = IntegerModel(checkpoint, W8)
    assert model.forward(ids).tolist() == expected(checkpoint, W8, ids)
    assert (model.saturated > 0) == (scale > 1)
    assert (model.largest_residual >= reference.HIGH) == (scale > 1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("recipe", [W8, MIXED, load_recipe("sparse")], ids=lambda r: r.name)
def test_pieces_through_the_cache_are_the_whole_bit_for_bit(variant, recipe, seed):
    checkpoint, ids = random_checkpoint(seed, **VARIANTS[variant]), ids_of(seed, 32)
    model = IntegerModel(checkpoint, recipe)
    whole = model.forward(ids)
    for pieces in ([1] * 32, [1, 5, 17, 9], [31, 1]):
        cache, logits, start = model.cache(len(ids)), [], 0
        for count in pieces:
            logits.append(model.forward(ids[start : start + count], cache, start))
            start += count
        assert torch.equal(torch.cat(logits), whole)


def test_no_token_sees_those_after_it(seed):
    model, ids = IntegerModel(random_checkpoint(seed), W8), ids_of(seed, 20)
    whole = model.forward(ids)
    assert torch.equal(model.forward(ids[:11]), whole[:11])
    changed = model.forward([*ids[:11], *ids_of(seed + 5, 9)])
    assert torch.equal(changed[:11], whole[:11]) and not torch.equal(changed[11:], whole[11:])


def test_blocks_of_tokens_make_no_difference(monkeypatch, seed):
    checkpoint, ids = random_checkpoint(seed, sliding_window=7), ids_of(seed, 30)
    model = IntegerModel(checkpoint, MIXED)
    whole = model.forward(ids)
    monkeypatch.setattr("golden.model.integer._BLOCK_ELEMENTS", 4 * 30 * 4)  # 4 tokens
    assert torch.equal(model.forward(ids), whole)


@pytest.mark.parametrize("variant", ["qwen2", "qwen3", "tied, halves"])
def test_where_pairs_lie_makes_no_difference(variant, seed):
    """A device has neighbours: its tensors are these, some in another order within each head."""
    apart, ids = random_checkpoint(seed, **VARIANTS[variant]), ids_of(seed, 12)
    seen: list[dict[str, torch.Tensor]] = []
    for checkpoint in (apart, with_neighbours(apart)):
        found: dict[str, torch.Tensor] = {}
        IntegerModel(checkpoint, MIXED, found.__setitem__).forward(ids)
        seen.append(found)
    order, moved = pair_order(4, interleaved=False), set()
    assert seen[0].keys() == seen[1].keys()
    for name, x in seen[0].items():
        if not torch.equal(x, seen[1][name]):
            moved.add(name.split(".", 2)[-1])
            heads = x.view(*x.shape[:-1], -1, 4)
            assert torch.equal(heads[..., order].view(x.shape), seen[1][name])
    norms = {"q_norm", "k_norm"} if apart.config.qk_norm else set()
    assert moved == {"q", "k", "q_rotated", "k_rotated", "key", "query.counts"} | norms


def test_every_tensor_is_reported_by_name_and_whole(monkeypatch, seed):
    checkpoint = random_checkpoint(seed, qk_norm=True)
    monkeypatch.setattr("golden.model.integer._BLOCK_ELEMENTS", 1)
    seen: dict[str, torch.Tensor] = {}

    def observe(name: str, x: torch.Tensor) -> None:
        assert name not in seen
        seen[name] = x

    ids = ids_of(seed, 5)
    logits = IntegerModel(checkpoint, W8, observe).forward(ids)
    sites = ("qkv", "query", "probabilities", "o", "gate_up", "down")
    shapes = {
        **dict.fromkeys(("attn_norm", "o", "attn_residual", "ffn_norm"), (5, 12)),
        **dict.fromkeys(("down", "residual"), (5, 12)),
        **dict.fromkeys(("q", "attention"), (5, 16)),
        **dict.fromkeys(("q_norm", "q_rotated"), (5, 4, 4)),
        **dict.fromkeys(("k", "v"), (5, 8)),
        **dict.fromkeys(("k_norm", "k_rotated", "key", "value"), (5, 2, 4)),
        **dict.fromkeys(("key_mantissa", "key_exponent"), (5, 2)),
        **dict.fromkeys(("value_mantissa", "value_exponent"), (5, 2)),
        **dict.fromkeys(("scores", "w"), (5, 4, 5)),
        **dict.fromkeys(("gate", "up", "act"), (5, 20)),
        "qkv.counts": (5, 12),
        "query.counts": (20, 4),
        "probabilities.counts": (20, 5),
        "o.counts": (5, 16),
        "gate_up.counts": (5, 12),
        "down.counts": (5, 20),
        **{f"{site}.threshold": (5,) for site in sites},
        **dict.fromkeys(("query.threshold", "probabilities.threshold"), (20,)),
    }
    wanted = {f"layers.{i}.{name}": shape for i in (0, 1) for name, shape in shapes.items()}
    wanted |= {"embed": (5, 12), "final_norm": (5, 12), "logits": (5, 23)}
    wanted |= {"head.counts": (5, 12), "head.threshold": (5,)}
    assert {name: tuple(x.shape) for name, x in seen.items()} == wanted
    assert torch.equal(seen["logits"], logits)
    assert torch.equal(seen["embed"] + seen["layers.0.o"], seen["layers.0.attn_residual"])
    assert not seen["layers.1.w"][0, :, 1:].any() and seen["layers.1.w"][4].any()


def test_sites_are_observed_without_what_is_not_there(seed):
    seen: dict[str, int] = {}

    def observe(site: str, encoded, there) -> None:
        here = encoded.counts.numel() if there is None else int(there.sum())
        assert there is None or there.shape == encoded.counts.shape
        seen[site] = seen.get(site, 0) + here

    model = IntegerModel(random_checkpoint(seed, sliding_window=3), W8, observe_site=observe)
    model.forward(ids_of(seed, 6))
    assert seen["layers.1.probabilities"] == 4 * (1 + 2 + 3 * 4)
    assert seen["layers.0.query"] == 6 * 16 and seen["head"] == 6 * 12


def test_a_recipe_for_more_layers_is_refused(seed):
    recipe = replace(W8, layer_sites={(2, "query"): SiteSettings()})
    with pytest.raises(RecipeError, match="^recipe test names layer 2, but the model's layers are"):
        IntegerModel(random_checkpoint(seed), recipe)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.forward([]), r"ids must be a list of tokens, not of shape [0]"),
        (lambda m: m.forward([23]), "ids must be in [0, 23), not 23"),
        (lambda m: m.forward([1, 2], m.cache(4), 3), "positions must be in [0, 4), not [3, 5)"),
        (lambda m: m.generate([1], 32), "positions must be in [1, 32], not 33"),
    ],
)
def test_wrong_arguments_are_named(call, message, seed):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call(IntegerModel(random_checkpoint(seed), W8))


FAMILIES = {
    "llama": ("llama", {"tie_word_embeddings": True}),
    "llama3": ("llama", rope("llama3", theta=500.0)),
    "yarn": ("llama", rope("yarn-full", theta=500.0)),
    "mistral": ("mistral", {"sliding_window": 9}),
    "qwen2": ("qwen2", {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}),
    "qwen3": ("qwen3", {"head_dim": 14}),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_near_its_float_model(family, tmp_path, seed):
    kind, changes = FAMILIES[family]
    random_model(kind, seed, initializer_range=0.1, **changes).save_pretrained(tmp_path)
    checkpoint, ids = load(tmp_path), ids_of(seed, 40, 61)
    want = Model(checkpoint).forward(ids)
    got = IntegerModel(checkpoint, W8).forward(ids) / 65536
    assert (got - want).norm() < 0.05 * want.norm()


def test_stories260k_tells_its_story(stories260k):
    checkpoint = load(stories260k)
    model = IntegerModel(checkpoint, load_recipe("w8"))
    story = checkpoint.tokenizer.decode(model.generate([1], 80))
    assert story.strip().startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
        "park. One day, she saw a big, red ball. She wanted to play with it, but it was too high."
    )
    assert model.saturated == 0 and 1 < model.largest_residual / 65536 < 100


def test_a_story_goes_on_as_in_float(stories260k):
    checkpoint = load(stories260k)
    ids = checkpoint.tokenizer.encode("Once upon a time, there was a little girl named Lily. She")
    want = Model(checkpoint).forward(ids)
    got = IntegerModel(checkpoint, load_recipe("w8")).forward(ids) / 65536
    assert (got - want).norm() < 0.03 * want.norm()


def test_smollm2_knows_a_capital(smollm2_135m):
    checkpoint = load(smollm2_135m)
    model = IntegerModel(checkpoint, load_recipe("w8"))
    ids = checkpoint.tokenizer.encode("The capital of France is")
    assert checkpoint.tokenizer.decode(model.generate(ids, 2)) == " Paris."
    assert model.saturated == 0
