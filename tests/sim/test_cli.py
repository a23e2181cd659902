"""The command line: exit statuses, and one sentence for whatever is wrong."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from golden.checkpoint.checkpoint import load
from hw.contract.presets import preset
from sim.__main__ import main
from sim.errors import ToolError
from sim.functional.device import Functional

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> int:
    try:
        return main(["run", *arguments])
    except SystemExit as end:  # argparse's way
        return end.code


def refusal(capsys, *arguments: str) -> str:
    """Return the one sentence of a refused request."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m sim")
    assert printed.err.count("\n") == 1
    return printed.err.partition(": ")[2].rstrip("\n")


@pytest.fixture
def stories(stories260k, tmp_path):
    """Return the arguments of a quick run."""
    common = ("--model", "stories260k", "--preset", "test", "--device", "functional")
    return (*common, "-o", str(tmp_path / "out"))


def test_a_good_run(stories, tmp_path, capsys):
    assert run(*stories, "--layer", "mlp2", "--recipe", "w4", "--coding", "bitwise") == 0
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert made["bit_exact"] is True
    assert (made["device"], made["cycles"], made["coding"]) == ("functional", None, "bitwise")
    assert (made["layer"], made["recipe"], made["weights"]) == ("mlp2", "w4", "real")
    assert "layers.2.down" in capsys.readouterr().out


def test_what_additions_cost(stories, tmp_path, capsys):
    """Sixteen cycles of memory a beat afford the four steps of csd, and not those of unary."""
    layer = ("--layer", "mlp1", "--tokens", "1", "--preset", "edge", "--device", "cycle")

    def made(*options):
        assert run(*stories, *layer, *options) == 0
        shown = capsys.readouterr().out
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert f"addition cost cycles {report['addition_cost_cycles']:,}" in " ".join(shown.split())
        matrices = report["matrices"]
        assert report["array_cycles"] == sum(m["array_cycles"] for m in matrices)
        assert report["weight_bytes_read"] == 16 * sum(m["weight_cycles"] for m in matrices)
        cost = [max(0, m["array_cycles"] - m["weight_cycles"]) for m in matrices]
        assert [m["addition_cost_cycles"] for m in matrices] == cost
        assert report["addition_cost_cycles"] == sum(cost)
        return report

    assert made("--coding", "csd")["addition_cost_cycles"] == 0
    unary, opponent = made("--coding", "unary"), made("--array", "mac")
    assert opponent["addition_cost_cycles"] == 0
    assert unary["addition_cost_cycles"] > opponent["cycles"]
    beyond = unary["cycles"] - opponent["cycles"]
    assert beyond == pytest.approx(unary["addition_cost_cycles"], rel=0.1)
    two = made("--coding", "csd", "--tokens", "2")
    assert two["array_cycles"] > unary["events"]


def test_json_on_standard_output(stories, capsys):
    assert run(*stories, "--layer", "q1", "--tokens", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == 3


def test_rows_are_counted_from_the_first_of_the_matrix(stories, tmp_path):
    assert run(*stories, "--layer", "lm_head", "--rows", "500:512") == 0
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (made["matrices"][0]["first_row"], made["values_compared"]) == (500, 24)


def test_a_compiled_directory_runs_again(stories, tmp_path, capsys):
    assert run(*stories, "--layer", "attn0") == 0
    again = tmp_path / "again"
    directory = str(tmp_path / "out" / "compiled")
    device = ("--device", "functional", "-o", str(again))
    assert run("--compiled", directory, "--preset", "test", *device) == 0
    first, second = (json.loads((d / "report.json").read_text()) for d in (again, tmp_path / "out"))
    for name in ("layer", "coding", "recipe", "events", "fingerprint", "values_compared"):
        assert first[name] == second[name]
    capsys.readouterr()
    sentence = refusal(capsys, "--compiled", directory, "--preset", "edge", *device)
    assert first["fingerprint"] in sentence
    assert "is compiled for hardware" in sentence
    sentence = refusal(capsys, "--compiled", directory, "--layer", "mlp0")
    assert sentence == f"--layer: what is compiled in {directory} stands (see --help)"


def test_a_compiled_directory_knows_its_checkpoint(stories, stories260k, tmp_path, capsys):
    """A file elsewhere will do, and one with another weight in the layer will not."""
    assert run(*stories, "--layer", "down0", "--rows", "3:5") == 0
    shutil.copy(stories260k.with_name("tok512.bin"), tmp_path)
    copy = tmp_path / "stories260k.bin"
    shutil.copy(stories260k, copy)
    directory = str(tmp_path / "out" / "compiled")
    again = ("--compiled", directory, "--model", str(copy), "--device", "functional")
    again += ("-o", str(tmp_path / "again"))
    assert run(*again) == 0
    capsys.readouterr()
    contents = bytearray(copy.read_bytes())
    row = load(stories260k).tensor("layers.0.down")[4]
    contents[contents.index(row.numpy().tobytes()) + 3] ^= 0x80  # the sign of its first weight
    copy.write_bytes(contents)
    assert refusal(capsys, *again) == (
        f"{directory} is compiled from other weights than those of {copy} (their checksums "
        "differ): name its own checkpoint with --model"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--layer", "mlp0", "--preset", "huge"), "preset must be one of {presets}, not 'huge'"),
        (
            ("--layer", "mlp0", "--coding", "morse"),
            "coding must be one of unary, bitwise, csd, not 'morse'",
        ),
        (
            ("--layer", "mlp0", "--device", "fpga"),
            "device must be one of rtl, cycle, functional, not 'fpga'",
        ),
        (
            ("--layer", "mlp0", "--stalls", "1.5"),
            "stalls must be a probability from 0 to 0.9, not 1.5",
        ),
        (("--layer", "mlp0", "--latency", "0"), "latency must be 1 to 100000 cycles, not 0"),
        (("--layer", "mlp0", "--seed", "-1"), "seed must be 0 to 2^63 - 1, not -1"),
        (
            ("--layer", "mlp0", "--tokens", "many"),
            "argument --tokens: invalid int value: 'many' (see --help)",
        ),
        (
            ("--layer", "mlp0", "--rows", "4"),
            "rows needs a single matrix, such as down0, not mlp0",
        ),
    ],
)
def test_bad_requests(stories, capsys, arguments, sentence):
    from hw.contract.presets import PRESETS

    wanted = sentence.format(presets=", ".join(sorted(PRESETS)))
    assert refusal(capsys, *stories, *arguments) == wanted


def test_an_unknown_layer(stories, capsys):
    kinds = "mlpN, attnN, qN, kN, vN, oN, gateN, upN, downN"
    assert refusal(capsys, *stories, "--layer", "mlp99") == (
        f"layer must be one of {kinds} with N from 0 to 4, or lm_head, not 'mlp99'"
    )


def test_more_tokens_than_the_prompt_has(stories, capsys):
    sentence = refusal(capsys, *stories, "--layer", "q0", "--prompt", "Once", "--tokens", "9")
    assert sentence.startswith("tokens must be 1 to ")


def test_an_unknown_recipe(stories, capsys):
    sentence = refusal(capsys, *stories, "--layer", "mlp0", "--recipe", "w3")
    assert sentence.startswith("there is no recipe w3: name one of ")


def test_a_place_that_cannot_be_written(stories, tmp_path, capsys):
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "out"
    sentence = refusal(capsys, *stories, "--layer", "k0", "-o", str(place))
    assert sentence == (
        f"{place / 'report.json'} cannot be used (Not a directory): name a place in a directory, "
        "not in a file"
    )


def model_refusal(capsys, model) -> str:
    arguments = ("--layer", "mlp0", "--preset", "test", "--model", str(model))
    return refusal(capsys, *arguments)


def test_a_missing_checkpoint(capsys, tmp_path):
    path = tmp_path / "none.gguf"
    assert model_refusal(capsys, path).startswith(f"there is no checkpoint {path}: name ")


def test_a_truncated_checkpoint(capsys, tmp_path, stories260k):
    shutil.copy(stories260k.with_name("tok512.bin"), tmp_path)
    path = tmp_path / "stories260K.bin"
    path.write_bytes(stories260k.read_bytes()[:-1000])
    assert str(path) in model_refusal(capsys, path)


def test_a_corrupted_checkpoint(capsys, tmp_path, rng):
    path = tmp_path / "noise.gguf"
    path.write_bytes(b"GGUF" + rng.bytes(4000))
    assert str(path) in model_refusal(capsys, path)


def test_a_model_of_another_family(capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2"]}')
    assert "gpt2" in model_refusal(capsys, tmp_path)


def wrong(change):
    """Return a functional device that changes what it computed."""

    class Wrong(Functional):
        def run(self, compiled, inputs):
            return change(super().run(compiled, inputs))

    return Wrong


def test_a_wrong_word_exits_with_1_and_says_where(stories, capsys, monkeypatch, tmp_path):
    def change(result):
        result.outputs["layers.0.up.output"][1, 17] += 1
        return result

    monkeypatch.setattr("sim.devices.Functional", wrong(change))
    assert run(*stories, "--layer", "mlp0", "--seed", "31") == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith(
        "python -m sim run: layers.0.up.output, token 1, output channel 17: expected 0x"
    )
    assert sentence.endswith(" (seed 31)\n")
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (made["bit_exact"], made["mismatches"]) == (False, 1)
    assert [m["bit_exact"] for m in made["matrices"]] == [True, False, True]


def test_a_wrong_counter_exits_with_1_and_is_named(stories, capsys, monkeypatch):
    def change(result):
        events = result.counters["events"] + 1
        return replace(result, counters={**result.counters, "events": events})

    monkeypatch.setattr("sim.devices.Functional", wrong(change))
    assert run(*stories, "--layer", "mlp0") == 1
    assert capsys.readouterr().err.startswith("python -m sim run: counter events: golden says ")


def test_a_run_that_breaks_off_leaves_no_older_report(stories, capsys, monkeypatch, tmp_path):
    def broken(*arguments, **options):
        raise ToolError("make failed with status 2: the disk is full")

    assert run(*stories, "--layer", "mlp0") == 0
    capsys.readouterr()
    monkeypatch.setattr("sim.devices.build_bench", broken)
    sentence = refusal(capsys, *stories, "--layer", "mlp0", "--device", "rtl")
    assert sentence == "make failed with status 2: the disk is full"
    assert not (tmp_path / "out" / "report.json").exists()


@pytest.mark.parametrize(
    "refused",
    [
        ("--latency", "0"),
        ("--recipe", "w3"),
        ("--preset", "huge"),
        ("--rows", "4"),
        ("--device", "fpga"),
    ],
    ids=" ".join,
)
def test_a_refused_request_leaves_no_older_report_where_it_was_to_go(
    stories, tmp_path, capsys, refused
):
    layer = (*stories, "--layer", "mlp0")
    assert run(*layer) == 0
    capsys.readouterr()
    refusal(capsys, *layer, *refused)
    assert not (tmp_path / "out" / "report.json").exists()
    assert (tmp_path / "out" / "report.previous.json").exists()


def test_each_request_has_a_place_of_its_own(stories260k, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sim.runs.place.OUTPUT_ROOT", tmp_path)
    layer = ("--model", "stories260k", "--preset", "test", "--device", "functional")
    layer += ("--layer", "k0")
    same = ((), ("--prompt", "Once upon a time"), ("--tokens", "2"), ("--seed", "7"))
    for options in ((), ("--tokens", "1"), ("--prompt", "Tom"), *same):
        assert run(*layer, *options) == 0
    places = tmp_path / "stories260k" / "k0"
    assert sorted(place.name for place in places.iterdir()) == [
        f"test-csd-auto-functional{number}" for number in ("", ".2", ".3")
    ]
    tokens = [
        json.loads((place / "report.json").read_text())["tokens"] for place in places.iterdir()
    ]
    assert sorted(tokens) == [1, 2, 2]
    again = places / "test-csd-auto-functional"
    assert (again / "report.previous.json").exists()
    assert capsys.readouterr().out.rstrip().endswith("; the one before: report.previous.json")
    asked = json.loads((again / "run.json").read_text())
    assert {"command", "version", "commit", "started", "request"} <= asked.keys()
    assert asked["request"]["tokens"] == 2
    assert run(*layer, "--coding", "unary") == 0
    assert (places / "test-unary-auto-functional" / "report.json").exists()


def test_a_directory_that_is_named_keeps_what_other_requests_left(stories, tmp_path, capsys):
    stalled = ("--device", "cycle", "--stalls", "0.1", "--layer", "k0")
    layer, out = (*stories, *stalled), tmp_path / "out"
    for seed in ("1", "2", "2", "3"):
        assert run(*layer, "--seed", seed) == 0
    kept = [out / "earlier.1", out / "earlier.2", out]
    for place, seed in zip(kept, (1, 2, 3), strict=True):
        about = [json.loads((place / name).read_text()) for name in ("run.json", "report.json")]
        assert about[0]["request"]["seed"] == about[1]["seed"] == seed
        assert about[0]["command"].startswith("python -m sim run --model")
        assert about[0]["command"] == about[1]["command"]
        assert about[0]["command"].endswith(f" --layer k0 --seed {seed}")
        assert (place / "outputs.npz").exists()
    assert about[1]["previous"] == str(out / "earlier.2" / "report.json")
    assert "; the one before: earlier.2/report.json\n" in capsys.readouterr().out
    assert not (out / "report.previous.json").exists()


def test_without_a_layer_one_is_run_and_named(stories, tmp_path, capsys):
    assert run(*stories) == 0
    assert capsys.readouterr().err == "python -m sim run: runs mlp0: name others with --layer\n"
    assert json.loads((tmp_path / "out" / "report.json").read_text())["layer"] == "mlp0"


def test_tokens_in_place_of_a_text(stories, tmp_path, capsys):
    layer = (*stories, "--layer", "k0")
    assert run(*layer, "--prompt", "Once upon a time") == 0
    text = json.loads((tmp_path / "out" / "report.json").read_text())
    ids = ",".join(map(str, load("stories260k").tokenizer.encode("Once upon a time")))
    assert run(*layer, "--prompt-ids", ids) == 0
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert made["events"] == text["events"] and made["spikes"] == text["spikes"]
    capsys.readouterr()
    assert refusal(capsys, *layer, "--prompt-ids", "1,x") == (
        "--prompt-ids must be whole numbers such as 1,2,3, not '1,x'"
    )
    assert refusal(capsys, *layer, "--prompt-ids", "1", "--prompt", "a") == (
        "--prompt and --prompt-ids are one too many: give the text or its tokens"
    )


def test_help_needs_no_heavy_import():
    code = "import sys, sim.__main__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    for arguments in ([], ["run"]):
        command = [sys.executable, "-m", "sim", *arguments, "--help"]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "run" in shown.stdout


def test_the_preset_is_that_of_the_hardware(stories, tmp_path):
    assert run(*stories, "--layer", "k0") == 0
    made = json.loads((tmp_path / "out" / "report.json").read_text())
    assert made["preset"] == "test"
    assert made["params"] == preset("test").as_dict()


@pytest.mark.parametrize("device", ["functional", "cycle"])
def test_the_opponent_runs_like_any_other_hardware(stories, tmp_path, capsys, device):
    options = (*stories, "--layer", "down1", "--recipe", "w8", "--device", device)
    counts = {}
    for opponent in ((), ("--array", "mac"), ("--no-skip",), ("--array", "mac", "--no-skip")):
        assert run(*options, *opponent) == 0
        made = json.loads((tmp_path / "out" / "report.json").read_text())
        assert (made["bit_exact"], made["preset"]) == (True, "test")
        assert made["array"] == made["params"]["array"] == ("mac" if "mac" in opponent else "spike")
        assert made["skip_silent"] == made["params"]["skip_silent"] == ("--no-skip" not in opponent)
        counts[opponent] = made["synaptic_operations"], made["silent_channels"]
    (additions, silent), (products, _), (_, unskipped), both = counts.values()
    assert products < additions
    assert silent > unskipped == 0
    assert both == (products, 0)
    directory = str(tmp_path / "out" / "compiled")
    again = ("--compiled", directory, "--device", device, "-o", str(tmp_path / "again"))
    assert run(*again) == 0
    capsys.readouterr()
    sentence = refusal(capsys, *again, "--array", "spike", "--no-skip")
    assert sentence == f"--array, --no-skip: what is compiled in {directory} stands (see --help)"
    assert refusal(capsys, *options, "--array", "dsp") == "array must be spike or mac, not 'dsp'"
