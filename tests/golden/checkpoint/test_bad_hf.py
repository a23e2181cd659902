"""What a user is told of directories that cannot be used, word for word."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from golden.checkpoint.checkpoint import CheckpointError, CheckpointNotFoundError, load
from tests.golden.make_checkpoints import random_model, refused

GET = "get it again"


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
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            (
                "{path} is quantized (bitsandbytes): use the checkpoint in AWQ, GPTQ, "
                "compressed-tensors or MXFP4, in F32, F16 or BF16, or a GGUF file"
            ),
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
            {"hidden_size": "64", "head_dim": None},
            (
                "{path}/config.json describes no possible model: hidden_size must be a positive "
                "integer, not '64'"
            ),
        ),
        (
            {"rms_norm_eps": "1e-5"},
            (
                "{path}/config.json describes no possible model: norm_eps must be a number, not "
                "'1e-5'"
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
            {"model_type": "qwen2"},
            "{path} lacks the tensor layers.0.q_bias: it is incomplete, get it again",
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


@pytest.mark.parametrize(("make", "kind"), [(os.mkdir, "a directory"), (os.mkfifo, "a pipe")])
def test_directory_with_a_file_that_is_none(sharded, make, kind):
    index = sharded / "model.safetensors.index.json"
    for path in (sorted(sharded.glob("*.safetensors"))[1], index, sharded / "config.json"):
        path.unlink()
        make(path)
        assert refused(sharded) == (
            f"{path} must be a regular file, not {kind}: put the file itself there"
        )


def test_a_pipe_is_no_checkpoint(tmp_path):
    for name in ("model.bin", "model.gguf"):
        os.mkfifo(tmp_path / name)
        assert refused(tmp_path / name) == (
            f"{tmp_path / name} must be a regular file, not a pipe: put the file itself there"
        )


def test_directory_whose_tokenizer_is_a_pipe(directory):
    os.mkfifo(directory / "tokenizer.json")
    with pytest.raises(CheckpointError, match="tokenizer.json must be a regular file, not a pipe"):
        load(directory).tokenizer  # noqa: B018


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


@pytest.mark.parametrize(("value", "said"), [(torch.nan, "nan"), (-torch.inf, "-inf")])
def test_directory_with_values_that_are_no_numbers(directory, value, said):
    up = torch.ones(72, 40)
    up[3, 7] = value
    change_weights(directory, model__layers__1__mlp__up_proj__weight=up)
    assert refused(directory) == (
        f"{directory}: model.layers.1.mlp.up_proj.weight holds {said} in output channel 3, but "
        "weights must be finite: the file is damaged, get it again"
    )
    gain = torch.ones(40)
    gain[9] = value
    change_weights(directory, model__norm__weight=gain)
    with pytest.raises(CheckpointError, match=f"norm.weight holds {said} in channel 9, but"):
        load(directory).tensor("final_norm")


def test_directory_with_a_tensor_in_two_shards(sharded):
    first, second = sorted(sharded.glob("*.safetensors"))[:2]
    tensors = load_file(first)
    key = sorted(tensors)[0]
    save_file(load_file(second) | {key: tensors[key]}, second)
    assert refused(sharded) == (
        f"{second} holds the tensor {key}, which another shard holds too: get them all again"
    )


def test_directory_with_a_tensor_listed_twice(directory):
    path = directory / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = raw[8 : 8 + length].rstrip(b" ")
    key = next(key for key in json.loads(header) if key != "__metadata__")
    entry = json.dumps({key: json.loads(header)[key]}).encode()[1:-1]
    header = header[:-1] + b"," + entry + b"}"
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw[8 + length :])
    message = refused(directory)
    assert message.startswith(f"{path} is truncated or damaged (") and key in message


def test_directory_whose_weights_are_cut_short_after_they_were_opened(directory):
    checkpoint = load(directory)
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError) as error:
        for name in checkpoint.names():
            checkpoint.tensor(name)
    assert f"cannot be read: {path} ends 9 bytes before it does" in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_rows_are_those_of_the_whole_tensor(directory, dtype, seed):
    up = torch.randn(72, 40, generator=torch.Generator().manual_seed(seed)).to(dtype)
    change_weights(directory, model__layers__1__mlp__up_proj__weight=up)
    checkpoint = load(directory)
    assert torch.equal(checkpoint.tensor("layers.1.up"), up.float())
    assert torch.equal(checkpoint.rows("layers.1.up", 5, 31), up[5:31].float())


def test_directory_without_a_tokenizer(directory):
    with pytest.raises(CheckpointNotFoundError) as error:
        load(directory).tokenizer.encode("Once")
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


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "linear", "factor": "x"},
        {"rope_type": "llama3", "factor": 0.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        | {"original_max_position_embeddings": 64},
        {"rope_type": "yarn", "factor": 2.0, "beta_fast": "a"},
    ],
)
def test_directory_whose_rotation_cannot_be_found(scaling, directory):
    path = directory / "config.json"
    config = json.loads(path.read_text())
    config["rope_parameters"] = scaling | {"rope_theta": 1e4}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as error:
        load(directory)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)
