"""What users type, and what they are told."""

import json

import pytest

from compiler.__main__ import main
from golden.fetch import KNOWN
from golden.recipe import known_recipes
from hw.presets import PRESETS


def run(capsys, *arguments):
    """Return exit status, stdout and stderr."""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = end.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


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
    assert f"balance: {gate['finding']}\n" in out
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
        (
            {"model": "sdllm-7b"},
            (
                "there is no checkpoint sdllm-7b: name a Hugging Face directory, a .gguf file, a "
                f"llama2.c .bin file, or one of {', '.join(KNOWN)}"
            ),
        ),
    ],
)
def test_bad_input_is_one_sentence(capsys, tmp_path, stories260k, changes, message):
    options = {"--layers": "mlp0", "-o": tmp_path / "model"} | changes
    model = options.pop("model", stories260k)
    arguments = [word for option in options.items() for word in option]
    assert run(capsys, "build", model, *arguments) == (2, "", f"python -m compiler: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_sentence(capsys, tmp_path, stories260k):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "model"
    result = run(capsys, "build", stories260k, "--layers", "k0", "-o", target)
    assert result == (2, "", f"python -m compiler: {tmp_path / 'file'}: File exists\n")


@pytest.mark.parametrize("command", ["verify", "show"])
def test_a_missing_model_is_one_sentence(capsys, tmp_path, command):
    assert run(capsys, command, tmp_path) == (
        2,
        "",
        (
            f"python -m compiler: {tmp_path} is no compiled model (it has no manifest.json): make "
            "one with python -m compiler build\n"
        ),
    )


def test_a_missing_option_is_one_sentence(capsys):
    assert run(capsys, "build", "stories260k") == (
        2,
        "",
        (
            "python -m compiler build: the following arguments are required: --layers, -o/--output "
            "(see --help)\n"
        ),
    )
