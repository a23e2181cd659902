"""Models compiled by a profile: codings, predictions, and the same tokens."""

import json
from dataclasses import replace

import numpy as np
import pytest

from compiler.__main__ import main
from compiler.passes.model import lower
from compiler.passes.place import place_model
from compiler.passes.program import image_of_model
from compiler.passes.schedule import schedule
from compiler.predict.activity import profiled
from compiler.predict.measured import best_coding, predicted_cycles
from compiler.predict.workload import products
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.measure.profile_file import save_profile
from golden.measure.profiling import record
from golden.model.integer import IntegerModel
from golden.recipe.recipe import load_recipe
from hw.contract.isa import Coding, Opcode
from hw.contract.presets import preset
from sim.cycle.device import Cycle
from sim.device import Registers
from tests.compiler.models import RandomCheckpoint, recipe

PARAMS = preset("test")
SHAPE = dict(hidden_size=40, ffn_size=56, head_dim=8, heads=6, kv_heads=2)


def profile_of(checkpoint, chosen, tokens=48, seed=0, **changes):
    ids = np.random.default_rng(seed).integers(0, checkpoint.config.vocab_size, tokens).tolist()
    windows = [ids[at : at + 24] for at in range(0, tokens, 24)]
    return record(checkpoint, chosen, windows, text=("a", "0" * 64), context=24, **changes)


def told(compiled, prompt, tokens, device):
    """Return the tokens that a device makes after a prompt, and the counters."""
    memory = compiled.image({})
    words = compiled.token_words(memory)
    words[: len(prompt)] = prompt
    end = len(prompt) + tokens
    registers = Registers(prompt_end=len(prompt), end_position=end - 1)
    finished = device.execute(memory, compiled.program_address, compiled.params, registers)
    return words[len(prompt) : end].tolist(), finished.counters


# Exactness


def test_a_story_by_its_profile(stories260k, tmp_path):
    checkpoint, chosen = load("stories260k"), load_recipe("w8")
    profile = profile_of(checkpoint, chosen)
    ids = checkpoint.tokenizer.encode("Once upon a time")
    made = []
    for name, used in (("plain", None), ("profiled", profile)):
        compiled = build_model(
            checkpoint,
            tmp_path / name,
            params=PARAMS,
            recipe=chosen,
            context=20,
            profile=used,
        )
        made.append(told(compiled, ids, 8, Cycle())[0])
    assert made[0] == made[1] == IntegerModel(checkpoint, chosen).generate(ids, 8)
    entry = compiled.manifest["schedule"]
    assert entry["coding"] == compiled.manifest["coding"] == "csd"


# Codings and predictions


def test_codings_follow_the_counts():
    checkpoint = RandomCheckpoint(0, **SHAPE)
    site = profile_of(checkpoint, recipe()).sites["layers.0.down"]
    assert best_coding(site, 8, PARAMS, 1) == "csd"
    rows = site.batches.copy()
    rows[1, 2:] = rows[1, 1] * 9, rows[1, 1] * 3, rows[1, 1] * 4  # of two vectors at once
    assert best_coding(replace(site, batches=rows), 8, PARAMS, 2) == "bitwise"


def test_sites_may_have_codings_of_their_own():
    model = lower(RandomCheckpoint(0, **SHAPE).config, recipe(), PARAMS, 20)
    regions = place_model(model, PARAMS, slots=99)
    sites = [s.name for s in model.stages]
    sites += [f"layers.{i}.{kind}" for i in range(2) for kind in ("query", "probabilities")]
    codings = dict.fromkeys(sites, Coding.CSD) | {"layers.1.query": Coding.BITWISE}
    layers = schedule(model, regions, PARAMS, codings).layers
    used = [{s.fields["coding"] for s in layer if s.opcode is Opcode.MATMUL} for layer in layers]
    assert used == [{Coding.CSD.value}, {Coding.CSD.value, Coding.BITWISE.value}]


def test_predictions_follow_silence_and_the_planner_takes_a_profile():
    checkpoint = RandomCheckpoint(0, **SHAPE)
    model = lower(checkpoint.config, recipe(), PARAMS, 20)
    cycles, bytes_ = [], []
    for chosen in (recipe(), recipe(dead_zone=0.5)):
        profile = profile_of(checkpoint, chosen)
        program = image_of_model(model, PARAMS, dict.fromkeys(profile.sites, "csd")).program
        cycles.append(predicted_cycles(profile, program, PARAMS, 10))
        found = products(checkpoint.config, chosen, profiled(profile)(10), 10)
        bytes_.append(sum(product.touched_bytes for product in found))
    assert cycles[0].keys() == cycles[1].keys() == {"layers.0", "layers.1", "head"}
    assert all(cycles[1][name] < cycles[0][name] for name in cycles[0])
    assert bytes_[1] < bytes_[0]


# The command


def test_build_takes_a_profile(stories260k, tmp_path, capsys):
    checkpoint = load("stories260k")
    path = tmp_path / "p.npz"
    save_profile(profile_of(checkpoint, load_recipe("w8")), path)
    arguments = ["build", "stories260k", "--preset", "test", "-o", str(tmp_path / "m")]
    whole = [*arguments, "--layers", "all", "--context", "20", "--profile", str(path)]
    whole += ["--recipe", "w8"]
    assert main([*whole, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["schedule"]
    assert set(said["predicted_cycles"]) == {*(f"layers.{i}" for i in range(5)), "head"}
    assert "one token a pass" in said["batch"]
    assert main(whole) == 0
    printed = capsys.readouterr().out
    cycles = sum(said["predicted_cycles"].values())
    assert "coding: csd: the fewest" in printed
    assert f"predicted: {cycles:,} cycles for the token at position {said['position']}" in printed
    for wrong, sentence in (
        ([*whole, "--recipe", "w4"], "the profile is of the recipe w8, which says something else"),
        ([*arguments, "--layers", "mlp0", "--profile", str(path)], "--profile must be left out"),
        ([*whole, "--profile", str(tmp_path / "no.npz")], "there is no profile"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1


def test_energy_and_boards_take_a_profile(stories260k, tmp_path, capsys):
    checkpoint, chosen = load("stories260k"), load_recipe("w8")
    found = profile_of(checkpoint, chosen)
    path = tmp_path / "p.npz"
    save_profile(found, path)
    common = ["stories260k", "--recipe", "w8", "--position", "30", "--prompt", "20"]

    def report(command, *options):
        assert main([command, *common, *options, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    said = report("energy", "--profile", str(path))
    assert said["firing"] == "measured on 48 tokens of a"
    assert [row["firing"] for row in said["designs"]] == ["measured"] * 9 + ["published"]
    spikes = products(checkpoint.config, chosen, profiled(found)(30), 30)
    (csd,) = (row for row in said["designs"] if row["design"] == "spike array, csd")
    (added,) = (entry for entry in csd["entries"] if entry["what"] == "additions")
    assert added["count"] == pytest.approx(sum(product.additions("csd") for product in spikes))
    assumed_, measured_ = report("boards"), report("boards", "--profile", str(path))
    assert assumed_["firing"].startswith("assumed") and measured_["firing"] == said["firing"]
    cycles = [
        [row["cycles"] for row in report["boards"] if "cycles" in row]
        for report in (assumed_, measured_)
    ]
    assert cycles[0] and all(a != b for a, b in zip(*cycles, strict=True))
    for command in ("energy", "boards"):
        for wrong, sentence in (
            ([*common, "--recipe", "w4", "--profile", str(path)], "the profile is of the recipe"),
            ([*common, "--profile", str(tmp_path / "no.npz")], "there is no profile"),
            (["sdllm-7b", "--profile", str(path)], "--profile must be left out: sdllm-7b has no w"),
        ):
            assert main([command, *wrong]) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"python -m compiler {command}: {sentence}")
            assert error.count("\n") == 1
