"""The RTL against the other devices: all is seen, and a fault on one side is named."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import sim.rtl.simulator
from compiler.programs.model import build_model
from golden.model.integer import IntegerModel
from hw.contract import isa
from hw.contract.presets import preset
from sim.device import Timing
from sim.diverge.diverge import execute, outcome_of
from sim.diverge.explain import explain
from sim.diverge.locate import compare
from sim.diverge.program import of_model
from sim.diverge.sources import Replay
from sim.rtl.device import Rtl
from tests.compiler.models import RandomCheckpoint, recipe
from tests.mutations.mutation import ROOT
from tests.mutations.table import MUTATIONS

PARAMS = preset("test")


class _Changed:
    """A program of which one side has another memory."""

    def __init__(self, program, change):
        self._program, self._change = program, change

    def __getattr__(self, name):
        return getattr(self._program, name)

    def memory(self):
        memory = self._program.memory()
        self._change(memory)
        return memory


def program_of(seed, directory, tokens=3):
    checkpoint = RandomCheckpoint(seed, qkv_bias=False)
    compiled = build_model(checkpoint, directory, params=PARAMS, recipe=recipe(), context=40)
    return of_model(compiled, checkpoint, [1, 2, 3], tokens), checkpoint


def test_all_of_the_rtl_is_golden_s_its_counts_too(seed, tmp_path):
    program, _ = program_of(seed, tmp_path / "m")
    outcome = outcome_of(program, ("rtl", "golden"), Timing(stalls=0.3, seed=seed))
    assert (outcome.first, outcome.beyond, outcome.hidden) == (None, None, 0)


def test_a_flipped_bit_of_the_rtl_s_weights(seed, tmp_path):
    program, _ = program_of(seed, tmp_path / "m")
    compiled = program.compiled
    region = compiled.regions["layers.1.up.weights"]
    want, steps = execute("functional", program, Timing())
    step = next(s for s in steps if s.pieces and s.pieces[0].tensor == "layers.1.up")
    channel = int(np.flatnonzero(want.counts[step.batch - 1][0])[0])  # one that fires
    tile, column = 1, 9
    byte = tile * 36 * PARAMS.tile_outputs + channel * PARAMS.row_bytes(PARAMS.tile_outputs, 8)
    assert compiled.params.tiles(91)[:2] == [PARAMS.tile_outputs] * 2

    def flip(memory):
        memory[region.address + byte + column] ^= 0x40

    got, _ = execute("rtl", _Changed(program, flip), Timing())
    outcome = compare(steps, Replay(want), Replay(got), compiled.place_of)
    first = explain(compiled, outcome.first)
    assert (first["opcode"], first["tensor"]) == ("MATMUL", "layers.1.up")
    assert first["instruction"] == step.number and first["position"] == 0
    assert first["element"] == first["channel"] == PARAMS.tile_outputs + column
    beat, lane = divmod(column, PARAMS.lanes)
    assert (first["tile"], first["beat"], first["lane"]) == (tile, beat, lane)
    assert first["differing"] == 1


def test_another_dead_zone_in_the_rtl_s_program(seed, tmp_path):
    """It changes counts, which never reach memory."""
    program, _ = program_of(seed, tmp_path / "m")
    compiled = program.compiled
    want, steps = execute("functional", program, Timing())
    step = next(s for s in steps if s.pieces and s.pieces[0].tensor == "layers.0.down.counts")
    slot = compiled.program_address + isa.HEADER.size // 8 + step.slot * isa.SLOT_BYTES
    offset = isa.INSTRUCTIONS[isa.Opcode.ENCODE]["dead_zone"].offset
    zone = 1 << 12  # a sixteenth

    def change(memory):
        word = int.from_bytes(memory[slot : slot + isa.SLOT_BYTES].tobytes(), "little")
        raw = (word ^ zone << offset).to_bytes(isa.SLOT_BYTES, "little")
        memory[slot : slot + isa.SLOT_BYTES] = np.frombuffer(raw, np.uint8)

    got, _ = execute("rtl", _Changed(program, change), Timing())
    outcome = compare(steps, Replay(want), Replay(got), compiled.place_of)
    first = explain(compiled, outcome.first)
    counts = want.counts[step.batch - 1][0], got.counts[step.batch - 1][0]
    differ = np.flatnonzero(counts[0] != counts[1])
    assert (first["tensor"], first["kind"]) == ("layers.0.down.counts", "counts")
    assert (first["instruction"], first["element"]) == (step.number, differ[0])
    assert first["differing"] == differ.size and first["b"]["value"] == 0
    assert first["trains"][1] == [0] * 8
    assert first["time_step"] == next(t for t, s in enumerate(first["trains"][0]) if s)


def test_tokens_come_while_the_rtl_runs(seed, tmp_path, monkeypatch):
    """Each is told once, in order, and before the end."""
    program, checkpoint = program_of(seed, tmp_path / "m", tokens=12)
    memory, told, ended = program.memory(), [], []
    monkeypatch.setattr("sim.rtl.simulator._LOOK_SECONDS", 0.01)
    run = sim.rtl.simulator.cocotb_run

    def noted(*arguments, **options):
        run(*arguments, **options)
        ended.append(len(told))  # before the last look

    monkeypatch.setattr("sim.rtl.simulator.cocotb_run", noted)
    Rtl().execute(
        memory,
        program.compiled.program_address,
        PARAMS,
        program.registers,
        lambda position, token: told.append((position, token)),
    )
    want = IntegerModel(checkpoint, recipe()).generate([1, 2, 3], 12)
    assert told == [*enumerate(want, 3)]
    assert ended[0] > 0


MUTATED = {
    "the carry into a subtraction": ("MATMUL", "layers.0.q"),
    "the membrane's start at half a threshold": ("ENCODE", None),
}


@pytest.mark.full
@pytest.mark.parametrize(("name", "seen"), MUTATED.items(), ids=MUTATED)
def test_a_fault_planted_in_the_rtl(name, seen, stories260k, tmp_path):
    mutation = next(m for m in MUTATIONS if m.name == name)
    root = tmp_path / ROOT.name
    left_out = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__")
    shutil.copytree(ROOT, root, ignore=left_out)
    mutation.apply(root)
    command = [sys.executable, "-m", "sim", "diverge", "functional", "rtl", "--json"]
    options = ["--model", str(stories260k), "--preset", "test"]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [*command, *options], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    first = json.loads(done.stdout)["first"]
    opcode, tensor = seen
    assert first["opcode"] == opcode and first["position"] == 0
    assert tensor in (None, first["tensor"])
    assert (first["time_step"] is not None) == (opcode == "ENCODE")
