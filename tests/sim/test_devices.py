"""``--devices``: reports, compiled directories, and one sentence for what is wrong."""

import json
import shutil

import pytest

from compiler.__main__ import main as compile_main
from compiler.programs.devices import build_devices, load_devices
from golden.checkpoint.checkpoint import load
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from sim.__main__ import main
from tests.compiler.models import RandomCheckpoint, recipe

STORY = "Once upon a time, there was a little girl named Lily."


def run(*arguments: object, command=main) -> int:
    try:
        return command([*map(str, arguments)])
    except SystemExit as end:  # argparse's way
        return end.code


def refusal(capsys, *arguments: object, command=main) -> str:
    """Return the one sentence of a refused request."""
    capsys.readouterr()
    assert run(*arguments, command=command) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m ") and printed.err.count("\n") == 1
    return printed.err.partition(": ")[2].rstrip("\n")


@pytest.fixture
def stories(stories260k, tmp_path):
    """Return the arguments of a quick run."""
    return ("generate", "--model", "stories260k", "--preset", "test", "-o", tmp_path / "out")


@pytest.fixture
def small(tmp_path):
    """Return the directory of a small model for two devices."""
    return build_devices(
        RandomCheckpoint(1), tmp_path / "m", devices=2, params=preset("test"), recipe=recipe()
    ).directory


def test_a_story_is_one_device_s_and_golden_s(stories, tmp_path, capsys):
    assert run(*stories, "--devices", 2, "--tokens", 11, "--check", "golden") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{STORY}\n11 tokens on functional × 2, ")
    assert "the same bits as one device's, the same as golden's " in " ".join(printed.split())
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert made["passed"] and made["prompt"] + made["text"] == STORY
    scale = made["scale_out"]
    assert scale["devices"] == len(scale["shards"]) == 2
    assert scale["link"] == {"bytes_per_cycle": 4, "latency": 100}
    for shard in scale["shards"]:
        assert shard["kv_heads"] == 2
        assert shard["weight_bytes"] == scale["one"]["weight_bytes"] // 2
        assert shard["counters"]["weight_bytes_read"] > 0
    received = scale["exchange"]["bytes_received"]
    assert scale["exchange"]["bytes_per_position"] == round(sum(received) / made["positions"], 1)
    assert scale["speed_up"] is scale["exchange"]["cycles_per_position"] is None


def test_cycles_and_speed_up(stories, tmp_path, capsys):
    link = ("--link-bytes", 2, "--link-latency", 10)
    assert run(*stories, "--devices", 4, "--tokens", 1, "--device", "cycle", *link, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    scale = made["scale_out"]
    assert scale["link"] == {"bytes_per_cycle": 2, "latency": 10}
    whole = scale["device_cycles_per_position"] + scale["exchange"]["cycles_per_position"]
    assert made["cycles_per_position"] == pytest.approx(whole, abs=0.2)
    one = scale["one"]["cycles_per_position"]
    assert scale["speed_up"] == pytest.approx(one / whole, abs=1e-3) and scale["speed_up"] > 1


def test_a_difference_from_one_device_is_told(stories, monkeypatch, capsys):
    monkeypatch.setattr("sim.scale.link.Interconnect.gather", lambda self, name: None)
    assert run(*stories, "--devices", 2, "--tokens", 2) == 1
    assert "device 0: x differs from one device's, first in its word or byte " in (
        capsys.readouterr().err
    )


def test_what_several_devices_do_not_have(stories, capsys):
    assert refusal(capsys, *stories, "--devices", 2, "--device", "rtl") == (
        "device must be one of functional, cycle where several share a model, not 'rtl': there is "
        "no RTL of what connects them"
    )
    assert refusal(capsys, *stories, "--devices", 5) == (
        "devices must be at most 4, not 5: stories260k has 4 key heads, which stay whole"
    )
    assert refusal(capsys, *stories, "--devices", 0) == "devices must be at least 1, not 0"
    assert refusal(capsys, *stories, "--link-bytes", 8) == (
        "--link-bytes and --link-latency must be left out: one device has no link"
    )
    assert refusal(capsys, *stories, "--devices", 2, "--link-bytes", 0) == (
        "link bytes must be at least 1, not 0"
    )


def test_a_build_for_several_devices_runs_and_is_verified(stories260k, tmp_path, capsys):
    directory, report = tmp_path / "m", tmp_path / "out" / "report.json"
    build = ("build", stories260k, "--preset", "test", "--context", 20, "-o", directory)
    assert run(*build, "--devices", 2, "--json", command=compile_main) == 0
    told = json.loads(capsys.readouterr().out)
    assert run("verify", directory, "--json", command=compile_main) == 0
    assert json.loads(capsys.readouterr().out)["shards"] == told["shards"]
    assert [shard["programs"] for shard in told["shards"]] == [5 * 4 + 2] * 2
    assert run("show", directory / "device-1", command=compile_main) == 0
    listing = capsys.readouterr().out
    assert listing.count(" END\n") == 5 * 4 + 2 and "MATMUL" in listing
    choice = ("--model", stories260k, "--compiled", directory, "-o", tmp_path / "out")
    assert run("generate", *choice, "--prompt", "Once upon a time", "--tokens", 11) == 0
    assert STORY in capsys.readouterr().out
    assert json.loads(report.read_text())["scale_out"]["one"] is None
    assert refusal(capsys, "generate", "--compiled", directory, "--devices", 2) == (
        f"--devices: what is compiled in {directory} stands (see --help)"
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--layers", "mlp0"), "must be left out: they share the whole model, not mlp0"),
        (("--profile", "p.npz"), "--profile must be left out: several devices do not have it yet"),
        (("--weights", "none"), "--devices must be left out of a plan without weights"),
    ],
)
def test_what_a_build_for_several_devices_does_not_have(stories260k, options, sentence, capsys):
    build = ("build", stories260k, "--preset", "test", "--devices", 2, "-o", "/nowhere/m")
    assert sentence in refusal(capsys, *build, *options, command=compile_main)


def test_a_build_of_synthetic_weights_says_so(stories260k, tmp_path, capsys):
    build = ("build", stories260k, "--preset", "test", "--devices", 2, "-o", tmp_path / "m")
    options = ("--context", 8, "--weights", "synthetic", "--seed", 3)
    assert run(*build, *options, command=compile_main) == 0
    loaded = load_devices(tmp_path / "m")
    for manifest in (loaded.manifest, *(shard.manifest for shard in loaded.shards)):
        assert (manifest["weights"], manifest["seed"]) == ("synthetic", 3)


def test_one_device_s_share_is_no_model(small, capsys):
    share = small / "device-1"
    assert refusal(capsys, "generate", "--compiled", share) == (
        f"{share} is one device's share of a model: run all of {small}"
    )
    assert refusal(capsys, "run", "--compiled", share) == (
        f"{share} holds one device's share of a model, not layers: run it with python -m sim "
        "generate"
    )
    for arguments in (("run", "--compiled", small), ("diverge", "functional", "cycle",
                      "--compiled", small)):  # fmt: skip
        assert refusal(capsys, *arguments) == (
            f"{small} is compiled for 2 devices: run it with python -m sim generate, or name one "
            f"of them, such as {small / 'device-0'}"
        )


def test_shares_of_different_builds_do_not_go_together(small, tmp_path):
    other = build_devices(
        RandomCheckpoint(2), tmp_path / "n", devices=2, params=preset("test"), recipe=recipe()
    ).directory
    shutil.rmtree(small / "device-1")
    shutil.copytree(other / "device-1", small / "device-1")
    with pytest.raises(ValueError, match="device-1 is of another build than .*: build the model"):
        load_devices(small)
    shutil.rmtree(small / "device-1")
    with pytest.raises(ValueError, match="device-1 is no compiled model"):
        load_devices(small)


def test_damage_in_a_share_is_found(small):
    file = small / "device-1" / "weights-00000.bin"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ValueError, match=r"device-1/weights-00000.bin is damaged"):
        load_devices(small)


def test_a_directory_with_something_else_in_a_share_is_left_alone(small):
    (small / "device-0" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is no compiled model, so it is left alone"):
        build_devices(RandomCheckpoint(1), small, devices=2, params=preset("test"), recipe=recipe())
    assert (small / "device-0" / "notes.txt").read_text() == "mine"


def test_a_build_goes_on_where_it_was_interrupted(tmp_path):
    """No share's file is read by another share's journal; the result is that of one go."""
    choices = dict(devices=2, params=preset("test"), recipe=recipe(), context=16)
    want = build_devices(RandomCheckpoint(3), tmp_path / "want", **choices)
    told = []

    def stop(doing: str) -> None:
        told.append(doing)
        if doing == "layers.1.o of device-1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_devices(RandomCheckpoint(3), tmp_path / "m", progress=stop, **choices)
    again = []
    made = build_devices(RandomCheckpoint(3), tmp_path / "m", progress=again.append, **choices)
    assert again[0] == "going on with an unfinished build"
    assert made.manifest["shards"] == want.manifest["shards"]


def test_a_checkpoint_s_weights_are_those_of_every_share(stories260k, tmp_path):
    compiled = build_devices(
        load(stories260k),
        tmp_path / "m",
        devices=2,
        params=preset("test"),
        recipe=load_recipe("w8"),
        context=8,
    )
    sums = [shard.manifest["checkpoint"] for shard in compiled.shards]
    assert len({*sums}) == 2 and all(len(found) == 64 for found in sums)
