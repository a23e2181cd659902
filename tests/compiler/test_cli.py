"""What users type, and what they are told."""

import json
from dataclasses import replace

import pytest

from compiler.artifact.program import load
from compiler.boards.board import boards
from compiler.models.known import KNOWN_MODELS
from golden.recipe.recipe import known_recipes
from hw.contract.description import describe
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import PRESETS, preset
from tests.compiler.cli import run


def test_build_verify_and_show(capsys, tmp_path, stories260k):
    model = tmp_path / "model"
    options = ("--layers", "mlp0,k1", "-o", model, "--preset", "test", "--recipe", "w4")
    status, out, err = run(capsys, "build", stories260k, *options, "--tokens", 3, "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert [m["matrix"] for m in report["matrices"]] == [
        "layers.0.gate",
        "layers.0.up",
        "layers.0.down",
        "layers.1.k",
    ]
    assert report["layers"] == ["mlp0", "k1"]
    assert (report["tokens"], report["coding"], report["recipe"]) == (3, "csd", "w4")
    assert report["weights"] == "real"
    gate, down = report["balance"]
    assert gate["matrices"] == ["layers.0.gate", "layers.0.up", "layers.1.k"]
    assert down["matrices"] == ["layers.0.down"]

    status, out, err = run(capsys, "verify", model, "--preset", "test")
    assert (status, err) == (0, "")
    assert "balance:" not in out
    assert "layers.0.gate" in out and report["fingerprint"] in out

    status, out, err = run(capsys, "show", model)
    assert (status, err) == (0, "")
    assert out.splitlines()[1].split()[:2] == ["0", "ENCODE"]
    status, out, err = run(capsys, "show", model, "--json")
    assert json.loads(out)[-1] == {"operation": "END"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"--layers": "mlp5"},
            (
                "layer must be one of mlpN, attnN, qN, kN, vN, oN, gateN, upN, downN with N from 0 "
                "to 4, or lm_head, not 'mlp5'"
            ),
        ),
        ({"--layers": ","}, "layers must name at least one layer, such as mlp0"),
        ({"--preset": "huge"}, f"preset must be one of {', '.join(sorted(PRESETS))}, not 'huge'"),
        ({"--coding": "binary"}, "coding must be one of unary, bitwise, csd, not 'binary'"),
        ({"--tokens": "0"}, "tokens must be at least 1, not 0"),
        ({"--rows": "4"}, "rows needs a single matrix, such as down0, not mlp0"),
        (
            {"--layers": "k0", "--rows": "33"},
            "rows must be A:B with 0 <= A < B <= 32, or a count up to that, not '33'",
        ),
        (
            {"--recipe": "sparse"},
            (
                "recipe sparse has a dead_quantile, which only the golden model can follow: give "
                "a dead_zone instead"
            ),
        ),
        (
            {"--recipe": "w3"},
            f"there is no recipe w3: name one of {', '.join(known_recipes())}, or a TOML file",
        ),
    ],
)
def test_bad_input_is_one_sentence(capsys, tmp_path, stories260k, changes, message):
    options = {"--layers": "mlp0", "-o": tmp_path / "model"} | changes
    model = options.pop("model", stories260k)
    arguments = [word for option in options.items() for word in option]
    assert run(capsys, "build", model, *arguments) == (
        2,
        "",
        f"python -m compiler build: {message}\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(capsys, tmp_path, stories260k):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "model"
    result = run(capsys, "build", stories260k, "--layers", "k0", "-o", target)
    message = (
        f"{tmp_path / 'file'} cannot be used (File exists): name a place in a directory, not in a "
        "file"
    )
    assert result == (2, "", f"python -m compiler build: {message}\n")


@pytest.mark.parametrize("value", ["-5", "0", "4GB"])
def test_memory_that_is_no_number_of_bytes_is_one_sentence(capsys, tmp_path, value):
    result = run(capsys, "build", "sdllm-7b", "--memory", value, "-o", tmp_path / "model")
    message = f"must be a whole number of bytes, at least 1, not {value!r} (see --help)"
    assert result == (2, "", f"python -m compiler build: argument --memory: {message}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_missing_model_is_one_sentence(capsys, tmp_path, command):
    assert run(capsys, command, tmp_path) == (
        2,
        "",
        (
            f"python -m compiler {command}: {tmp_path} is no compiled model (it has no "
            "manifest.json): make one with python -m compiler build\n"
        ),
    )


def test_a_missing_model_to_build_is_one_sentence(capsys):
    assert run(capsys, "build") == (
        2,
        "",
        "python -m compiler build: MODEL must be given, first or as --model (see --help)\n",
    )


PLAN = "a plan without weights is of the whole model, not of mlp0: leave out --layers, or give a "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sdllm-9b"],
            (
                f"there is no model sdllm-9b: name one of {', '.join(KNOWN_MODELS)}, or a "
                "checkpoint: a Hugging Face directory, a .gguf file or a llama2.c .bin file"
            ),
        ),
        (["sdllm-7b", "--layers", "mlp0"], PLAN + "--checkpoint or --weights synthetic"),
        (
            ["sdllm-7b", "--weights", "real"],
            (
                "sdllm-7b comes without weights: give a --checkpoint, or leave out --weights for a "
                "plan"
            ),
        ),
        (
            ["sdllm-7b", "--weights", "trained"],
            "weights must be one of real, synthetic, none, not 'trained'",
        ),
        (
            ["sdllm-7b", "--weights", "synthetic"],
            "synthetic weights need a --seed, such as --seed 1",
        ),
        (
            ["sdllm-7b", "--weights", "synthetic", "--seed", "-1"],
            "seed must be at least 0, not -1",
        ),
        (["sdllm-7b", "--seed", "1"], "--seed must be left out: it is for --weights synthetic"),
        (
            ["sdllm-7b", "--weights", "synthetic", "--seed", "1", "--checkpoint", "x"],
            "--checkpoint must be left out: weights are synthetic, not real ones",
        ),
        (
            ["sdllm-7b", "--checkpoint", "nowhere"],
            "there is no checkpoint nowhere: give the path of one of sdllm-7b",
        ),
        (
            ["sdllm-7b", "--preset", "edge"],
            (
                "layers.0.down has 11,008 channels, but this hardware takes at most 8,192 "
                "(max_channels): choose a larger preset, such as datacenter"
            ),
        ),
        (
            ["sdllm-7b", "--board", "arty"],
            f"board must be one of {', '.join(boards())}, not 'arty'",
        ),
        (
            ["sdllm-7b", "--board", "vck190", "--preset", "edge"],
            "--preset must be left out: --board picks the hardware",
        ),
        *(
            (
                ["sdllm-7b", f"--{name}", value, "--hardware", "spikeloom_top.json"],
                f"--{name} must be left out: --hardware says what it is",
            )
            for name, value in (("preset", "edge"), ("board", "kv260"))
        ),
        (
            ["stories260k", "--weights", "none", "--board", "kv260", "--layers", "mlp0"],
            "--board must be left out: mlp0 does not have it",
        ),
        (
            ["stories260k", "--weights", "none", "--board", "kv260", "--devices", "2"],
            "--board must be left out: several devices do not have it yet",
        ),
        (
            ["sdllm-7b", "--board", "kv260", "--recipe", "w4"],
            (
                "sdllm-7b needs 4,312,125,440 bytes of memory at 1,024 positions, but KV260 has "
                "4,294,967,296: choose fewer bits of a weight, a shorter context or another board"
            ),
        ),
        (
            ["sdllm-7b", "--board", "arty-a7-100t", "--memory", "268435457"],
            ("--memory must be at most 268,435,456 bytes, which Arty A7-100T has, not 268,435,457"),
        ),
        (["sdllm-7b", "--position", "4096"], "position must be 0 to 4095, not 4096"),
        (
            ["sdllm-7b", "--weights", "synthetic", "--seed", "1", "--recipe", "stories260k"],
            (
                "recipe stories260k has a [fold], which is found by running the trained model: "
                "choose another for synthetic weights"
            ),
        ),
    ],
)
def test_a_bad_request_is_one_sentence(capsys, tmp_path, arguments, message):
    result = run(capsys, "build", *arguments, "-o", tmp_path / "model")
    assert result == (2, "", f"python -m compiler build: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_other_shapes_is_one_sentence(capsys, tmp_path, stories260k):
    result = run(capsys, "build", "sdllm-7b", "--checkpoint", stories260k, "-o", tmp_path / "model")
    message = (
        f"vocab_size of {stories260k} must be 32000, as in sdllm-7b, not 512: give a checkpoint of "
        "that model, or build the checkpoint by its path"
    )
    assert result == (2, "", f"python -m compiler build: {message}\n")


def test_a_checkpoint_of_a_named_model_and_synthetic_weights(capsys, tmp_path, stories260k):
    options = ("--layers", "k0", "--preset", "test")
    real = ("stories260k", "--checkpoint", stories260k, "-o", tmp_path / "real")
    assert run(capsys, "build", *real, *options)[0] == 0
    assert load(tmp_path / "real").manifest["weights"] == "real"
    made = ("stories260k", "--weights", "synthetic", "--seed", 3, "-o", tmp_path / "made")
    assert run(capsys, "build", *made, *options)[0] == 0
    manifest = load(tmp_path / "made").manifest
    assert (manifest["weights"], manifest["seed"]) == ("synthetic", 3)


def test_a_program_for_any_hardware_that_was_generated(capsys, tmp_path, stories260k):
    params = replace(preset("test"), tokens=1, lanes=16)
    file = tmp_path / "spikeloom_top.json"
    file.write_text(json.dumps(describe(params)))
    asked = ["build", stories260k, "--layers", "q0", "--hardware", file, "-o", tmp_path / "q0"]
    status, _, error = run(capsys, *asked)
    assert (status, error) == (0, "")
    assert load(tmp_path / "q0").params == params

    about = describe(params) | {"fingerprint": "0" * 64}
    file.write_text(json.dumps(about))
    status, _, error = run(capsys, *asked[:-1], tmp_path / "other")
    said = f"{file} is of hardware {'0' * 64}, but this version makes {fingerprint(params)} of its"
    assert (status, error) == (
        2,
        f"python -m compiler build: {said} parameters: generate it again\n",
    )
    assert not (tmp_path / "other").exists()


def test_a_plan_of_7b_goes_to_its_own_place(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, "build", "sdllm-7b")
    assert (status, err) == (0, "")
    directory = tmp_path / "build" / "compiled" / "sdllm-7b"
    assert "firing: assumed" in out and "report: build/compiled/sdllm-7b/report.html" in out
    report = json.loads((directory / "report.json").read_text())
    assert report["weights"] == "none" and report["model"]["ffn_size"] == 11008
    assert report["params"] == PRESETS["datacenter"].as_dict()
