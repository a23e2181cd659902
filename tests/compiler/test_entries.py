"""Forged manifests: whatever they say, a command tells it in one sentence or does its work."""

import json
import math
import shutil

import numpy as np
import pytest

from compiler.__main__ import main
from compiler.artifact.program import load
from compiler.programs.devices import build_devices
from compiler.programs.model import build_model
from golden.measure.profiling import record
from hw.contract.presets import preset
from tests.compiler.forged import MISSING, VALUES, forge, places
from tests.compiler.models import RandomCheckpoint, compiled, one_matrix, recipe

PARAMS = preset("test")
SAMPLES = 60  # of each kind of manifest: each is two or three commands


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Return a directory of each kind: layers, a model with a profile, several devices."""
    root = tmp_path_factory.mktemp("forged")
    compiled(root / "layers", one_matrix(70, 33, 4), PARAMS, np.random.default_rng(0), tokens=3)
    checkpoint, chosen = RandomCheckpoint(1, hidden_size=40, ffn_size=56, head_dim=8), recipe()
    ids = [at % 77 for at in range(48)]
    profile = record(checkpoint, chosen, [ids[:24], ids[24:]], text=("a", "0" * 64), context=24)
    choices = dict(params=PARAMS, recipe=chosen, context=20)
    build_model(checkpoint, root / "model", profile=profile, **choices)
    build_devices(checkpoint, root / "devices", devices=2, **choices)
    return root


@pytest.fixture
def directories(originals, tmp_path):
    shutil.copytree(originals, tmp_path, dirs_exist_ok=True)
    return tmp_path


def said(capsys, *arguments) -> str | None:
    """Return the sentence of a refused command, None of one that did its work."""
    status = main([*map(str, arguments)])
    printed = capsys.readouterr()
    if status == 0:
        return None
    assert (status, printed.out, printed.err.count("\n")) == (2, "", 1)
    return printed.err.removeprefix(f"python -m compiler {arguments[0]}: ").rstrip("\n")


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("coding",), "morse", "coding cannot be 'morse'"),
        (("regions", "tokens", "address"), 0, "region tokens: it must not begin within program"),
        (("layers",), [1], "layers cannot be [1]"),
        (("weights",), "good", "weights cannot be 'good'"),
        (("context",), 99, "its regions have no room for the tokens of 99 positions"),
        (("regions", "tokens"), MISSING, "its regions have no room for the tokens of 20 positions"),
        (("schedule",), "quick", "schedule cannot be 'quick'"),
        (("schedule", "profile"), MISSING, "schedule: profile is missing"),
        (("schedule", "codings"), {"head": "morse"}, "schedule: codings: head cannot be 'morse'"),
        (
            ("schedule", "predicted_cycles"),
            {"head": -1},
            "schedule: predicted_cycles: head cannot be -1",
        ),
        (("schedule", "words_a_cycle"), "one", "schedule: words_a_cycle cannot be 'one'"),
        (("schedule", "position"), "last", "schedule: position cannot be 'last'"),
        (("schedule", "order"), {"stream": "AAAA"}, "schedule: order is of an earlier version, "),
        (("operations", 0, "rule"), 3, "operation 0: rule cannot be 3"),
        (("operations", 0, "channels"), 0, "operation 0: channels cannot be 0"),
        (("operations", 1, "weights"), "w", "operation 1: there is no region 'w'"),
        (("operations", 0, "channels"), 1 << 16, "operation 0: channels cannot be 65536"),
        (("operations", 1, "channels"), 2**64, "operation 1: channels cannot be 18446744073709551"),
        (("operations", 1, "outputs"), 1 << 24, "operation 1: outputs cannot be 16777216"),
        (("operations", 1, "weight_width"), 3, "operation 1: weight_width cannot be 3"),
        (("operations", 0, "instructions"), [65537], "operation 0: its instructions must be below"),
        (("operations", 0, "tensor"), "layers.0.k", "tensor 4: name must be 'layers.0.k', as its"),
        (("tensors", 4), {"name": "a b", "row": 0}, "tensor 4: name cannot be 'a b'"),
        (("tensors", 4, "row"), 65, "tensor 4: row must be below 6, not 65"),
        (("regions", "x", "offset"), 2**63, "region x: offset cannot be 9223372036854775808"),
        (("regions", "x", "kind"), "x", "region x: kind cannot be 'x'"),
        (("regions", "x", "name"), "y", "region x: its name cannot be 'y'"),
        (("model", "hidden_size"), {"a": 1}, "model: hidden_size cannot be {'a': 1}"),
        (("model", "vocab_size"), None, "model: vocab_size cannot be None"),
        (("model", "kv_heads"), 4, "model: heads must be a multiple of kv_heads (4), not 6"),
        (("model", "rope_scaling"), 3, "model: rope_scaling cannot be 3"),
        (("recipe", "default"), -(2**63), "recipe: default cannot be -9223372036854775808"),
        (("recipe", "default", "clip"), 0.3, "recipe: default: clip must be a multiple of 1/256"),
        (("recipe", "fold"), 3, "recipe: fold cannot be 3"),
        (("recipe", "layer_sites"), {"head": {}}, "recipe: layer_sites: head cannot be 'head'"),
        (("tokens",), 0, "tokens cannot be 0"),
        (("layers",), [8], "layers cannot be [8]"),
        (("layers",), [], "layers cannot be []"),
        (("model", "name"), "\ud800", "its text is not all Unicode, or is nested too deep"),
    ],
)
def test_a_model_that_cannot_be(directories, capsys, place, value, wrong):
    model = directories / "model"
    forge(model, place, value)
    sentence = said(capsys, "verify", model)
    assert sentence.startswith(f"{model}/manifest.json cannot be used ({wrong}")
    assert sentence.endswith("): build the model again")


def test_a_number_that_json_has_not(directories, capsys):
    forge(directories / "model", ("operations", 0, "instructions"), [math.nan])
    assert said(capsys, "verify", directories / "model") == (
        f"{directories}/model/manifest.json is damaged (its checksum differs): build the model "
        "again"
    )


def test_memory_that_no_machine_has(directories):
    model = directories / "model"
    forge(model, ("memory_bytes",), 1 << 50)
    with pytest.raises(ValueError, match=r"needs 1,125,899,906,842,624 bytes of memory, more than"):
        load(model, PARAMS).image({})


def test_a_matrix_before_its_site(directories, capsys):
    model = directories / "model"
    operations = json.loads((model / "manifest.json").read_text())["operations"]
    forge(model, ("operations",), operations[1:])
    assert said(capsys, "verify", model) == (
        f"{model}/manifest.json cannot be used (operation 0: the MATMUL of layers.0.q must follow "
        "the ENCODE of layers.0.qkv): build the model again"
    )


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("shard", "kv_heads"), MISSING, "shard: kv_heads is missing"),
        (("shard", "x"), [0], "shard: x cannot be [0]"),
        (("shard", "act"), [3, 99], "shard: act must lie within the region act"),
        (("shard", "logits"), [0, 99], "shard: logits must lie within the region logits"),
        (("shard", "device"), 2, "shard: device must be below 2, not 2"),
        (("regions", "between"), MISSING, "shard: between must lie within the region between"),
        (("segments",), [], "segments cannot be []"),
        (("segments", 0), "first", "segment 0 cannot be 'first'"),
        (("segments", 0, "offset"), MISSING, "segment 0: offset is missing"),
        (("segments", 0, "exchange"), "q", "segment 0: exchange cannot be 'q'"),
        (("segments", 0, "offset"), 1 << 20, "segments: {name} must begin within the program"),
    ],
)
def test_a_share_that_cannot_be(directories, capsys, place, value, wrong):
    share = directories / "devices" / "device-1"
    segments = json.loads((share / "manifest.json").read_text())["segments"]
    forge(share, place, value)
    wrong = wrong.replace("{name}", segments[0]["name"])
    for directory in (share, directories / "devices"):
        sentence = said(capsys, "verify", directory)
        assert sentence.startswith(f"{share}/manifest.json cannot be used ({wrong}")
        assert sentence.endswith("): build the model again")


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("shard", "device"), 0, "device 1 is device 0 of 2"),
        (("shard", "devices"), 3, "device 1 is device 1 of 3"),
        (("shard", "kv_heads"), [0, 1], "kv_heads of device 1 must begin at 1, not at 0"),
        (
            ("segments", 0, "exchange"),
            "act",
            "device 1 has other programs or vectors than device 0",
        ),
        (("context",), 19, "device 1 has other programs or vectors than device 0"),
    ],
)
def test_shares_that_do_not_agree(directories, capsys, place, value, wrong):
    devices = directories / "devices"
    forge(devices / "device-1", place, value)
    assert said(capsys, "verify", devices) == (
        f"{devices} cannot be used ({wrong}): build the model again"
    )


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        (("devices",), 0, "shards must be of 1 devices, not of 2"),
        (("shards",), [], "shards must be of 2 devices, not of 0"),
        (("shards", 0), "0", "shards cannot be ['0', "),
    ],
)
def test_devices_that_cannot_be(directories, capsys, place, value, wrong):
    devices = directories / "devices"
    forge(devices, place, value)
    sentence = said(capsys, "verify", devices)
    assert sentence.startswith(f"{devices}/manifest.json cannot be used ({wrong}")


def test_a_share_that_is_a_model(directories, capsys):
    share = directories / "devices" / "device-0"
    shutil.rmtree(share)
    shutil.copytree(directories / "model", share)
    forge(share, ("format",), 3)
    assert said(capsys, "verify", directories / "devices") == (
        f"{share} holds no device's share of a model: build the model again"
    )


@pytest.mark.parametrize("name", ["layers", "model", "devices", "devices/device-1"])
def test_no_forged_entry_ends_in_a_traceback(directories, capsys, rng, name):
    directory, refused = directories / name, 0
    whole = directories / name.partition("/")[0]
    written = {path: path.read_bytes() for path in whole.rglob("manifest.json")}
    every = [*places(json.loads((directory / "manifest.json").read_text()))]
    for number in range(500 if name == "layers" else SAMPLES):
        place = every[rng.integers(len(every))]
        value = (*VALUES, MISSING)[rng.integers(len(VALUES) + 1)]
        forge(directory, place, value)
        wrong = said(capsys, "verify", whole)
        refused += wrong is not None
        if number < SAMPLES:
            said(capsys, "verify", whole, "--json")
        shown = said(capsys, "show", directory)
        assert wrong or name == "devices" or not shown, place  # of devices there is no listing
        for path, text in written.items():
            path.write_bytes(text)
    assert refused
    assert said(capsys, "verify", whole) is None
