"""From a model to a run, as a notebook would go: every device, golden's word on each."""

import re
from pathlib import Path

import numpy as np
import pytest

import spikeloom
from compiler.energy.constants import constants
from golden.checkpoint.checkpoint import load
from golden.measure import perplexity
from golden.model.integer import IntegerModel
from golden.recipe.recipe import load_recipe
from tests.golden.make_checkpoints import random_model

PROMPT = "Once upon a time"


@pytest.fixture(scope="module")
def model(stories260k):
    return spikeloom.load(stories260k)


@pytest.fixture(scope="module")
def program(model):
    return model.compile("mlp0", hardware="test")


def test_a_layer_is_bit_exact_on_a_device_and_its_run_says_all(program):
    run = program.run(PROMPT, device="cycle")
    assert run.bit_exact and run.failures == []
    assert run.cycles == run.counters["cycles"] > 0
    assert run.seconds(1e8) == run.cycles / 1e8
    assert {name: y.shape for name, y in run.outputs.items()} == {
        "layers.0.gate": (2, 172),
        "layers.0.up": (2, 172),
        "layers.0.down": (2, 64),
    }
    for name, y in run.outputs.items():
        assert np.array_equal(y * 2**16, run.fixed[name])
    assert (
        sum(int(np.count_nonzero(s.counts.any(axis=0))) for s in run.spikes.values()) * 2
        > (run.counters["events"])
    )
    functional = program.run(PROMPT, device="functional", check=False)
    assert functional.bit_exact is None and functional.spikes == {}
    for name, y in functional.fixed.items():
        assert np.array_equal(y, run.fixed[name])
    with pytest.raises(ValueError, match="functional device counts no cycles: run it on cycle or"):
        functional.seconds(1e8)
    assert run.table().column("value")[0] == run.cycles
    energy = run.joules()
    assert energy.column("joules").sum() > 0
    weights = next(row for row in energy if row["part"] == "weights")
    picojoules = constants()["dram_ddr4"].typical
    assert weights["joules"] == pytest.approx(
        8 * run.counters["weight_bytes_read"] * picojoules * 1e-12
    )
    assert functional.joules().column("part").tolist() == energy.column("part").tolist()


def test_silent_channels_are_those_that_a_run_counts(model):
    quiet = spikeloom.recipe(dead_zone=0.5)
    program = model.compile("mlp0", hardware="test", recipe=quiet)
    run = program.run(PROMPT, device="cycle")
    channels = {site: s.silent * s.counts.shape[1] for site, s in run.spikes.items()}
    gate_up, down = channels["layers.0.gate_up"], channels["layers.0.down"]
    assert gate_up > 0
    assert run.counters["silent_channels"] == 2 * gate_up + down  # gate and up share a site


def test_a_device_that_is_wrong_is_told(program, monkeypatch):
    from sim.cycle.device import Cycle

    right = Cycle.run

    def wrong(self, compiled, inputs):
        result = right(self, compiled, inputs)
        result.outputs["layers.0.up.output"][1, 3] += 1
        return result

    monkeypatch.setattr(Cycle, "run", wrong)
    run = program.run(PROMPT, device="cycle")
    assert run.bit_exact is False
    assert len(run.failures) == 1 and "layers.0.up" in run.failures[0]
    assert "DIFFERS" in repr(run)


def test_own_vectors_can_be_run(program, rng):
    x = {"layers.0.gate_up": rng.standard_normal((2, 64)), "layers.0.down": np.ones((2, 172))}
    run = program.run(inputs=x, device="functional")
    assert run.bit_exact
    assert np.array_equal(
        run.spikes["layers.0.gate_up"].counts,
        spikeloom.encode(x["layers.0.gate_up"], shifts=3).counts,
    )
    with pytest.raises(ValueError, match="inputs must be layers.0.gate_up, layers.0.down: layers"):
        program.run(inputs={"layers.0.qkv": np.ones((2, 64))})
    assert program.inputs == {site: vectors.shape for site, vectors in x.items()}
    with pytest.raises(ValueError, match=r"input layers.0.down must be of shape \(2, 172\), not"):
        program.run(inputs=x | {"layers.0.down": np.ones((2, 64))})
    with pytest.raises(ValueError, match="tokens must be left out: only a whole model adds some"):
        program.run(PROMPT, tokens=3)
    with pytest.raises(ValueError, match="clock_hz must be a number, not '1'"):
        run.seconds("1")


def test_the_spikes_of_a_run_are_those_of_encode(model, program):
    run = program.run(PROMPT, device="functional")
    for site, spikes in run.spikes.items():
        ours = model.encode(site, PROMPT)
        assert np.array_equal(ours.counts[-2:], spikes.counts)
        assert np.array_equal(ours.thresholds[-2:], spikes.thresholds)
        assert np.array_equal(
            spikeloom.encode(model.vectors(site, PROMPT), shifts=3).counts, ours.counts
        )


def test_a_whole_model_says_what_golden_says(model, stories260k):
    program = model.compile(hardware="test", context=32)
    run = program.run(PROMPT, tokens=5, device="cycle")
    assert run.bit_exact
    assert run.text == model.generate(PROMPT, 5)
    checkpoint = load(stories260k)
    golden = IntegerModel(checkpoint, load_recipe("auto"))
    assert run.tokens == golden.generate(model.tokens(PROMPT), 5)
    assert list(run.spikes) == model.sites
    positions = len(model.tokens(PROMPT)) + 4
    assert run.spikes["layers.0.qkv"].counts.shape == (positions, 64)
    with pytest.raises(ValueError, match="more than the 32 positions that the model is compiled"):
        program.run(PROMPT, tokens=32)


def test_a_compiled_directory_stays_and_opens_again(model, tmp_path):
    kept = model.compile("gate0", hardware="test", rows="8", directory=tmp_path / "gate")
    again = model.open(tmp_path / "gate")
    assert (again.layers, again.hardware) == (["gate0"], spikeloom.hardware("test"))
    assert again.instructions() == kept.instructions()
    assert again.run(PROMPT, device="functional").bit_exact
    temporary = model.compile("gate0", hardware="test", rows="8")
    place = temporary.directory
    assert place.exists()
    del temporary
    assert not place.exists()


def test_a_model_of_transformers_is_the_same_as_saved(seed, tmp_path):
    tiny = random_model("qwen3", seed, head_dim=8)
    tiny.save_pretrained(tmp_path / "tiny")
    ours = spikeloom.load(tiny, name="tiny")
    saved = spikeloom.load(tmp_path / "tiny")
    assert ours.generate([1, 2, 3], 4) == saved.generate("1 2 3", 4)
    programs = [each.compile("mlp0", hardware="test") for each in (ours, saved)]
    weights = [
        {p.name: p.read_bytes() for p in program.directory.iterdir() if p.suffix != ".json"}
        for program in programs
    ]
    assert weights[0] == weights[1] != {}
    assert programs[0].run([1, 2, 3], device="functional").bit_exact


def test_perplexity_is_that_of_golden(model, stories260k):
    text = "Once upon a time, there was a little girl named Lily. She liked to play."
    found = model.perplexity(text=text, recipe="w4", context=8)
    checkpoint = load(stories260k)
    batches = [*perplexity.windows([text], checkpoint.tokenizer.encode, 8, None)]
    golden = perplexity.measure(checkpoint, load_recipe("w4"), batches)
    assert found.as_dict() == golden.as_dict()
    with pytest.raises(ValueError, match="context must be from 2 to 512 for this model, not 1"):
        model.perplexity(text=text, context=1)


def test_a_measurement_shows_its_figures_and_its_sites(model, tmp_path):
    text = "Once upon a time, there was a little girl."
    (tmp_path / "text.txt").write_text(f"{text}\n<|endoftext|>\n{text}")
    found = model.perplexity(file=str(tmp_path / "text.txt"))
    both = model.perplexity(text=[f"{text}\n", text])
    assert found.as_dict() == both.as_dict()
    assert isinstance(found, spikeloom.Measurement)
    assert repr(found) == (
        f"Measurement(perplexity {found.fp32.perplexity:.4g} in fp32, "
        f"{found.spiking.perplexity:.4g} by spikes, {found.fp32.predictions} predictions, "
        f"{found.skipped:.1%} of the weight bytes skipped)"
    )
    table = found.table()
    assert table.column("site").tolist() == list(found.sites) != []
    silent = [site.as_dict()["silent_fraction"] for site in found.sites.values()]
    assert table.column("silent values").tolist() == silent


def test_hardware_and_recipes_can_be_varied(model):
    assert spikeloom.hardware("test", lanes=16).lanes == 16
    assert spikeloom.hardware() == spikeloom.hardware("edge")
    w4 = spikeloom.recipe(weight_bits=4, dead_zone=0.05)
    assert (w4.default.weight_bits, w4.default.dead_zone) == (4, 0.05)
    assert w4.name == "w8 with weight_bits=4, dead_zone=0.05"
    spikes = model.encode("layers.1.o", PROMPT, recipe=w4)
    assert spikes.silent_values > model.encode("layers.1.o", PROMPT).silent_values


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.encode("layers.9.qkv", "a"), "site must be one of layers.0.qkv, …, head"),
        (lambda m: m.encode("head", []), "the prompt has no token: give one that has"),
        (lambda m: m.compile("mlp9", hardware="test"), "layer must be one of mlpN"),
        (lambda m: m.compile("mlp0", hardware="tiny"), "preset must be one of"),
        (lambda m: m.compile("mlp0", context=8), "context must be left out: mlp0 does not have it"),
        (lambda m: m.compile(tokens=2), "tokens must be left out: a whole model does not have it"),
        (lambda m: m.generate("Once", 512), "tokens must be 1 to 510 after a prompt of 2, not 512"),
        (lambda m: m.open("nowhere"), "nowhere is no compiled model"),
        (lambda m: m.encode("head", None), "the prompt must be a text or token ids, not None"),
        (lambda m: m.encode("head", [1.5]), "a token of the prompt must be a whole number"),
        (lambda _: spikeloom.load(5), "the model must be a causal language model of transformers"),
        (lambda _: spikeloom.hardware(None), "hardware must be a preset's name or Hardware"),
        (lambda _: spikeloom.hardware(lanes="33"), "lanes must be of type int, not '33'"),
        (lambda m: m.perplexity(), "either text="),
        (lambda m: m.perplexity(text="a", file="b"), "either text="),
        (lambda m: m.perplexity(file="nowhere.txt"), "text nowhere.txt cannot be read: No such"),
        (lambda m: m.perplexity(text=Path("a.txt")), "text must be a string, or several; a file"),
        (
            lambda m: m.perplexity(text="Once upon a time", arithmetic="foo"),
            "arithmetic must be float or integer, not 'foo'",
        ),
        (lambda _: spikeloom.load("nowhere"), "there is no checkpoint nowhere"),
        (lambda _: spikeloom.load("stories260k", name="x"), "tokenizer and name must be left out"),
        (lambda _: spikeloom.hardware("test", lane=8), "a field of the hardware must be one of"),
        (lambda _: spikeloom.recipe("stories260k", clip=0.5), "recipe stories260k has settings of"),
    ],
    ids=lambda value: "",
)
def test_what_cannot_be_is_refused_in_a_sentence(model, call, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}"):
        call(model)
