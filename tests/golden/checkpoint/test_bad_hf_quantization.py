"""What a user is told of quantization configurations that are not read, word for word."""

import pytest

from tests.golden.make_checkpoints import refused
from tests.golden.pack_checkpoints import awq, compressed, gptq, packed_model

GET = "get it again"
FLOATS = "use the checkpoint in F32, F16 or BF16, or a GGUF file"
FORMATS = {"awq": awq(), "gptq": gptq(), "compressed": compressed(sym=False)}


@pytest.mark.parametrize(
    ("form", "changes", "message"),
    [
        (
            "awq",
            {"quant_method": "marlin"},
            (
                "{path} is quantized (marlin): use the checkpoint in AWQ, "
                f"GPTQ, compressed-tensors or MXFP4,{FLOATS[18:]}"
            ),
        ),
        ("awq", {"version": "GEMV"}, f"the version of AWQ must be gemm, not gemv: {FLOATS}"),
        ("awq", {"version": "exllama"}, f"the version of AWQ must be gemm, not exllama: {FLOATS}"),
        ("awq", {"backend": "llm-awq"}, f"the version of AWQ must be gemm, not llm-awq: {FLOATS}"),
        ("awq", {"bits": 8}, f"bits of AWQ must be 4, not 8: {FLOATS}"),
        (
            "awq",
            {"group_size": 0},
            (f"group_size must be a positive integer, or -1 for all inputs, not 0: {GET}"),
        ),
        (
            "awq",
            {"group_size": "32"},
            (f"group_size must be a positive integer, or -1 for all inputs, not '32': {GET}"),
        ),
        ("gptq", {"bits": 3}, f"bits of GPTQ must be 4 or 8, not 3: {FLOATS}"),
        ("gptq", {"bits": None}, f"bits of GPTQ must be 4 or 8, not None: {FLOATS}"),
        (
            "gptq",
            {"checkpoint_format": "marlin"},
            f"the format of GPTQ must be gptq or gptq_v2, not marlin: {FLOATS}",
        ),
        (
            "gptq",
            {"is_marlin_format": True},
            f"the format of GPTQ must be gptq or gptq_v2, not marlin: {FLOATS}",
        ),
        (
            "gptq",
            {"dynamic": {"+:.*down.*": {"bits": 8}}},
            f"dynamic must leave layers out, not pack them otherwise (+:.*down.*): {FLOATS}",
        ),
        (
            "compressed",
            {"format": "nvfp4-pack-quantized"},
            (
                "the format of compressed-tensors must be "
                f"pack-quantized or mxfp4-pack-quantized, not nvfp4-pack-quantized: {FLOATS}"
            ),
        ),
        (
            "compressed",
            {"sparsity_config": {"format": "sparse-24-bitmask"}},
            f"the format of sparsity_config must be dense, not sparse-24-bitmask: {FLOATS}",
        ),
        (
            "compressed",
            {"transform_config": {"config_groups": {"u": {}}}},
            f"transform_config must be empty: {FLOATS}",
        ),
        (
            "compressed",
            {"config_groups": [1]},
            (f"{{path}}/config.json is damaged (config_groups is no object): {GET}"),
        ),
        (
            "compressed",
            {"config_groups": {"a": {"targets": "Linear", "weights": {"num_bits": 4}}}},
            f"{{path}}/config.json is damaged (targets is no list): {GET}",
        ),
        (
            "compressed",
            {"config_groups": {"a": {"targets": ["re:("], "weights": {"num_bits": 4}}}},
            (
                "{path}/config.json is damaged (the target re:(: missing ), unterminated "
                f"subpattern at position 0): {GET}"
            ),
        ),
        (
            "compressed",
            {"config_groups": {"a": {"targets": ["Linear"], "weights": {"num_bits": 2}}}},
            f"num_bits of compressed-tensors must be 4 or 8, not 2: {FLOATS}",
        ),
        (
            "compressed",
            {
                "config_groups": {
                    "a": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}
                }
            },
            f"the type of weights must be int, not float: {FLOATS}",
        ),
        (
            "compressed",
            {
                "config_groups": {
                    "a": {"targets": ["Linear"], "weights": {"num_bits": 4, "strategy": "tensor"}}
                }
            },
            (f"the strategy of weights must be group or channel, not tensor: {FLOATS}"),
        ),
        (
            "compressed",
            {
                "config_groups": {
                    "a": {
                        "targets": ["Linear"],
                        "weights": {"num_bits": 4},
                        "input_activations": {"num_bits": 8},
                    }
                }
            },
            f"input_activations must be null, for vectors are encoded here: {FLOATS}",
        ),
    ],
)
def test_a_configuration_that_is_not_read(form, changes, message, tmp_path, seed):
    packed_model(tmp_path, FORMATS[form], seed).configure(**changes)
    if not message.startswith("{path}"):
        message = f"{{path}}/config.json: {message}"
    assert refused(tmp_path) == message.replace("{path}", str(tmp_path))


def test_a_layer_that_no_target_names(tmp_path, seed):
    made = packed_model(tmp_path, compressed(), seed)
    groups = compressed().config["config_groups"]["group_0"] | {"targets": ["re:.*q_proj"]}
    made.configure(config_groups={"a": groups})
    message = refused(tmp_path)
    assert message.endswith(
        ", whose layer no target of quantization_config names: get its config.json again"
    )
    assert message.startswith(f"{tmp_path}/model.safetensors holds the tensor model.layers.0.")
