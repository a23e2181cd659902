"""Packed weights of Hugging Face directories against what was packed, and against transformers."""

import threading

import numpy as np
import pytest
import torch
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from golden.checkpoint.checkpoint import CheckpointError, load, of_model
from golden.numerics.groups import group_rows
from tests.golden.make_checkpoints import random_model
from tests.golden.pack_checkpoints import (
    WIDE,
    awq,
    compressed,
    compressed_mxfp4,
    gptq,
    mxfp4,
    packed_model,
)

FORMATS = {
    "awq-32": awq(32),
    "awq-64": awq(64),
    "awq-128": awq(128),
    "awq-16": awq(16),
    "awq-8": awq(8),
    "awq-row": awq(-1),
    "gptq-32": gptq(4, 32),
    "gptq-row": gptq(4, -1),
    "gptq-128-symmetric": gptq(4, 128, sym=True),
    "gptq-v2": gptq(4, 64, v2=True),
    "gptq-v2-symmetric": gptq(4, 32, v2=True, sym=True),
    "gptq-8": gptq(8, 128),
    "gptq-8-v2": gptq(8, 32, v2=True),
    "gptq-8-symmetric": gptq(8, 32, sym=True),
    "compressed-32": compressed(4, 32),
    "compressed-128": compressed(4, 128),
    "compressed-row": compressed(4, -1),
    "compressed-asymmetric": compressed(4, 32, sym=False),
    "compressed-row-asymmetric": compressed(4, -1, sym=False),
    "compressed-8": compressed(8, 32),
    "compressed-8-row": compressed(8, -1),
    "compressed-8-asymmetric": compressed(8, 64, sym=False, scales=torch.float16),
    "compressed-float": compressed(4, 32, sym=False, scales=torch.float32),
    "mxfp4": mxfp4(),
    "compressed-mxfp4": compressed_mxfp4(),
}
ROUNDED = {"compressed-float": 2.0**-15}
"""Where 24 bits of a scale become 16: of the largest weight."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_matrix_is_what_was_packed(name, tmp_path, seed):
    form = FORMATS[name]
    made = packed_model(tmp_path, form, seed)
    checkpoint = load(tmp_path)
    for matrix, want in made.weights.items():
        assert checkpoint.format(matrix) == form.name
        assert torch.equal(checkpoint.tensor(matrix), want.float()), matrix
        assert torch.equal(checkpoint.rows(matrix, 3, 29), want[3:29].float())
        assert torch.equal(checkpoint.rows(matrix, 7, 8), want[7:8].float())


@pytest.mark.parametrize("name", FORMATS)
def test_its_grid_is_what_was_packed(name, tmp_path, seed):
    form = FORMATS[name]
    made = packed_model(tmp_path, form, seed)
    checkpoint = load(tmp_path)
    for matrix, want in made.weights.items():
        grid = checkpoint.grid(matrix)
        if form.group == 8:
            assert grid is None
            continue
        bits = 8 if form.name == "MXFP4" else form.bits
        group = 128 if form.group == -1 else form.group
        offsets = "none" if form.symmetric else "z"
        assert (grid.format, grid.group, grid.bits) == (form.name, group, bits)
        assert grid.offsets == offsets
        rows = grid.read(0, len(want))
        assert (rows.group, rows.bits, rows.m) == (group, bits, None)
        assert (rows.z is not None) == (offsets == "z")
        assert rows.codes.dtype == torch.int8 and rows.d.dtype == torch.float64
        assert -(1 << bits - 1) <= int(rows.codes.min()) <= int(rows.codes.max()) < 1 << bits - 1
        assert torch.equal(rows.weights(), want)
        assert torch.equal(rows.weights().float(), checkpoint.tensor(matrix))
        assert torch.equal(grid.read(5, 27).weights(), want[5:27])
        held = group_rows(rows).weights()
        assert (held - want).abs().max() <= ROUNDED.get(name, 0) * want.abs().max()


@pytest.mark.parametrize("form", [mxfp4(), compressed_mxfp4()], ids=lambda form: form.layout)
def test_mxfp4_is_what_transformers_dequantizes(form, tmp_path, seed):
    made = packed_model(tmp_path, form, seed)
    checkpoint = load(tmp_path)
    for matrix in made.weights:
        layer = {"q": "self_attn.q_proj", "down": "mlp.down_proj"}.get(matrix[9:])
        if layer is None:
            continue
        blocks, scales = (
            value
            for key, value in made.tensors.items()
            if key.startswith(f"model.layers.0.{layer}")
        )
        blocks = blocks.view(1, *scales.shape, 16)
        # bf16 holds all of these numbers; it returns them inputs first
        want = convert_moe_packed_tensors(blocks, scales[None], dtype=torch.bfloat16)[0].T
        assert torch.equal(checkpoint.tensor(matrix), want.float())


@pytest.mark.parametrize(
    "form",
    [gptq(4, 32, ordered=False), gptq(8, 64, v2=True, ordered=False)]
    + [compressed(4, 32, sym=False, ordered=False), compressed(8, 128, ordered=False)],
    ids=["gptq-4", "gptq-8", "compressed-4", "compressed-8"],
)
def test_act_order_has_weights_but_no_grid(form, tmp_path, seed):
    made = packed_model(tmp_path, form, seed)
    checkpoint = load(tmp_path)
    for matrix, want in made.weights.items():
        assert torch.equal(checkpoint.tensor(matrix), want.float()), matrix
        assert torch.equal(checkpoint.rows(matrix, 3, 29), want[3:29].float())
        one_group = want.shape[1] == form.group
        assert (checkpoint.grid(matrix) is not None) == one_group
        assert checkpoint.format(matrix) == form.name


@pytest.mark.parametrize(
    ("form", "part", "value"),
    [(gptq(), "g_idx", 0), (compressed(), "weight_g_idx", -1)],
    ids=["gptq", "compressed"],
)
def test_a_g_idx_that_says_nothing(form, part, value, tmp_path, seed):
    made = packed_model(tmp_path, form, seed)
    key = f"model.layers.0.self_attn.q_proj.{part}"
    made.save(**{key: torch.full((128,), value, dtype=torch.int32)})
    checkpoint = load(tmp_path)
    assert torch.equal(checkpoint.tensor("layers.0.q"), made.weights["layers.0.q"].float())
    assert checkpoint.grid("layers.0.q") is not None


def test_gptq_without_g_idx(tmp_path, seed):
    made = packed_model(tmp_path, gptq(), seed)
    made.save(**{key: None for key in made.tensors if key.endswith("g_idx")})
    checkpoint = load(tmp_path)
    assert torch.equal(checkpoint.tensor("layers.0.down"), made.weights["layers.0.down"].float())


def test_gptq_that_claims_to_be_symmetric_and_is_not(tmp_path, seed):
    made = packed_model(tmp_path, gptq(), seed)
    made.configure(sym=True)
    grid = load(tmp_path).grid("layers.0.q")
    assert grid.offsets == "z"
    assert torch.equal(grid.read(0, 128).weights(), made.weights["layers.0.q"])


@pytest.mark.parametrize("form", [awq(), compressed(), mxfp4()], ids=lambda form: form.layout)
def test_what_is_not_packed_is_read_as_it_is(form, tmp_path, seed):
    made = packed_model(tmp_path, form, seed)
    checkpoint = load(tmp_path)
    for name, key in (("embed", "model.embed_tokens"), ("lm_head", "lm_head")):
        assert torch.equal(checkpoint.tensor(name), made.tensors[f"{key}.weight"])
        assert checkpoint.grid(name) is None and checkpoint.format(name) == ""
    assert torch.equal(checkpoint.tensor("final_norm"), made.tensors["model.norm.weight"])


def test_one_layer_that_is_not_packed_among_those_that_are(tmp_path, seed):
    made = packed_model(tmp_path, awq(), seed)
    layer, plain = "model.layers.0.mlp.up_proj", torch.randn(256, 128)
    parts = {f"{layer}.{part}": None for part in ("qweight", "qzeros", "scales")}
    made.save(**parts, **{f"{layer}.weight": plain})
    checkpoint = load(tmp_path)
    assert torch.equal(checkpoint.tensor("layers.0.up"), plain)
    assert checkpoint.grid("layers.0.up") is None and checkpoint.grid("layers.0.gate") is not None


def test_a_packed_head(tmp_path, seed):
    made = packed_model(tmp_path, gptq(), seed, head=True, vocab_size=64)
    checkpoint = load(tmp_path)
    assert torch.equal(checkpoint.tensor("lm_head"), made.weights["lm_head"].float())
    assert checkpoint.grid("lm_head").format == "GPTQ"


def test_compressed_tensors_pads_words(tmp_path, seed):
    """Inputs and outputs that are no multiple of 8: MLPs of 132 are 16.5 words wide."""
    made = packed_model(
        tmp_path, compressed(4, -1, sym=False), seed, intermediate_size=132, vocab_size=30
    )
    checkpoint = load(tmp_path)
    for name in ("layers.0.up", "layers.0.down"):
        assert torch.equal(checkpoint.tensor(name), made.weights[name].float())
        assert torch.equal(checkpoint.rows(name, 121, 128), made.weights[name][121:128].float())
    assert checkpoint.grid("layers.0.down") is None  # none of the groups divides 132


def test_groups_of_layers_have_schemes_of_their_own(tmp_path, seed):
    made = packed_model(tmp_path, compressed(4, 32), seed)
    eight = packed_model(tmp_path, compressed(8, -1, sym=False), seed + 1)
    down = {key: value for key, value in eight.tensors.items() if "down_proj" in key}
    groups = [form.config["config_groups"]["group_0"] for form in (compressed(), compressed(8, -1))]
    groups[1]["weights"]["symmetric"] = False
    groups[1] |= {"targets": ["re:.*down_proj$"], "format": "pack-quantized"}
    made.save(**down)
    made.configure(config_groups={"a": groups[0], "b": groups[1]}, format="mixed-precision")
    with pytest.raises(CheckpointError, match="the format of compressed-tensors must be"):
        load(tmp_path)
    groups[0]["format"] = "pack-quantized"
    made.configure(config_groups={"a": groups[0], "b": groups[1]}, format="mixed-precision")
    checkpoint = load(tmp_path)
    assert torch.equal(checkpoint.tensor("layers.0.down"), eight.weights["layers.0.down"].float())
    assert torch.equal(checkpoint.tensor("layers.0.up"), made.weights["layers.0.up"].float())
    assert checkpoint.format("layers.0.down") == "compressed-tensors W8A16"


def test_biases_of_zeros_are_left_out_where_the_model_has_none(tmp_path, seed):
    made = packed_model(tmp_path, gptq(), seed)
    layers = {key.rpartition(".")[0]: value for key, value in made.tensors.items() if "_idx" in key}
    outputs = {layer: made.tensors[f"{layer}.scales"].shape[1] for layer in layers}
    made.save(**{f"{layer}.bias": torch.zeros(n) for layer, n in outputs.items()})
    assert "layers.0.q_bias" not in load(tmp_path).names()
    made.save(**{"model.layers.0.mlp.up_proj.bias": torch.ones(256)})
    with pytest.raises(CheckpointError, match="holds the tensor model.layers.0.mlp.up_proj.bias"):
        load(tmp_path)


@pytest.mark.parametrize("form", [awq(), gptq(), compressed()], ids=lambda form: form.layout)
def test_biases_that_the_model_has_are_kept(form, tmp_path, seed):
    made = packed_model(tmp_path, form, seed, "qwen2")
    key = "model.layers.0.self_attn.k_proj.bias"
    assert torch.equal(load(tmp_path).tensor("layers.0.k_bias"), made.tensors[key])
    made.save(**{key: torch.zeros(64)})
    assert not load(tmp_path).tensor("layers.0.k_bias").any()


@pytest.mark.parametrize("form", [awq(), gptq()], ids=lambda form: form.layout)
def test_blocks_of_two_matrices_by_several_threads(form, tmp_path, seed):
    made = packed_model(tmp_path, form, seed)
    checkpoint, found = load(tmp_path), {}

    def read(thread: int) -> None:
        for start in range(0, 64, 8):
            for name in ("layers.0.gate", "layers.0.k"):
                found[thread, name, start] = checkpoint.rows(name, start, start + 8)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 * 8 * 2
    for (_, name, start), rows in found.items():
        assert torch.equal(rows, made.weights[name][start : start + 8].float())


def test_a_model_in_memory_with_packed_layers_is_refused(seed):
    model = random_model("llama", seed, **WIDE)
    model.config.quantization_config = awq().config
    with pytest.raises(CheckpointError) as error:
        of_model(model, name="mine")
    assert str(error.value) == (
        "mine is quantized (awq): use the checkpoint in F32, F16 or BF16, or a GGUF file"
    )


def test_every_nibble_and_byte_of_each_exponent(tmp_path):
    """MXFP4's numbers are exact down to float32's subnormal ones."""
    from golden.checkpoint.readers.packed_codes import fp4_to_codes

    codes = fp4_to_codes(torch.arange(256, dtype=torch.uint8)[None])[0]
    e2m1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for byte in range(256):
        for half, code in zip((byte & 15, byte >> 4), codes[2 * byte :][:2].tolist(), strict=True):
            assert code / 2 == e2m1[half & 7] * (-1 if half & 8 else 1)
