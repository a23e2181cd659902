"""What a user is told of GGUF files that cannot be used, word for word."""

import struct

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from golden.checkpoint.checkpoint import CheckpointError, load
from tests.golden.make_checkpoints import (
    gguf_parts,
    random_blocks,
    random_model,
    refused,
    write_gguf,
)

GET = "get it again"


@pytest.fixture
def parts(seed):
    return gguf_parts(random_model("llama", seed))


@pytest.fixture
def gguf(parts, tmp_path):
    return write_gguf(tmp_path / "model.gguf", *parts)


@pytest.mark.parametrize("data", [b"", b"GGU", b"<html>not found</html>"])
def test_gguf_without_its_magic(data, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    assert refused(path) == (
        f"{path} is no GGUF file (it does not begin with the letters GGUF): get it again, or name "
        "another"
    )


def test_gguf_of_another_version(gguf):
    data = bytearray(gguf.read_bytes())
    data[4:8] = struct.pack("<I", 9)
    gguf.write_bytes(data)
    assert refused(gguf) == f"{gguf}: the GGUF version must be 2 or 3, not 9: get another file"


def test_gguf_that_ends_in_its_header(gguf):
    whole = gguf.read_bytes()
    for length in (4, 8, 20, 24, 60, 300, 700):
        gguf.write_bytes(whole[:length])
        assert refused(gguf) == (
            f"{gguf} is truncated or damaged (its header ends after byte {length}): {GET}"
        )


def test_gguf_that_ends_in_its_tensors(gguf):
    whole = gguf.read_bytes()
    gguf.write_bytes(whole[:-4000])
    message = refused(gguf)
    assert message.startswith(f"{gguf} is truncated or damaged (")
    assert message.endswith(f", the file has {len(whole) - 4000}): {GET}")
    assert " should end at byte " in message


def test_gguf_with_a_header_of_noise(gguf, rng):
    """Whatever the bytes are, what comes out is a sentence."""
    whole = bytearray(gguf.read_bytes())
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(8, 2500, size=3):
            data[at] = rng.integers(256)
        gguf.write_bytes(data)
        try:
            load(gguf)
        except CheckpointError as error:
            assert str(gguf) in str(error)


def test_gguf_of_another_family(parts, tmp_path):
    path = write_gguf(tmp_path / "model.gguf", "gpt2", {}, parts[2])
    assert refused(path) == (
        f"{path} holds a model of the architecture gpt2: use one of the LLaMA, Mistral, Qwen2 or "
        "Qwen3 family"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"block_count": 4},
            "{path} lacks the tensor layers.3.attn_norm: it is incomplete, get it again",
        ),
        (
            {"block_count": 2},
            (
                "{path} holds the tensor layers.2.attn_norm, which its configuration has no place "
                "for: configuration and weights do not belong together"
            ),
        ),
        (
            {"feed_forward_length": 70},
            (
                "{path}: blk.0.ffn_gate.weight must have the shape [70, 40], not [72, 40]: "
                "configuration and weights do not belong together"
            ),
        ),
        ({"expert_count": 8}, "{path} is a mixture of experts: use a dense model"),
        (
            {"attention.head_count": 0},
            "{path} describes no possible model: heads must be a positive integer, not 0",
        ),
        (
            {"embedding_length": "40"},
            (
                "{path} describes no possible model: embedding_length must be a positive integer, "
                "not '40'"
            ),
        ),
        (
            {"attention.head_count_kv": 3},
            "{path} describes no possible model: heads must be a multiple of kv_heads (3), not 4",
        ),
        (
            {"block_count": "three"},
            "{path} describes no possible model: layers must be a positive integer, not 'three'",
        ),
        (
            {"rope.dimension_count": 4},
            (
                "{path} describes no possible model: rope.dimension_count must be the head "
                "dimension 10, not 4"
            ),
        ),
        (
            {"rope.scaling.type": "longrope", "rope.scaling.factor": 2.0},
            (
                "{path}: the RoPE scaling must be linear, yarn or by rope_freqs.weight, not "
                "longrope: use another model"
            ),
        ),
        (
            {"rope.scaling.type": "linear"},
            "{path}: llama.rope.scaling.factor must be positive, not None: get another file",
        ),
        (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0},
            (
                "{path} lacks the metadata llama.rope.scaling.original_context_length: get another "
                "file"
            ),
        ),
    ],
)
def test_gguf_whose_metadata_do_not_fit(fields, message, parts, tmp_path):
    family, good, tensors = parts
    path = write_gguf(tmp_path / "model.gguf", family, good | fields, tensors)
    assert refused(path) == message.replace("{path}", str(path))


def test_gguf_without_a_field(parts, tmp_path):
    family, fields, tensors = parts
    del fields["embedding_length"]
    path = write_gguf(tmp_path / "model.gguf", family, fields, tensors)
    assert refused(path) == f"{path} lacks the metadata llama.embedding_length: get another file"


def test_gguf_with_a_tensor_of_another_model(parts, tmp_path):
    family, fields, tensors = parts
    tensors["blk.0.attn_output.bias"] = torch.zeros(40)
    path = write_gguf(tmp_path / "model.gguf", family, fields, tensors)
    assert refused(path) == (
        f"{path} holds the tensor blk.0.attn_output.bias, which has no place here: use a LLaMA, "
        "Mistral, Qwen2 or Qwen3 model without it"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gguf_with_values_that_are_no_numbers(value, parts, tmp_path):
    family, fields, tensors = parts
    tensors["blk.1.ffn_up.weight"] = tensors["blk.1.ffn_up.weight"].clone()
    tensors["blk.1.ffn_up.weight"][3, 5] = value
    path = write_gguf(tmp_path / "model.gguf", family, fields, tensors)
    assert refused(path) == (
        f"{path}: blk.1.ffn_up.weight holds {value} in output channel 3, but weights must be "
        "finite: the file is damaged, get it again"
    )


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q5_K, Kind.Q6_K], ids=lambda kind: kind.name)
def test_gguf_with_k_quants_of_a_width_that_is_no_multiple_of_256(kind, tmp_path, seed):
    family, fields, tensors = gguf_parts(random_model("llama", seed, hidden_size=256))
    blocks = random_blocks(kind, 256, 256, np.random.default_rng(seed))
    name = "blk.1.attn_q.weight"
    path = write_gguf(tmp_path / "m.gguf", family, fields, tensors, {name: (kind, blocks)})
    # A writer refuses such widths itself: 256 inputs become 128, and the outputs twice as many.
    data, said = path.read_bytes(), name.encode() + struct.pack("<I", 2)
    at = data.index(said) + len(said)
    path.write_bytes(data[:at] + struct.pack("<QQ", 128, 512) + data[at + 16 :])
    assert refused(path) == (
        f"{path} is truncated or damaged ({name} has rows of 128, no multiple of 256): {GET}"
    )


@pytest.mark.parametrize(
    ("kind", "at", "said"),
    [
        (Kind.Q4_0, 0, "scale"),
        (Kind.Q4_1, 2, "offset"),
        (Kind.Q8_0, 0, "scale"),
        (Kind.Q4_K, 2, "offset"),
        (Kind.Q6_K, 208, "scale"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gguf_with_scales_that_are_no_numbers(kind, at, said, value, tmp_path, seed):
    family, fields, tensors = gguf_parts(random_model("llama", seed, hidden_size=256))
    blocks = random_blocks(kind, 256, 256, np.random.default_rng(seed))
    blocks[7, at : at + 2] = np.array([value], np.float16).view(np.uint8)
    if kind == Kind.Q4_K:
        blocks[:, 4:16] |= 1  # an infinite minimum times 0 is no number
    elif kind == Kind.Q6_K:
        blocks[:, 192] = 1
    name = "blk.1.attn_q.weight"
    path = write_gguf(tmp_path / "m.gguf", family, fields, tensors, {name: (kind, blocks)})
    grid = load(path).grid("layers.1.q")
    assert grid.read(0, 7).d.isfinite().all()
    with pytest.raises(CheckpointError) as error:
        grid.read(3, 11)
    told = value if said == "scale" else -value if kind == Kind.Q4_K else value
    assert str(error.value) == (
        f"{path}: {name} holds the {said} {told} in output channel 7, group 0, but it must be "
        f"finite: the file is damaged, {GET}"
    )
    assert " in output channel 7, but weights must be finite" in refused(path)
