"""What the readers make of intact files: values, shapes, configuration, laziness."""

import json

import numpy as np
import pytest
import torch
from gguf import GGUFReader

from golden.checkpoint.checkpoint import ModelConfig, load
from golden.checkpoint.names import bias_of, matrices, site_of, tensor_shapes
from golden.checkpoint.readers.file_bytes import FileBytes
from golden.checkpoint.rope import FactorScaling, LinearScaling, Llama3Scaling, YarnScaling
from tests.golden.make_checkpoints import (
    ROPES,
    gguf_parts,
    interleaved,
    random_model,
    rope,
    write_gguf,
    write_llama2c,
)

LAYERS, HIDDEN, FFN, QUERIES, KEYS, VOCAB = 3, 40, 72, 40, 20, 61


@pytest.fixture
def made(seed):
    return random_model("qwen2", seed)


def test_every_tensor_of_a_directory_has_its_canonical_name(made, tmp_path):
    made.save_pretrained(tmp_path)
    checkpoint, state = load(tmp_path), made.state_dict()
    theirs = {
        "attn_norm": "input_layernorm.weight",
        "q": "self_attn.q_proj.weight",
        "k": "self_attn.k_proj.weight",
        "v": "self_attn.v_proj.weight",
        "o": "self_attn.o_proj.weight",
        "ffn_norm": "post_attention_layernorm.weight",
        "gate": "mlp.gate_proj.weight",
        "up": "mlp.up_proj.weight",
        "down": "mlp.down_proj.weight",
        "q_bias": "self_attn.q_proj.bias",
        "k_bias": "self_attn.k_proj.bias",
        "v_bias": "self_attn.v_proj.bias",
    }
    expected = {"embed": "model.embed_tokens.weight"}
    for i in range(LAYERS):
        expected |= {
            f"layers.{i}.{our}": f"model.layers.{i}.{name}" for our, name in theirs.items()
        }
    expected |= {"final_norm": "model.norm.weight", "lm_head": "lm_head.weight"}
    assert checkpoint.names() == list(expected)
    for name, key in expected.items():
        tensor = checkpoint.tensor(name)
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[key])
        assert checkpoint.shape(name) == tuple(state[key].shape)


def test_shapes_follow_from_the_configuration(made, tmp_path):
    made.save_pretrained(tmp_path)
    shapes = tensor_shapes(load(tmp_path).config)
    assert len(shapes) == 3 + LAYERS * 12
    assert shapes["embed"] == shapes["lm_head"] == (VOCAB, HIDDEN)
    assert shapes["layers.2.q"] == (QUERIES, HIDDEN)
    assert shapes["layers.2.k"] == shapes["layers.2.v"] == (KEYS, HIDDEN)
    assert shapes["layers.2.o"] == (HIDDEN, QUERIES)
    assert shapes["layers.2.gate"] == shapes["layers.2.up"] == (FFN, HIDDEN)
    assert shapes["layers.2.down"] == (HIDDEN, FFN)
    assert shapes["layers.2.k_bias"] == (KEYS,)


def test_a_tied_head_is_the_embedding(tmp_path, seed):
    random_model("llama", seed, tie_word_embeddings=True).save_pretrained(tmp_path)
    checkpoint = load(tmp_path)
    assert "lm_head" not in checkpoint.names()
    assert checkpoint.shape("lm_head") == (VOCAB, HIDDEN)
    assert torch.equal(checkpoint.tensor("lm_head"), checkpoint.tensor("embed"))


def test_names_of_sites_and_biases(made, tmp_path):
    made.save_pretrained(tmp_path)
    config = load(tmp_path).config
    assert len(matrices(config)) == 7 * LAYERS + 1
    assert {site_of(f"layers.1.{kind}") for kind in "qkv"} == {"layers.1.qkv"}
    assert {site_of(f"layers.1.{kind}") for kind in ("gate", "up")} == {"layers.1.gate_up"}
    assert site_of("layers.12.o") == "layers.12.o"
    assert site_of("layers.12.down") == "layers.12.down"
    assert site_of("lm_head") == "head"
    biases = {name: bias_of(name, config) for name in matrices(config)}
    assert {name for name, bias in biases.items() if bias} == {
        f"layers.{i}.{kind}" for i in range(LAYERS) for kind in "qkv"
    }
    assert biases["layers.2.v"] == "layers.2.v_bias"


@pytest.mark.parametrize("kind", [None, *ROPES])
def test_configuration_of_a_directory(kind, tmp_path, seed):
    changes = {"head_dim": 12} | (rope(kind, theta=500.0) if kind else {})
    random_model("qwen3", seed, **changes).save_pretrained(tmp_path / "small-qwen")
    config = load(tmp_path / "small-qwen").config
    assert config.name == "small-qwen"
    assert (config.vocab_size, config.hidden_size, config.ffn_size) == (VOCAB, HIDDEN, FFN)
    assert (config.layers, config.heads, config.kv_heads, config.head_dim) == (LAYERS, 4, 2, 12)
    assert (config.max_positions, config.norm_eps) == (128, 1e-5)
    assert config.rope_theta == (500.0 if kind else 10000.0)
    assert not config.rope_interleaved
    assert config.qk_norm
    assert not config.qkv_bias
    assert not config.tied_head
    assert (
        config.rope_scaling
        == {
            None: None,
            "linear": LinearScaling(factor=3.0),
            "llama3": Llama3Scaling(
                factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_positions=64
            ),
            "yarn": YarnScaling(
                factor=4.0, original_positions=32, attention_factor=1 + 0.1 * np.log(4.0)
            ),
            "yarn-full": YarnScaling(
                factor=4.0,
                original_positions=32,
                attention_factor=(1 + 0.15 * np.log(4.0)) / (1 + 0.08 * np.log(4.0)),
                beta_fast=4.0,
                beta_slow=0.2,
                whole_pairs=False,
            ),
        }[kind]
    )


def rewrite(path, drop=(), **changes):
    """Change fields of a config.json."""
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: fields[key] for key in fields if key not in drop}))


def test_configuration_as_old_versions_wrote_it(tmp_path, seed):
    """Theta and scaling apart, no list of layer types, no head_dim, no number of kv heads."""
    random_model("llama", seed, num_key_value_heads=4).save_pretrained(tmp_path)
    drop = ("rope_parameters", "layer_types", "head_dim", "num_key_value_heads")
    scaling = {"type": "linear", "factor": 2.0}
    rewrite(tmp_path / "config.json", drop, rope_theta=500.0, rope_scaling=scaling)
    config = load(tmp_path).config
    assert (config.rope_theta, config.rope_scaling) == (500.0, LinearScaling(factor=2.0))
    assert (config.head_dim, config.kv_heads) == (10, 4)


@pytest.mark.parametrize(
    ("kind", "fields", "windows"),
    [
        ("mistral", {"sliding_window": 9}, [9, 9, 9]),
        ("mistral", {"sliding_window": None}, [None, None, None]),
        ("qwen2", {"sliding_window": 9, "use_sliding_window": False}, [None, None, None]),
        (
            "qwen2",
            {"sliding_window": 9, "use_sliding_window": True, "max_window_layers": 2},
            [None, None, 9],
        ),
        ("llama", {"sliding_window": 9}, [None, None, None]),
    ],
)
def test_windows_of_layers(kind, fields, windows, tmp_path, seed):
    random_model(kind, seed).save_pretrained(tmp_path)
    rewrite(tmp_path / "config.json", ("layer_types",), **fields)
    config = load(tmp_path).config
    assert [config.window(i) for i in range(LAYERS)] == windows


def test_listed_layer_types_decide_on_windows(tmp_path, seed):
    random_model("qwen2", seed).save_pretrained(tmp_path)
    types = ["sliding_attention", "full_attention", "sliding_attention"]
    fields = {"sliding_window": 5, "use_sliding_window": True, "layer_types": types}
    rewrite(tmp_path / "config.json", **fields)
    config = load(tmp_path).config
    assert [config.window(i) for i in range(LAYERS)] == [5, None, 5]


def test_configuration_of_a_gguf_file(tmp_path, seed):
    family, fields, tensors = gguf_parts(random_model("mistral", seed, sliding_window=None))
    fields |= {"general.name": "Small Mistral", "rope.dimension_count": 10}
    path = write_gguf(tmp_path / "a.gguf", family, fields, tensors)
    config = load(path).config
    assert config.name == "Small Mistral"
    assert (config.vocab_size, config.hidden_size, config.ffn_size) == (VOCAB, HIDDEN, FFN)
    assert (config.layers, config.heads, config.kv_heads, config.head_dim) == (LAYERS, 4, 2, 10)
    assert (config.max_positions, config.norm_eps) == (128, pytest.approx(1e-5))
    assert config.rope_interleaved
    assert not config.tied_head
    assert config.rope_scaling is None


def test_divisors_of_a_gguf_file_are_its_rope_scaling(tmp_path, seed):
    family, fields, tensors = gguf_parts(random_model("llama", seed))
    tensors["rope_freqs.weight"] = torch.tensor([1.0, 1, 2, 4, 8])
    config = load(write_gguf(tmp_path / "a.gguf", family, fields, tensors)).config
    assert config.rope_scaling == FactorScaling(factors=(1.0, 1.0, 2.0, 4.0, 8.0))


def test_the_three_formats_hold_the_same_tensors(tmp_path, seed):
    model = random_model("llama", seed)
    model.save_pretrained(tmp_path / "directory", max_shard_size="30KB")
    a = load(tmp_path / "directory")
    b = load(write_gguf(tmp_path / "a.gguf", *gguf_parts(model)))
    c = load(write_llama2c(tmp_path / "a.bin", model))
    heads = {"q": 4, "k": 2}
    assert a.names() == b.names() == c.names()
    for name in a.names():
        expected, kind = a.tensor(name), name.rpartition(".")[2]
        expected = interleaved(expected, heads[kind]) if kind in heads else expected
        assert torch.equal(b.tensor(name), expected)
        assert torch.equal(c.tensor(name), expected)


def test_loading_reads_no_weights(tmp_path, seed, monkeypatch):
    model = random_model("llama", seed)
    model.save_pretrained(tmp_path / "directory")
    paths = [
        tmp_path / "directory",
        write_gguf(tmp_path / "a.gguf", *gguf_parts(model)),
        write_llama2c(tmp_path / "a.bin", model),
    ]
    read = []
    real = FileBytes.read
    monkeypatch.setattr(
        FileBytes, "read", lambda self, *place, **_: read.append(place) or real(self, *place)
    )
    for path in paths:
        checkpoint = load(path)
        assert not read
        checkpoint.tensor("layers.1.up")
        assert [length for _, length in read] == [4 * FFN * HIDDEN]
        read.clear()


def q4_1(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Return Q4_1 blocks as numbers: 16-bit scale and minimum, then 32 nibbles, low ones first."""
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 20)
    scale, minimum = blocks[:, :4].copy().view(np.float16).astype(np.float32).T[:, :, None]
    codes = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (codes * scale + minimum).reshape(shape)


def q8_0(data: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Return Q8_0 blocks as numbers: a 16-bit scale, then 32 signed bytes."""
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return (blocks[:, 2:].copy().view(np.int8) * scale).reshape(shape)


def test_smollm2_is_dequantized_as_its_format_says(smollm2_135m):
    checkpoint = load(smollm2_135m)
    stored = {tensor.name: tensor for tensor in GGUFReader(smollm2_135m).tensors}
    for name, key, decode in (
        ("layers.0.q", "blk.0.attn_q.weight", q4_1),
        ("layers.17.gate", "blk.17.ffn_gate.weight", q4_1),
        ("layers.29.down", "blk.29.ffn_down.weight", q4_1),
        ("embed", "token_embd.weight", q8_0),
    ):
        expected = decode(stored[key].data.tobytes(), checkpoint.shape(name))
        assert np.array_equal(checkpoint.tensor(name).numpy(), expected)
    norm = stored["blk.3.attn_norm.weight"].data
    assert np.array_equal(checkpoint.tensor("layers.3.attn_norm").numpy(), norm)


def test_smollm2_is_described_as_published(smollm2_135m):
    config = load("smollm2-135m").config
    assert config.name == "smollm2-135m"
    assert (config.hidden_size, config.ffn_size, config.layers) == (576, 1536, 30)
    assert (config.heads, config.kv_heads, config.head_dim) == (9, 3, 64)
    assert (config.vocab_size, config.max_positions, config.rope_theta) == (49152, 8192, 1e5)
    assert config.norm_eps == pytest.approx(1e-5)
    assert config.tied_head
    assert config.rope_interleaved
    assert not config.qkv_bias


def test_stories260k_is_described_as_published(stories260k):
    config = load("stories260k").config
    assert config == ModelConfig(
        name="stories260k",
        vocab_size=512,
        hidden_size=64,
        ffn_size=172,
        layers=5,
        heads=8,
        kv_heads=4,
        head_dim=8,
        max_positions=512,
        norm_eps=1e-5,
        rope_theta=10000.0,
        rope_interleaved=True,
        tied_head=True,
    )
