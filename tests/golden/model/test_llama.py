"""The float model against `transformers`, on random weights and on trained ones."""

import dataclasses

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from golden.checkpoint.checkpoint import load
from golden.checkpoint.names import MATRICES, matrices, site_of
from golden.checkpoint.rope import FactorScaling
from golden.console import places
from golden.model.kv_cache import FloatCache
from golden.model.llama import Model
from tests.golden.make_checkpoints import (
    SHAPE,
    gguf_parts,
    halves,
    random_model,
    rope,
    write_gguf,
    write_llama2c,
)

# Past every window and every trained context of the configurations below
PROMPT_TOKENS, NEW_TOKENS = 48, 32
ATTENTION = {name: f"self_attn.{name}_proj" for name in "qkvo"}
FEED_FORWARD = {name: f"mlp.{name}_proj" for name in ("gate", "up", "down")}
NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
FAMILIES = {
    "llama": ("llama", {}),
    "llama-tied": ("llama", {"tie_word_embeddings": True}),
    "llama-multi-head": ("llama", {"num_key_value_heads": 4}),
    "llama-head-dim": ("llama", {"head_dim": 16}),
    "llama-linear": ("llama", rope("linear")),
    "llama-llama3": ("llama", rope("llama3", theta=500.0)),
    "llama-yarn": ("llama", rope("yarn")),
    "llama-yarn-full": ("llama", rope("yarn-full", theta=500.0)),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral-window": ("mistral", {"sliding_window": 9}),
    "qwen2": ("qwen2", {}),
    "qwen2-window": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen2-yarn": ("qwen2", rope("yarn")),
    "qwen3": ("qwen3", {"head_dim": 14}),
    "qwen3-tied": ("qwen3", {"head_dim": 8, "tie_word_embeddings": True}),
}


@pytest.fixture
def shared_text():
    """Return a function that reads one of the shared texts, or skips the test."""

    def read(name: str) -> str:
        path = places.shared("text") / name
        if not path.exists():
            pytest.skip(f"there is no ../shared/text/{name}")
        return path.read_text()

    return read


def prompt(seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SHAPE["vocab_size"], (PROMPT_TOKENS,), generator=generator).tolist()


@torch.no_grad()
def reference_greedy(reference, ids: list[int], count: int) -> list[int]:
    """Return the likeliest continuation, found with the cache of `transformers`."""
    found, cache = [], None
    for _ in range(count):
        fed = torch.tensor([found[-1:] or ids])
        out = reference(fed, cache=cache, use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        found.append(int(out.logits[0, -1].argmax()))
    return found


def assert_same(reference, checkpoint, ids: list[int]) -> None:
    """Compare all logits of a prompt and the tokens that follow it."""
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0]
    model = Model(checkpoint)
    got = model.forward(ids)
    assert got.shape == expected.shape
    assert got.dtype == torch.float32
    assert float((got - expected).abs().max()) < 1e-3
    assert model.generate(ids, NEW_TOKENS) == reference_greedy(reference, ids, NEW_TOKENS)


@pytest.mark.parametrize("family", FAMILIES)
def test_hf_directory_equals_transformers(family, tmp_path, seed):
    kind, changes = FAMILIES[family]
    reference = random_model(kind, seed, **changes)
    sharded = {"max_shard_size": "40KB"} if family in ("llama", "qwen3") else {}
    reference.save_pretrained(tmp_path, **sharded)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == bool(sharded)
    assert_same(reference, load(tmp_path), prompt(seed))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_widened(dtype, tmp_path, seed):
    random_model("llama", seed).to(dtype).save_pretrained(tmp_path)
    reference = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert_same(reference, load(tmp_path), prompt(seed))


@pytest.mark.parametrize(
    "family",
    ["llama", "llama-tied", "llama-head-dim", "mistral-window", "qwen2", "qwen3", "qwen3-tied"],
)
def test_gguf_equals_transformers(family, tmp_path, seed):
    kind, changes = FAMILIES[family]
    reference = random_model(kind, seed, **changes)
    family, fields, tensors = gguf_parts(reference)
    if kind == "mistral":
        fields["attention.sliding_window"] = changes["sliding_window"]
    checkpoint = load(write_gguf(tmp_path / "model.gguf", family, fields, tensors))
    assert_same(reference, checkpoint, prompt(seed))


@pytest.mark.parametrize("kind", ["linear", "yarn", "llama3"])
def test_gguf_rope_scaling_equals_transformers(kind, tmp_path, seed):
    reference = random_model("llama", seed, **rope(kind, theta=500.0))
    family, fields, tensors = gguf_parts(reference)
    scaling = reference.config.rope_parameters
    if kind == "llama3":  # held as divisors of the frequencies
        plain = 500.0 ** (-torch.arange(0, 10, 2) / 10)
        tensors["rope_freqs.weight"] = plain / reference.model.rotary_emb.inv_freq
    else:
        fields |= {"rope.scaling.type": kind, "rope.scaling.factor": scaling["factor"]}
    if kind == "yarn":
        original = scaling["original_max_position_embeddings"]
        fields["rope.scaling.original_context_length"] = original
    checkpoint = load(write_gguf(tmp_path / "model.gguf", family, fields, tensors))
    assert isinstance(checkpoint.config.rope_scaling, FactorScaling) == (kind == "llama3")
    assert_same(reference, checkpoint, prompt(seed))


@pytest.mark.parametrize("tied", [False, True])
def test_llama2c_equals_transformers(tied, tmp_path, seed):
    reference = random_model("llama", seed, tie_word_embeddings=tied)
    assert_same(reference, load(write_llama2c(tmp_path / "model.bin", reference)), prompt(seed))


@pytest.fixture
def checkpoint(tmp_path, seed):
    random_model("qwen2", seed).save_pretrained(tmp_path)
    return load(tmp_path)


def test_pieces_through_the_cache_equal_the_whole(checkpoint, seed):
    ids, model = prompt(seed), Model(checkpoint)
    cache, logits, start = FloatCache(checkpoint.config, len(ids)), [], 0
    for count in (1, 5, 17, len(ids) - 23):
        logits.append(model.forward(ids[start : start + count], cache, start))
        start += count
    torch.testing.assert_close(torch.cat(logits), model.forward(ids), atol=1e-4, rtol=0)


def test_generate_stops_with_the_first_stop_token(checkpoint, seed):
    model = Model(checkpoint)
    free = model.generate(prompt(seed), 12)
    stop = free[5]
    assert model.generate(prompt(seed), 12, stop=[stop]) == free[: free.index(stop) + 1]
    assert model.generate(prompt(seed), 0) == []


def test_every_matrix_goes_through_the_strategy_in_order(checkpoint, seed):
    calls, seen = [], {}
    plain = Model(checkpoint)

    def doubled(site, name, x):
        calls.append((site, name))
        seen[name] = x
        return 2 * plain.linear(site, name, x)

    got = Model(checkpoint, linear=doubled).forward(prompt(seed))
    names = matrices(checkpoint.config)
    assert calls == [(site_of(name), name) for name in names]
    assert list(seen) == names
    assert all(seen[name].shape[1] == checkpoint.shape(name)[1] for name in names)
    assert float((got - plain.forward(prompt(seed))).abs().max()) > 1


def test_few_layers_run_no_others(checkpoint, seed):
    ids, plain = prompt(seed), Model(checkpoint)

    def kept(into):
        def linear(site, name, x):
            into[name] = x
            return plain.linear(site, name, x)

        return linear

    everything, seen = {}, {}
    Model(checkpoint, kept(everything)).forward(ids)
    Model(checkpoint, kept(seen)).hidden(ids, layers=2)
    assert list(seen) == matrices(checkpoint.config)[:14]
    assert all(torch.equal(seen[name], everything[name]) for name in seen)


def test_hidden_is_the_residual_stream(checkpoint, seed):
    model, ids = Model(checkpoint), prompt(seed)
    assert torch.equal(model.hidden(ids, layers=0), checkpoint.tensor("embed")[ids])
    assert torch.equal(model.head(model.hidden(ids)), model.forward(ids))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.forward([]), r"ids must be a list of tokens, not of shape [0]"),
        (lambda m: m.forward([[1]]), r"ids must be a list of tokens, not of shape [1, 1]"),
        (lambda m: m.forward([1, 61]), "ids must be in [0, 61), not 61"),
        (lambda m: m.forward([-1]), "ids must be in [0, 61), not -1"),
        (lambda m: m.forward([1] * 129), "positions must be in [0, 128), not [0, 129)"),
        (lambda m: m.forward([1], start=128), "positions must be in [0, 128), not [128, 129)"),
        (lambda m: m.hidden([1], layers=4), "layers must be in [0, 3], not 4"),
        (lambda m: m.generate([1], 128), "positions must be in [1, 128], not 129"),
        (lambda m: m.tensor("layers.0.bias"), "{name} has no tensor layers.0.bias"),
        (
            lambda m: site_of("embed"),
            "matrix must be lm_head or layers.N.(q|k|v|o|gate|up|down), not embed",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message, checkpoint):
    with pytest.raises(ValueError) as error:
        call(Model(checkpoint))
    assert str(error.value) == message.replace("{name}", checkpoint.config.name)


def test_a_cache_takes_no_more_than_it_holds(checkpoint):
    with pytest.raises(ValueError) as error:
        Model(checkpoint).forward([1, 2, 3], FloatCache(checkpoint.config, 4), start=2)
    assert str(error.value) == "positions must be in [0, 4), not [2, 5)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers must be a positive integer, not 0"),
        ({"heads": 3}, "heads must be a multiple of kv_heads (2), not 3"),
        ({"head_dim": 5}, "head_dim must be even, not 5"),
        ({"norm_eps": -1e-5}, "norm_eps must be in [0, 1), not -1e-05"),
        ({"rope_theta": 1.0}, "rope_theta must be above 1, not 1.0"),
        ({"sliding_window": 0}, "sliding_window must be positive, not 0"),
        (
            {"rope_scaling": FactorScaling(factors=(1.0, 2.0))},
            "rope_scaling must have 5 factors, not 2",
        ),
    ],
)
def test_impossible_configurations_are_named(change, message, checkpoint):
    with pytest.raises(ValueError) as error:
        dataclasses.replace(checkpoint.config, **change)
    assert str(error.value) == message


def test_stories260k_tells_its_story(stories260k):
    checkpoint = load(stories260k)
    story = checkpoint.tokenizer.decode(Model(checkpoint).generate([1], 110))
    assert story.strip().startswith(
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the "
        "park. One day, she saw a big, red ball. She wanted to play with it, but it was too high."
    )


def test_stories260k_has_its_known_cross_entropy(stories260k, shared_text):
    checkpoint = load(stories260k)
    model, nats, count = Model(checkpoint), 0.0, 0
    for story in shared_text("tinystories_train_head.txt").split("<|endoftext|>")[:16]:
        ids = checkpoint.tokenizer.encode(story.strip())[:512]
        logits = model.forward(ids)[:-1]
        target = torch.tensor(ids[1:])
        nats += float(torch.nn.functional.cross_entropy(logits, target, reduction="sum"))
        count += len(target)
    assert nats / count == pytest.approx(1.27, abs=0.03)


def llama_of(checkpoint):
    """Return the checkpoint as a LLaMA of `transformers`, whose q and k rows lie in halves."""
    config = checkpoint.config
    state = {
        "model.embed_tokens.weight": checkpoint.tensor("embed"),
        "model.norm.weight": checkpoint.tensor("final_norm"),
    }
    for i in range(config.layers):
        take = {name: checkpoint.tensor(f"layers.{i}.{name}") for name in (*MATRICES, *NORMS)}
        take["q"] = halves(take["q"], config.heads)
        take["k"] = halves(take["k"], config.kv_heads)
        for name, theirs in (ATTENTION | FEED_FORWARD | NORMS).items():
            state[f"model.layers.{i}.{theirs}.weight"] = take[name]
    return LlamaForCausalLM.from_pretrained(
        None,
        state_dict=state,
        config=LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.ffn_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.max_positions,
            rms_norm_eps=config.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=config.tied_head,
        ),
    )


def test_stories260k_equals_transformers(stories260k):
    checkpoint = load(stories260k)
    ids = checkpoint.tokenizer.encode("One day, Tom and Sue went to the zoo.")
    assert_same(llama_of(checkpoint), checkpoint, ids)


def test_smollm2_equals_transformers(smollm2_135m):
    checkpoint = load(smollm2_135m)
    ids = checkpoint.tokenizer.encode("Gravity is the force by which a planet")
    assert_same(llama_of(checkpoint), checkpoint, ids)


@pytest.mark.full
def test_smollm2_equals_transformers_own_reading_of_the_file(smollm2_135m, shared_text):
    pytest.importorskip("accelerate", reason="transformers reads GGUF only with accelerate")
    reference = AutoModelForCausalLM.from_pretrained(
        smollm2_135m.parent, gguf_file=smollm2_135m.name, dtype=torch.float32
    ).eval()
    checkpoint = load(smollm2_135m)
    ids = checkpoint.tokenizer.encode(shared_text("wikitext2_valid.txt")[:2000])
    assert_same(reference, checkpoint, ids)


@pytest.mark.full
def test_smollm2_has_its_known_perplexity(smollm2_135m, shared_text):
    checkpoint = load(smollm2_135m)
    ids = checkpoint.tokenizer.encode(shared_text("wikitext2_valid.txt"))[:24576]
    model, nats, count = Model(checkpoint), 0.0, 0
    for i in range(0, len(ids), 1024):
        window = torch.tensor(ids[i : i + 1024])
        logits = model.forward(window)[:-1]
        nats += float(torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum"))
        count += len(window) - 1
    assert torch.tensor(nats / count).exp().item() == pytest.approx(16.7, abs=0.1)
