"""What a user is told of packed weights that cannot be used, word for word."""

import pytest
import torch

from golden.checkpoint.checkpoint import CheckpointError, load
from tests.golden.make_checkpoints import refused
from tests.golden.pack_checkpoints import (
    awq,
    compressed,
    compressed_mxfp4,
    gptq,
    mxfp4,
    packed_model,
)

GET = "get it again"
DOWN = "model.layers.0.mlp.down_proj"  # (128, 256)
FORMATS = {
    "awq": awq(),
    "gptq": gptq(),
    "compressed": compressed(sym=False),
    "mxfp4": mxfp4(),
    "compressed-mxfp4": compressed_mxfp4(),
}


@pytest.fixture
def made(request, tmp_path, seed):
    return packed_model(tmp_path, FORMATS[request.param], seed)


def of(*cases):
    """Parametrize by a format's name and what follows."""
    names = ",".join(["made", *("abc"[: len(cases[0]) - 1])])
    return pytest.mark.parametrize(names, cases, indirect=["made"])


@of(
    ("awq", "qzeros", "qweight"),
    ("awq", "scales", "qweight"),
    ("awq", "qweight", "qzeros"),
    ("gptq", "qzeros", "qweight"),
    ("gptq", "scales", "qweight"),
    ("compressed", "weight_scale", "weight_packed"),
    ("compressed", "weight_zero_point", "weight_packed"),
    ("compressed", "weight_shape", "weight_packed"),
)
def test_a_part_that_is_missing(made, a, b):
    path = made.save(**{f"{DOWN}.{a}": None})
    assert refused(path) == (
        f"{path} lacks the tensor {DOWN}.{a}, though it holds {DOWN}.{b}: it is incomplete, {GET}"
    )


def test_missing_scales_of_mxfp4(tmp_path, seed):
    path = packed_model(tmp_path, mxfp4(), seed).save(**{f"{DOWN}.weight_scales": None})
    assert refused(path) == (
        f"{path} lacks the tensor {DOWN}_scales, though it holds {DOWN}.weight_blocks: it is "
        f"incomplete, {GET}"
    )


def i32(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.int32)


def u8(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.uint8)


TOGETHER = f"it and the packed weights do not belong together, {GET}"


@of(
    ("awq", {"qzeros": i32(8, 15)}, f"qzeros must have the shape [8, 16], not [8, 15]: {TOGETHER}"),
    (
        "awq",
        {"qweight": i32(256, 16, 1)},
        f"qweight must have two axes, not the shape [256, 16, 1]: {GET}",
    ),
    ("awq", {"qweight": i32(0, 16)}, f"qweight must have two axes, not the shape [0, 16]: {GET}"),
    ("awq", {"qweight": torch.zeros(256, 16)}, f"qweight must be I32, not F32: {GET}"),
    (
        "awq",
        {"scales": torch.zeros(0, 128)},
        f"scales must have the shape [8, 128], not [0, 128]: {TOGETHER}",
    ),
    ("awq", {"scales": i32(8, 128)}, f"scales must be one of F32, F16, BF16, not I32: {GET}"),
    (
        "gptq",
        {"qzeros": i32(8, 128)},
        f"qzeros must have the shape [8, 16], not [8, 128]: {TOGETHER}",
    ),
    ("gptq", {"g_idx": i32(255)}, f"g_idx must have the shape [256], not [255]: {TOGETHER}"),
    ("gptq", {"g_idx": torch.zeros(256)}, f"g_idx must be one of I32, I64, not F32: {GET}"),
    (
        "gptq",
        {"g_idx": i32(256) + 8},
        f"g_idx must name groups from 0 to 7, not 8: the file is damaged, {GET}",
    ),
    (
        "gptq",
        {"g_idx": i32(256) - 1},
        f"g_idx must name groups from 0 to 7, not -1: the file is damaged, {GET}",
    ),
    (
        "compressed",
        {"weight_packed": i32(128, 31)},
        f"weight_packed must have the shape [128, 32], not [128, 31]: {TOGETHER}",
    ),
    (
        "compressed",
        {"weight_scale": torch.zeros(128, 1)},
        f"weight_scale must have the shape [128, 8], not [128, 1]: {TOGETHER}",
    ),
    (
        "compressed",
        {"weight_zero_point": i32(128, 8)},
        f"weight_zero_point must have the shape [16, 8], not [128, 8]: {TOGETHER}",
    ),
    (
        "compressed",
        {"weight_shape": torch.tensor([64, 256])},
        (
            "weight_shape must be 128 outputs and some inputs, not [64, 256]: the file is damaged, "
            f"{GET}"
        ),
    ),
    (
        "compressed",
        {"weight_g_idx": torch.arange(256, dtype=torch.int32) // 16},
        f"weight_g_idx must name groups from 0 to 7, not 8: the file is damaged, {GET}",
    ),
    (
        "compressed",
        {"weight_g_idx": torch.arange(256, dtype=torch.int32) // 64},
        f"weight_g_idx must name each group 32 times: the file is damaged, {GET}",
    ),
    (
        "mxfp4",
        {"weight_blocks": u8(128, 128)},
        (
            "weight_blocks must have the shape [outputs, inputs "
            f"/ 32, 16], not [128, 128]: the file is damaged, {GET}"
        ),
    ),
    (
        "mxfp4",
        {"weight_scales": u8(128, 7)},
        f"weight_scales must have the shape [128, 8], not [128, 7]: {TOGETHER}",
    ),
    ("mxfp4", {"weight_scales": torch.zeros(128, 8)}, f"weight_scales must be U8, not F32: {GET}"),
    (
        "compressed-mxfp4",
        {"weight_packed": i32(128, 32)},
        f"weight_packed must be U8, not I32: {GET}",
    ),
)
def test_a_part_that_does_not_fit(made, a, b):
    path = made.save(**{f"{DOWN}.{part}": value for part, value in a.items()})
    assert refused(path) == f"{path}/model.safetensors: {DOWN}.{b}"


@of(("awq", "qweight", 96), ("gptq", "qweight", 96), ("gptq", "qweight", 48))
def test_groups_that_do_not_divide(made, a, b):
    path = made.configure(group_size=b)
    message = refused(path)
    assert message.startswith(f"{path}/model.safetensors: group_size must divide the ")
    assert message.endswith(f".{a}, not be {b}: quantize it with another group_size")


@of(("awq", "qweight", [256, 8], [64, 256]), ("gptq", "qweight", [32, 64], [64, 256]))
def test_packed_weights_of_another_model(made, a, b, c):
    n = c[0]
    path = made.save(
        **{
            f"{DOWN}.{a}": i32(*b),
            f"{DOWN}.qzeros": i32(8, n // 8),
            f"{DOWN}.scales": torch.ones(8, n),
        }
    )
    assert refused(path) == (
        f"{path}: {DOWN} must have the shape [128, 256], not {c}: configuration and weights do not "
        "belong together"
    )


@pytest.mark.parametrize(
    ("value", "told"), [(torch.nan, "nan"), (torch.inf, "inf"), (-torch.inf, "-inf"), (0.0, "0")]
)
@of(("awq", "scales"), ("gptq", "scales"), ("compressed", "weight_scale"))
def test_scales_that_are_no_numbers(made, a, value, told):
    key = f"{DOWN}.{a}"
    scales = made.tensors[key].clone()
    scales[(9, 3) if a == "weight_scale" else (3, 9)] = value
    path = made.save(**{key: scales})
    message = (
        f"{path}/model.safetensors: {key} holds {told} for output channel 9, group 3, but scales "
        f"must be finite and not 0: the file is damaged, {GET}"
    )
    assert refused(path) == message
    with pytest.raises(CheckpointError) as error:
        load(path).grid("layers.0.down").read(8, 16)
    assert str(error.value) == message


@of(("mxfp4", "weight_scales"), ("compressed-mxfp4", "weight_scale"))
def test_the_exponent_that_is_no_number(made, a):
    key = f"{DOWN}.{a}"
    scales = made.tensors[key].clone()
    scales[100, 7] = 255
    path = made.save(**{key: scales})
    assert refused(path) == (
        f"{path}/model.safetensors: {key} holds nan for output channel 100, group 7, but scales "
        f"must be finite and not 0: the file is damaged, {GET}"
    )


def test_an_exponent_beyond_float32(tmp_path, seed):
    made = packed_model(tmp_path, mxfp4(), seed)
    key = f"{DOWN}.weight_scales"
    path = made.save(**{key: torch.full((128, 8), 254, dtype=torch.uint8)})
    assert f"{path}: {DOWN} holds " in refused(path)


def test_weights_that_are_there_twice(tmp_path, seed):
    path = packed_model(tmp_path, awq(), seed).save(**{f"{DOWN}.weight": torch.zeros(128, 256)})
    assert refused(path) == (
        f"{path}/model.safetensors holds the tensor {DOWN}.weight, which is packed too: get them "
        "all again"
    )


def test_parts_of_another_format(tmp_path, seed):
    made = packed_model(tmp_path, awq(), seed)
    made.configure(**compressed().config)
    assert " lacks the tensor " in refused(tmp_path)


@pytest.mark.parametrize("made", ["awq", "gptq", "compressed", "mxfp4"], indirect=True)
def test_a_file_that_is_cut_short_after_it_was_opened(made):
    checkpoint = load(made.path)
    place = made.path / "model.safetensors"
    place.write_bytes(place.read_bytes()[:-9])
    with pytest.raises(CheckpointError) as error:
        for name in checkpoint.names():
            checkpoint.tensor(name)
    assert f"cannot be read: {place} ends 9 bytes before it does" in str(error.value)
