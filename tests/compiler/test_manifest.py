"""Manifests: what they say, and those that are damaged or cannot be."""

import json

import pytest

from compiler.artifact import manifest
from tests.compiler.refused import refusal


def test_the_manifest_describes_the_operations(built):
    encode, matmul = built.manifest["operations"]
    assert encode["instructions"] == [0, 2]
    assert matmul["instructions"] == [1, 3]
    # 70 outputs of 4 bits: two tiles of 32 in 2 words (4 beats) each, one of 6 in 1 word (2 beats).
    assert matmul["tiles"] == 3
    assert matmul["weight_bytes"] == 33 * (2 + 2 + 1) * 8
    assert matmul["dense_cycles"] == 2 * 33 * (4 + 4 + 2)
    json.dumps(built.manifest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-30],
        lambda text: "[]",
        lambda text: "",
        lambda text: text.replace('"tokens": 3', '"tokens": 4', 1),
        lambda text: text.replace('"sha256"', '"sha257"'),
        lambda text: "\xff",
    ],
)
def test_a_damaged_manifest_is_refused(built, damage):
    path = built.directory / "manifest.json"
    path.write_text(damage(path.read_text()), encoding="latin-1")
    assert refusal(built.directory) == (
        f"{path} is damaged (its checksum differs): build the model again"
    )


def test_a_manifest_nested_beyond_reading_is_damaged(built):
    (built.directory / "manifest.json").write_text("[" * 100_000)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json is damaged (its checksum differs): build the model again"
    )


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_is_no_compiled_model_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert refusal(tmp_path / name) == (
        f"{tmp_path / name} is no compiled model (it has no manifest.json): make one with "
        "python -m compiler build"
    )


def test_another_format_is_refused(built):
    manifest.write({**built.manifest, "format": 1}, built.directory)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json must be of format 3, not 1: build the model again with "
        "this version"
    )


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"kind": "model"}, "context is missing"),
        ({"kind": ["model"]}, "kind must be one of layers, model, shard, devices, not ['model']"),
        ({"tokens": True}, "tokens cannot be True"),
        ({"recipe": "w8"}, "recipe cannot be 'w8'"),
        ({"regions": {}}, "it has no program"),
        ({"regions": []}, "regions cannot be []"),
        (
            {"operations": [{"operation": "ADD"}]},
            "operation 0 must be one of ENCODE, MATMUL, not 'ADD'",
        ),
        ({"tensors": []}, "tensors must have an entry for each slot of the program"),
        ({"tensors": [{"name": "w"}]}, "tensor 0: row is missing"),
        ({"tensors": None}, "tensors cannot be None"),
        ({"operations": [{"operation": "MATMUL"}]}, "operation 0: site is missing"),
        (
            {"operations": [1]},
            "operation 0 cannot be 1",
        ),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(built, changes, wrong):
    manifest.write({**built.manifest, **changes}, built.directory)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json cannot be used ({wrong}): build the model again"
    )


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"bytes": -5}, "bytes cannot be -5"),
        ({"bytes": 1 << 50}, "it must end by byte {memory:,} of the memory"),
        ({"offset": "0"}, "offset cannot be '0'"),
        ({"file": "../../etc/passwd"}, "file cannot be '../../etc/passwd'"),
        ({"file": "manifest.json"}, "file cannot be 'manifest.json'"),
        ({"sha256": "0"}, "sha256 cannot be '0'"),
        ({"file": None}, "file cannot be None"),
        ({"crc32": "0123456789"}, "crc32 must have 8 hexadecimal digits"),
    ],
)
def test_a_region_that_cannot_be_is_refused(built, changes, wrong):
    regions = built.manifest["regions"]
    regions = {**regions, "w.weights": {**regions["w.weights"], **changes}}
    manifest.write({**built.manifest, "regions": regions}, built.directory)
    wrong = wrong.format(memory=built.memory_bytes)
    assert refusal(built.directory) == (
        f"{built.directory}/manifest.json cannot be used (region w.weights: {wrong}): build the "
        "model again"
    )
