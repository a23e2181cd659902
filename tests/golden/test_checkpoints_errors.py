"""What a user is told of files that cannot be used, word for word."""

import json
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from golden.checkpoints import CheckpointError, CheckpointNotFoundError, load
from tests.golden.make_checkpoints import gguf_parts, random_model, write_gguf, write_llama2c

GET = "get it again"


def refused(path) -> str:
    """Return what loading a path, or reading all of its tensors, is refused with."""
    with pytest.raises(CheckpointError) as error:
        checkpoint = load(path)
        for name in checkpoint.names():
            checkpoint.tensor(name)
    return str(error.value)


def test_what_is_not_there(tmp_path):
    path = tmp_path / "none"
    assert refused(path) == (
        f"there is no checkpoint {path}: name a Hugging Face directory, a .gguf file, a llama2.c "
        ".bin file, or one of smollm2-135m, stories260k"
    )
    with pytest.raises(FileNotFoundError):
        load(path)


def test_what_is_no_checkpoint(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    assert refused(path) == (
        f"{path} is no checkpoint: name a Hugging Face directory, a .gguf file or a llama2.c .bin "
        "file"
    )


# GGUF


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
        f"{path}: blk.1.ffn_up.weight holds values that are not finite: the file is damaged, get "
        "it again"
    )


# Hugging Face directories


@pytest.fixture
def directory(tmp_path, seed):
    random_model("llama", seed).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def sharded(tmp_path, seed):
    random_model("llama", seed).save_pretrained(tmp_path / "model", max_shard_size="40KB")
    return tmp_path / "model"


def test_directory_without_a_configuration(tmp_path):
    assert refused(tmp_path) == (
        f"{tmp_path} has no config.json: name a directory that save_pretrained wrote"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "it holds no object"),
    ],
)
def test_directory_with_a_damaged_configuration(text, reason, directory):
    (directory / "config.json").write_text(text)
    assert refused(directory) == f"{directory / 'config.json'} is damaged ({reason}): {GET}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "gpt2"},
            (
                "{path} holds a model of the type gpt2: use one of the LLaMA, Mistral, Qwen2 or "
                "Qwen3 family"
            ),
        ),
        (
            {"quantization_config": {"quant_method": "awq"}},
            "{path} is quantized (awq): use the checkpoint in F32, F16 or BF16, or a GGUF file",
        ),
        (
            {"hidden_act": "gelu"},
            (
                "{path}: hidden_act must be silu, not gelu: use a model of the LLaMA, Mistral, "
                "Qwen2 or Qwen3 family"
            ),
        ),
        (
            {"rope_parameters": [1]},
            "{path}/config.json is damaged (rope_parameters is no object): get it again",
        ),
        ({"rms_norm_eps": None}, "{path}/config.json lacks rms_norm_eps: get it again"),
        (
            {"max_position_embeddings": None},
            "{path}/config.json lacks max_position_embeddings: get it again",
        ),
        (
            {"num_attention_heads": 0},
            (
                "{path}/config.json describes no possible model: heads must be a positive integer, "
                "not 0"
            ),
        ),
        (
            {"hidden_size": "wide"},
            (
                "{path}/config.json describes no possible model: hidden_size must be a positive "
                "integer, not 'wide'"
            ),
        ),
        (
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            (
                "{path}: the RoPE scaling must be linear, llama3 or yarn, not dynamic: use another "
                "model"
            ),
        ),
        (
            {"rope_parameters": {"rope_type": "llama3", "factor": 2.0}},
            "{path}/config.json: the RoPE scaling llama3 lacks low_freq_factor: get it again",
        ),
        (
            {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            (
                "{path}: partial_rotary_factor must be 1, not 0.5: use a model that rotates whole "
                "heads"
            ),
        ),
        (
            {"num_hidden_layers": 4},
            "{path} lacks the tensor layers.3.attn_norm: it is incomplete, get it again",
        ),
        (
            {"vocab_size": 62},
            (
                "{path}: model.embed_tokens.weight must have the shape [62, 40], not [61, 40]: "
                "configuration and weights do not belong together"
            ),
        ),
    ],
)
def test_directory_whose_configuration_does_not_fit(changes, message, directory):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert refused(directory) == message.replace("{path}", str(directory))


def test_directory_without_weights(directory):
    (directory / "model.safetensors").unlink()
    assert refused(directory) == (
        f"{directory} has neither model.safetensors nor model.safetensors.index.json: get or "
        "convert its weights in safetensors"
    )


def test_directory_with_truncated_weights(directory):
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    message = refused(directory)
    assert message.startswith(f"{path} is truncated or damaged (")
    assert message.endswith(f"): {GET}")


def test_directory_without_one_shard(sharded):
    shard = sorted(sharded.glob("*.safetensors"))[1]
    shard.unlink()
    assert refused(sharded) == (
        f"{shard} is not there, though model.safetensors.index.json lists it: get it too"
    )


def test_directory_whose_index_lists_nothing(sharded):
    index = sharded / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {}}))
    assert refused(sharded) == f"{index} is damaged (it lists no files): {GET}"


def change_weights(directory, **changes):
    """Replace tensors of a directory; None takes one out."""
    path = directory / "model.safetensors"
    tensors = load_file(path) | {key.replace("__", "."): value for key, value in changes.items()}
    kept = {key: value for key, value in tensors.items() if value is not None}
    save_file(kept, path)


def test_directory_without_one_tensor(directory):
    change_weights(directory, model__layers__1__mlp__up_proj__weight=None)
    assert refused(directory) == (
        f"{directory} lacks the tensor layers.1.up: it is incomplete, get it again"
    )


def test_directory_with_a_tensor_of_another_model(directory):
    change_weights(directory, model__layers__1__mlp__up_proj__bias=torch.zeros(72))
    assert refused(directory) == (
        f"{directory / 'model.safetensors'} holds the tensor model.layers.1.mlp.up_proj.bias, "
        "which has no place here: use a LLaMA, Mistral, Qwen2 or Qwen3 model without it"
    )


def test_directory_with_integer_weights(directory):
    change_weights(directory, model__norm__weight=torch.zeros(40, dtype=torch.int32))
    assert refused(directory) == (
        f"{directory / 'model.safetensors'}: model.norm.weight must be one of F64, F32, F16, BF16, "
        "not I32: convert it"
    )


def test_directory_with_values_that_are_no_numbers(directory):
    change_weights(directory, model__norm__weight=torch.full((40,), torch.nan))
    assert refused(directory) == (
        f"{directory}: model.norm.weight holds values that are not finite: the file is damaged, "
        "get it again"
    )


def test_directory_without_a_tokenizer(directory):
    with pytest.raises(CheckpointNotFoundError) as error:
        load(directory).tokenizer  # noqa: B018
    assert str(error.value) == (
        f"{directory} has no tokenizer.json: get it too (the save_pretrained of transformers "
        "writes one), or use token ids"
    )


def test_directory_with_a_damaged_tokenizer(directory):
    (directory / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError) as error:
        load(directory).tokenizer  # noqa: B018
    assert str(error.value).startswith(f"{directory / 'tokenizer.json'} is damaged (")
    assert str(error.value).endswith(f"): {GET}")


# llama2.c


@pytest.fixture
def llama2c(tmp_path, seed):
    return write_llama2c(tmp_path / "model.bin", random_model("llama", seed))


def test_llama2c_that_ends_in_its_header(llama2c):
    llama2c.write_bytes(llama2c.read_bytes()[:27])
    assert refused(llama2c) == (
        f"{llama2c} is truncated (its header takes 28 bytes, it has 27): {GET}"
    )


@pytest.mark.parametrize("change", [-4, -1, 1])
def test_llama2c_of_another_length(change, llama2c):
    data = llama2c.read_bytes()
    llama2c.write_bytes(data[:change] if change < 0 else data + bytes(change))
    assert refused(llama2c) == (
        f"{llama2c} is truncated or damaged (its header asks for {len(data)} bytes, it has "
        f"{len(data) + change}): {GET}"
    )


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            (0x616B3432, 1, 0, 0, 0, 0, 0),
            "{path} is in version 1 of llama2.c's format: export the legacy version 0",
        ),
        (
            (40, 72, 3, 0, 2, 61, 128),
            (
                "{path} is no llama2.c file (its header has 0 heads for 40 channels): get it "
                "again, or name another"
            ),
        ),
        (
            (41, 72, 3, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (its header has 4 heads for 41 channels): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, -3, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (layers must be a positive integer, not -3): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, 3, 4, 0, 61, 128),
            (
                "{path} is no llama2.c file (kv_heads must be a positive integer, not 0): get it "
                "again, or name another"
            ),
        ),
        (
            (40, 72, 3, 4, 3, 61, 128),
            (
                "{path} is no llama2.c file (heads must be a multiple of kv_heads (3), not 4): "
                "get it again, or name another"
            ),
        ),
        (
            (40, 72, 1 << 30, 4, 2, 61, 128),
            (
                "{path} is no llama2.c file (layers must be at most 4096, not 1073741824): get it "
                "again, or name another"
            ),
        ),
        (
            (1 << 30, 1 << 30, 1, 1, 1, 1 << 30, 1 << 30),
            (
                "{path} is truncated or damaged (its header asks for 41505174178731393052 bytes, "
                "it has {bytes}): get it again"
            ),
        ),
    ],
)
def test_llama2c_with_a_header_that_makes_no_sense(header, message, llama2c):
    data = struct.pack("<7i", *header) + llama2c.read_bytes()[28:]
    llama2c.write_bytes(data)
    expected = message.replace("{path}", str(llama2c)).replace("{bytes}", str(len(data)))
    assert refused(llama2c) == expected


def test_llama2c_with_values_that_are_no_numbers(llama2c):
    data = bytearray(llama2c.read_bytes())
    data[28:32] = struct.pack("<f", float("nan"))
    llama2c.write_bytes(data)
    assert refused(llama2c) == (
        f"{llama2c}: embed holds values that are not finite: the file is damaged, get it again"
    )


def test_llama2c_without_a_tokenizer(llama2c):
    with pytest.raises(CheckpointNotFoundError) as error:
        load(llama2c).tokenizer  # noqa: B018
    assert str(error.value) == (
        f"{llama2c} has no tokenizer: put tok61.bin or tokenizer.bin beside it, or use token ids"
    )


def test_llama2c_with_a_truncated_tokenizer(stories260k, tmp_path):
    shutil.copy(stories260k, tmp_path / "model.bin")
    whole = (stories260k.parent / "tok512.bin").read_bytes()
    for length, tokens in ((0, 0), (4, 0), (16, 0), (17, 1), (len(whole) - 1, 511)):
        (tmp_path / "tok512.bin").write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as error:
            load(tmp_path / "model.bin").tokenizer  # noqa: B018
        assert str(error.value) == (
            f"{tmp_path / 'tok512.bin'} is truncated or damaged (it has {tokens} tokens of 512): "
            f"{GET}"
        )
