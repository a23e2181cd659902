"""What a user is told of GGUF files that cannot be used, word for word."""

import struct

import pytest
import torch

from golden.checkpoint.checkpoint import CheckpointError, load
from tests.golden.make_checkpoints import gguf_parts, random_model, refused, write_gguf

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
