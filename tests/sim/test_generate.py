"""``python -m sim generate``: text, reports, exit statuses, and one sentence for what is wrong."""

import json
from dataclasses import replace

import pytest

from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.recipe.recipe import load_recipe
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim import devices
from sim.__main__ import main
from sim.functional.device import Functional
from sim.generate.generate import generate
from sim.generate.request import GenerateRequest

STORY = "Once upon a time, there was a little girl named Lily."


def run(*arguments: str) -> int:
    try:
        return main(["generate", *map(str, arguments)])
    except SystemExit as end:  # argparse's way
        return end.code


def refusal(capsys, *arguments) -> str:
    """Return the one sentence of a refused request."""
    assert run(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("python -m sim") and printed.err.count("\n") == 1
    return printed.err.partition(": ")[2].rstrip("\n")


@pytest.fixture
def stories(stories260k, tmp_path):
    """Return the arguments of a quick run."""
    return ("--model", "stories260k", "--preset", "test", "-o", tmp_path / "out")


def report_of(tmp_path, name="out"):
    return json.loads((tmp_path / name / "report.json").read_text())


def test_a_story_is_told_and_is_golden_s(stories, tmp_path, capsys):
    assert run(*stories, "--tokens", 11, "--check", "golden") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{STORY}\n11 tokens on functional, ")
    assert "the same as golden's\n" in printed.out
    made = report_of(tmp_path)
    assert (made["passed"], made["failures"], made["checked_with"]) == (True, [], "golden")
    assert made["prompt"] + made["text"] == STORY
    assert len(made["tokens"]) == 11
    assert made["positions"] == len(made["prompt_tokens"]) + 10
    assert made["counters"]["weight_bytes_read"] > 0
    assert made["counters"]["cycles"] is made["cycles_per_position"] is None
    assert made["params"] == preset("test").as_dict()


def test_text_comes_token_by_token(stories260k, tmp_path):
    pieces = []
    request = GenerateRequest(
        model="stories260k", preset="test", tokens=11, output=tmp_path / "out"
    )
    made, _ = generate(request, write=pieces.append)
    assert len(pieces) == 1 + 11
    assert "".join(pieces) == STORY == made["prompt"] + made["text"]


@pytest.mark.parametrize("device", ["functional", "cycle"])
def test_each_token_comes_with_its_number_and_cycles(stories260k, tmp_path, device):
    told, reached = [], []
    request = GenerateRequest(
        model="stories260k", preset="test", tokens=3, device=device, output=tmp_path / "out"
    )
    made, _ = generate(
        request, tell=told.append, progress=lambda done, total: reached.append((done, total))
    )
    assert [said.split(",")[:2] for said in told] == [
        [device, f" token {n} of 3"] for n in (1, 2, 3)
    ]
    assert reached == [(position, 7) for position in (5, 6, 7)]  # 5 of the prompt, the last made
    if device == "functional":
        assert not any("cycles" in said for said in told)
    else:
        cycles = [int(said.split(", ")[2].split()[0].replace(",", "")) for said in told]
        assert 0 < cycles[0] < cycles[1] < cycles[2] <= made["counters"]["cycles"]


def test_tokens_in_place_of_a_text(stories, tmp_path, capsys):
    ids = load("stories260k").tokenizer.encode("Once upon a time")
    given = ",".join(map(str, ids))
    assert run(*stories, "--tokens", 3, "--prompt-ids", given, "--check", "golden") == 0
    made = report_of(tmp_path)
    assert (made["prompt_tokens"], made["prompt"]) == (ids, ids)
    assert capsys.readouterr().out.startswith("Once upon a time, there")


def test_json_on_standard_output(stories, capsys):
    assert run(*stories, "--tokens", 2, "--prompt", "Tom", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["prompt"], len(made["tokens"])) == ("Tom", 2)


def test_the_compiled_model_is_kept_until_something_it_depends_on_changes(
    stories, tmp_path, capsys
):
    assert run(*stories, "--tokens", 1) == 0
    manifest = tmp_path / "out" / "compiled" / "manifest.json"
    first = manifest.stat().st_ino
    assert run(*stories, "--tokens", 1) == 0
    assert manifest.stat().st_ino == first
    assert run(*stories, "--tokens", 1, "--coding", "unary") == 0
    second = manifest.stat().st_ino
    assert second != first and report_of(tmp_path)["coding"] == "unary"
    with (tmp_path / "out" / "compiled" / "program.bin").open("ab") as file:
        file.write(b"more")
    assert run(*stories, "--tokens", 1, "--coding", "unary") == 0
    assert manifest.stat().st_ino != second


def test_a_compiled_directory_runs(stories260k, tmp_path, capsys):
    directory = tmp_path / "model"
    build_model(
        load("stories260k"), directory, params=preset("test"), recipe=load_recipe("w4"), context=20
    )
    options = ("--compiled", directory, "-o", tmp_path / "out")
    assert run(*options, "--tokens", 15, "--check", "golden") == 0
    made = report_of(tmp_path)
    assert (made["recipe"], made["context"], made["preset"]) == ("w4", 20, "test")
    capsys.readouterr()
    assert refusal(capsys, *options, "--tokens", 16) == (
        "the prompt has 5 tokens and 16 are to follow, more than the 20 positions that the model "
        "is compiled for: ask for fewer"
    )
    assert refusal(capsys, *options, "--recipe", "w4", "--context", "9") == (
        f"--recipe, --context: what is compiled in {directory} stands (see --help)"
    )


def test_layers_are_no_model(stories260k, tmp_path, capsys):
    layers = ("run", "--model", "stories260k", "--preset", "test", "--device", "functional")
    assert main([*layers, "--layer", "k0", "-o", str(tmp_path / "layer")]) == 0
    directory = tmp_path / "layer" / "compiled"
    capsys.readouterr()
    assert refusal(capsys, "--compiled", directory) == (
        f"{directory} holds layers, not a whole model: run it with python -m sim run, "
        "or compile --layers all"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--device", "fpga"), "device must be one of rtl, cycle, functional, not 'fpga'"),
        (("--tokens", "0"), "tokens must be at least 1, not 0"),
        (("--coding", "morse"), "coding must be one of unary, bitwise, csd, not 'morse'"),
        (("--context", "513"), "context must be 1 to 512, the positions of the model, not 513"),
        (("--latency", "0"), "latency must be 1 to 100000 cycles, not 0"),
        (("--prompt", "\udcff"), "the prompt must be Unicode text, not bytes of another coding"),
        (
            ("--tokens", "508"),
            (
                "the prompt has 5 tokens and 508 are to follow, more than the 512 positions that "
                "the model is compiled for: ask for fewer"
            ),
        ),
    ],
)
def test_bad_requests(stories, capsys, arguments, sentence):
    assert refusal(capsys, *stories, *arguments) == sentence


def broken(change):
    """Return a functional device of which `change` makes what it says."""

    class Broken(Functional):
        def execute(self, memory, *arguments):
            return change(super().execute(memory, *arguments), memory)

    return Broken


def test_another_token_exits_with_1_and_says_where(stories, tmp_path, capsys, monkeypatch):
    def change(finished, memory):
        region = json.loads((tmp_path / "out" / "compiled" / "manifest.json").read_text())
        address = region["regions"]["tokens"]["address"]
        memory[address : address + 4 * 513].view("<u4")[8] += 1
        return finished

    monkeypatch.setattr("sim.devices.Functional", broken(change))
    assert run(*stories, "--tokens", 6, "--check", "golden", "--seed", 31) == 1
    said = capsys.readouterr().err
    made = report_of(tmp_path)
    got = made["tokens"][3]
    assert said == (
        f"python -m sim generate: position 8: golden says token {got - 1}, functional says token "
        f"{got} (seed 31)\n"
    )
    assert not made["passed"]


def test_an_error_of_the_device_exits_with_1(stories, capsys, monkeypatch):
    change = broken(lambda finished, _: replace(finished, error=Error.BAD_TOKEN, position=7))
    monkeypatch.setattr("sim.devices.Functional", change)
    assert run(*stories, "--tokens", 6) == 1
    assert "the program ended on functional at position 7 with error BAD_TOKEN" in (
        capsys.readouterr().err
    )


def test_a_device_that_counts_otherwise_exits_with_1(stories, capsys, monkeypatch):
    def change(finished, _):
        events = finished.counters["events"] + 1
        return replace(finished, counters={**finished.counters, "events": events})

    monkeypatch.setitem(devices.OPENERS, "rtl", lambda *_: broken(change)())
    assert run(*stories, "--tokens", 2, "--device", "rtl", "--check", "golden") == 1
    assert capsys.readouterr().err.startswith(
        "python -m sim generate: counter events: the functional device says "
    )
    assert run(*stories, "--tokens", 2, "--device", "rtl") == 0


def test_a_device_that_leaves_another_byte_exits_with_1(stories, tmp_path, capsys, monkeypatch):
    def change(finished, memory):
        manifest = json.loads((tmp_path / "out" / "compiled" / "manifest.json").read_text())
        region = next(r for name, r in manifest["regions"].items() if name.endswith(".values"))
        memory[region["address"] + 3] ^= 1
        return finished

    monkeypatch.setitem(devices.OPENERS, "rtl", lambda *_: broken(change)())
    assert run(*stories, "--tokens", 2, "--device", "rtl", "--check", "golden") == 1
    assert capsys.readouterr().err.startswith(
        "python -m sim generate: 1 bytes of memory, the first at "
    )


def test_a_token_beyond_the_vocabulary_is_told(stories, tmp_path, capsys, monkeypatch):
    def change(finished, memory):
        manifest = json.loads((tmp_path / "out" / "compiled" / "manifest.json").read_text())
        address = manifest["regions"]["tokens"]["address"]
        memory[address : address + 4 * 513].view("<u4")[8] = 512
        return finished

    monkeypatch.setattr("sim.devices.Functional", broken(change))
    assert run(*stories, "--tokens", 6, "--check", "golden") == 1
    assert "functional says token 512 (" in capsys.readouterr().err


def test_a_text_ends_with_its_end(stories, tmp_path, monkeypatch):
    """Of several tokens that end a text, hardware knows one; the others end it all the same."""
    checkpoint = load("stories260k")
    assert run(*stories, "--tokens", 20) == 0
    tokens = report_of(tmp_path)["tokens"]
    for eos_ids in ((tokens[9],), (tokens[19], tokens[9])):
        first = tokens.index(tokens[9])
        ending = replace(checkpoint.tokenizer, eos_ids=eos_ids)
        monkeypatch.setattr("golden.checkpoint.checkpoint.LoadedCheckpoint.tokenizer", ending)
        assert run(*stories, "--tokens", 20, "--check", "golden") == 0
        assert report_of(tmp_path)["tokens"] == tokens[: first + 1]
