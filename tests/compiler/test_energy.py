"""The energy ledger: the paper's figures, and counts held against the simulators' counters."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from compiler.__main__ import main
from compiler.energy.constants import constants
from compiler.energy.ledger import GROUPS, designs, joules, ledger, spike_design
from compiler.energy.paper import macs, memory_joules, methods
from compiler.models.known import KNOWN_MODELS
from compiler.passes.model import lower
from compiler.passes.program import image_of_model
from compiler.predict.activity import assumed
from compiler.predict.costs import costs
from compiler.predict.counts import count, product_counts
from compiler.predict.workload import Activity, products
from compiler.programs.model import build_model
from golden.checkpoint.checkpoint import load
from golden.model.prepare import grids
from golden.numerics.codings import encode, time_steps_for
from golden.recipe.recipe import load_recipe
from hw.contract.isa import Opcode
from hw.contract.presets import preset
from hw.contract.regs import Error
from sim.device import Registers
from sim.functional.device import Functional
from sim.runs.tally import Tally
from tests.compiler.models import GridCheckpoint

ROOT = Path(__file__).parents[2]
LLAMA = KNOWN_MODELS["sdllm-7b"].config
W4, W8 = load_recipe("w4"), load_recipe("w8")
TEST = preset("test")


def test_the_paper_joules_follow_from_its_rule():
    layers = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    attention = 32 * 2 * 1024 * 4096
    assert macs(LLAMA, W4) == 1024 * (layers + attention) == 6_906_307_411_968
    found = {method.name: method.joules for method in methods(LLAMA, W4)}
    assert [round(found[name], 2) for name in ("FP16", "W4A4", "SDLLM")] == [31.77, 3.97, 0.67]
    assert found["SpikeLLM"] == 7 * found["SDLLM"]


def test_memory_of_the_paper_methods_is_bits_times_the_constant():
    fp16, _, _, spiking = methods(LLAMA, W4)
    weights = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    cache = 32 * 2 * 1024 * 4096  # position 1,023
    params = preset("datacenter")
    got = memory_joules(fp16, LLAMA, W4, params, 1023, 1)
    assert got == pytest.approx(16 * (weights + cache) * 12.45e-12)
    got = memory_joules(spiking, LLAMA, W4, params, 1023, 1, "dram_hbm2")
    assert got == pytest.approx((1 - 0.184) * (4 * weights + 8 * cache) * 3.9e-12)
    shared = memory_joules(fp16, LLAMA, W4, params, 1023, 8)
    assert shared == pytest.approx(16 * (weights + cache) * 12.45e-12 / 8)


def test_every_constant_has_a_source_and_a_range():
    for constant in constants().values():
        assert constant.source and constant.unit in ("operation", "bit")
        assert 0 < constant.low <= constant.typical <= constant.high


def test_a_ledger_adds_up():
    found = products(LLAMA, W4, assumed(LLAMA, W4, 100), 100)
    params = preset("datacenter")
    for design in designs(4):
        counts = count(LLAMA, found, params, design.coding or "csd", 100)
        entries = ledger(design, counts, params)
        assert {entry.group for entry in entries} <= {*GROUPS}
        total = sum(entry.count * entry.constant.typical for entry in entries) * 1e-12
        assert joules(entries) == pytest.approx(total)
        low, high = (joules(entries, levels={"dram": level}) for level in ("low", "high"))
        assert low < total < high
        arithmetic = joules(entries, ["arithmetic"])
        if design.coding:
            assert arithmetic == pytest.approx(counts.additions * 0.1e-12)
        row = params.tokens * params.lanes * params.acc_width
        sums = counts.beats * row if design.skips else counts.macs * params.acc_width
        expected = 2 * sums * design.sums_in_memory * 0.15625e-12
        assert joules(entries, ["accumulators"]) == pytest.approx(expected)
    in_memory = [design.name for design in designs(4) if design.sums_in_memory]
    assert len(in_memory) == 5 and "dense INT4, in memory" in in_memory
    with pytest.raises(ValueError, match="^weights must have 8 or 4 bits for the ledger, not 2$"):
        designs(2)


def test_bytes_besides_the_weights_are_those_that_the_rtl_read():
    config, params = KNOWN_MODELS["smollm2-135m"].config, preset("edge")
    page = (ROOT / "docs" / "performance.md").read_text()
    row = r"^\| w8, ([\d,]+) \|[^|]*\|[^|]*\| ([\d,]+) \|[^|]*\| ([\d,]+) \|"
    measured = [[int(x.replace(",", "")) for x in found] for found in re.findall(row, page, re.M)]
    assert len(measured) == 3
    for position, touched, weights in measured:
        found = products(config, W8, assumed(config, W8, position), position)
        counts = count(config, found, params, "csd", position)
        others = counts.read_bytes - counts.weight_bytes - counts.cache_bytes
        assert others == pytest.approx((touched - weights) * params.axi_bytes, rel=0.003)
        if position:  # the first token fires unlike all others, and none quite as the mean
            fetched = (counts.weight_bytes + counts.cache_bytes) / params.axi_bytes
            assert fetched == pytest.approx(weights, rel=0.04)


@pytest.fixture(scope="module")
def one_token(stories260k, tmp_path_factory):
    """Return a token's position, counters, and the spike counts of each of its encodings."""
    checkpoint, position, context = load(str(stories260k)), 9, 16
    directory = tmp_path_factory.mktemp("energy") / "compiled"
    compiled = build_model(checkpoint, directory, params=TEST, recipe=W8, context=context)
    memory = compiled.image({})
    ids = checkpoint.tokenizer.encode("Once upon a time, there was a little girl named Lily")
    compiled.token_words(memory)[: len(ids)] = ids

    def run(device, first, end):
        registers = Registers(first_position=first, prompt_end=end, end_position=end)
        done = device.execute(memory, compiled.program_address, TEST, registers)
        assert done.error is Error.NONE
        return done.counters

    run(Functional(), 0, position)
    seen = []
    counters = run(Functional(seen.append), position, position + 1)
    encodings = [step.counts for step in seen if step.opcode is Opcode.ENCODE]
    model = lower(checkpoint.config, W8, TEST, context)
    activities = assumed(checkpoint.config, W8, position)
    token = costs(image_of_model(model, TEST, "csd").program, TEST, activities, position)
    names = [cost.name for cost in token if cost.opcode is Opcode.ENCODE]
    by_site: dict[str, list[np.ndarray]] = {}
    for name, counts in zip(names, encodings, strict=True):
        by_site.setdefault(name, []).append(counts)
    return checkpoint.config, position, counters, by_site


def measured_activities(by_site):
    """Return how the sites of one token fired, exactly."""

    def of(layer, site):
        name = site if layer is None else f"layers.{layer}.{site}"
        counts = torch.from_numpy(np.concatenate(by_site[name]))  # (vectors, channels)
        fires = encode(counts, "csd", time_steps_for(127, "csd")).ne(0)
        spikes = int(fires.sum()) / counts.numel()
        silent = int((counts == 0).sum()) / counts.numel()
        return Activity(silent=silent, spikes={"csd": spikes}, source="this token")

    return of


def test_what_groups_take_is_what_the_device_counts(tmp_path):
    """Where every channel fires, so that nothing is estimated."""
    checkpoint, chosen = GridCheckpoint(3), load_recipe("native")
    params = replace(TEST, skip_silent=False)
    found = grids(checkpoint, chosen)
    compiled = build_model(checkpoint, tmp_path / "m", params=params, recipe=chosen, context=8)
    tally, memory = Tally(compiled), compiled.image({})
    compiled.token_words(memory)[0] = 3
    registers = Registers(first_position=0, prompt_end=1, end_position=1)
    device = Functional(tally)
    counters = device.execute(memory, compiled.program_address, params, registers).counters
    firing = Activity(silent=0.0, spikes={"csd": 1.0}, source="all")
    token = products(checkpoint.config, chosen, lambda *_: firing, 0, found)
    counts = count(checkpoint.config, token, params, "csd", 0)
    assert counts.scaled == tally.scaled == counts.group_outputs > 0
    assert counts.weight_bytes + counts.cache_bytes == counters["weight_bytes_read"]
    plain = ledger(spike_design("csd"), replace(counts, scaled=0.0), params)
    scaled = joules(ledger(spike_design("csd"), counts, params)) - joules(plain)
    assert scaled == pytest.approx(counts.scaled * 2 * (3.1 + 48 * 0.15625) * 1e-12)


def test_counts_of_a_token_are_those_of_the_simulator(one_token):
    config, position, counters, by_site = one_token
    found = products(config, W8, measured_activities(by_site), position)
    counts = count(config, found, TEST, "csd", position)
    assert counts.additions == pytest.approx(counters["synaptic_operations"], rel=1e-12)
    assert counts.written_bytes == counters["dram_bytes_written"]
    of_matrices = 0
    for product in found:
        if product.sharing == 1:
            encoded = by_site[f"{product.name.rpartition('.')[0]}.{product.site}".lstrip(".")]
            events = np.count_nonzero(encoded[0].any(axis=0))
            row = sum(TEST.row_bytes(n, 8) for n in TEST.tiles(product.outputs))
            assert product_counts(product, TEST, "csd").bytes == pytest.approx(events * row)
            of_matrices += events * row
    assert counts.weight_bytes == pytest.approx(of_matrices)
    # What the heads of a batch share is taken as if they fired independently: an estimate.
    of_cache = counters["weight_bytes_read"] - of_matrices
    assert counts.cache_bytes == pytest.approx(of_cache, rel=0.1)


def test_a_batch_fetches_what_any_of_its_tokens_needs():
    activity = Activity(silent=0.5, spikes={"csd": 1.0}, source="a test")
    found = products(LLAMA, W8, lambda *_: activity, 0)
    gate = next(product for product in found if product.name == "layers.0.gate")
    one, four = (product_counts(gate, preset("edge"), "csd", batch) for batch in (1, 4))
    assert one.bytes == one.dense_bytes / 2
    assert 4 * four.bytes == pytest.approx(one.dense_bytes * (1 - 0.5**4))
    assert one.additions == four.additions == gate.macs
    skipping_nothing = replace(activity, silent=0.0)
    assert product_counts(
        replace(gate, activity=skipping_nothing), preset("edge"), "csd"
    ).bytes == pytest.approx(one.dense_bytes)


def test_energy_prints_its_entries(capsys):
    assert main(["energy", "sdllm-7b", "--recipe", "w4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "sdllm-7b" and len(report["designs"]) == 10
    for row in report["designs"]:
        assert row["joules"] == pytest.approx(sum(entry["joules"] for entry in row["entries"]))
        assert all(entry["source"] for entry in row["entries"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["energy", "nobody"], "there is no model nobody: name one of "),
        (["boards", "sdllm-7b", "--position", "4096"], "--position must be 0 to 4095 for sdllm-7b"),
        (["energy", "sdllm-7b", "--recipe", "w2"], "weights must have 8 or 4 bits for the ledger"),
        (
            ["energy", "sdllm-14b", "--position", "16384"],
            "context must be at most 16384 positions on this hardware (max_channels), not 16385",
        ),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"python -m compiler {arguments[0]}: {sentence}")


@pytest.mark.parametrize(("model", "hardware"), [("sdllm-7b", "test"), ("sdllm-7b", "edge")])
def test_energy_refuses_what_a_build_refuses(model, hardware, tmp_path, capsys):
    said = []
    for command in (["energy"], ["build", "-o", str(tmp_path / "m")]):
        assert main([*command, model, "--preset", hardware]) == 2
        printed = capsys.readouterr()
        said.append(printed.err.removeprefix(f"python -m compiler {command[0]}: "))
        assert not printed.out
    assert said[0] == said[1] and "(max_channels)" in said[0]


def test_the_page_shows_constants_with_all_their_digits():
    page = (ROOT / "docs" / "energy.md").read_text()
    for constant in constants().values():
        row = re.search(rf"^\| {constant.name} \|(.*?)\|(.*?)\|(.*?)\|", page, re.M)
        shown = [float(value) for value in row.groups()]
        assert shown == [constant.typical, constant.low, constant.high]
