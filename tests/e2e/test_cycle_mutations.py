"""A model that is off by a cycle, a place of a queue or a word anywhere is seen by the sweep."""

import shutil

import numpy as np
import pytest

from hw.presets import preset
from sim.cycle_model import library
from sim.errors import HardwareFault
from sim.rtl import Timing
from sim.verilog import ROOT
from tests.e2e.cycle_checks import differences, random_trial

# By file of sim/cycle_model: text that occurs once in it, and what takes its place.
MUTATIONS = [
    ("stream.h", "inner_depth_(depth - 1)", "inner_depth_(depth)"),
    ("stream.h", "inner_level_ && (!o_valid_ || o_ready)", "inner_level_ && !o_valid_"),
    ("bursts.h", "(i_valid ? !joins : hurry)", "(!i_valid || !joins)"),
    ("bursts.h", "joins && run_words <= max_words", "false"),
    ("read.h", "Client(p, p.fetch_depth)", "Client(p, p.fetch_depth - 1)"),
    ("read.h", "reserved < depth / 2", "reserved < depth / 4"),
    ("read.h", "open = open && !wants", "open = true"),
    ("controller.h", "words_under_way <= 3 *", "words_under_way < 3 *"),
    ("controller.h", "phase = Phase::kRead;", "phase = Phase::kDecode;"),
    ("controller.h", "!(slot->fence && working)", "true"),
    ("controller.h", " && !under_way[bank]", ""),
    ("encoder.h", "p.threshold_latency - 1", "p.threshold_latency"),
    ("encoder.h", "neurons >> p.neuron_latency", "neurons >> (p.neuron_latency - 1)"),
    ("encoder.h", "- p.mantissa_width;", "- p.mantissa_width + 1;"),
    ("encoder.h", "written_token == site->tokens && !normalizing", "written_token == site->tokens"),
    ("spikes.h", "(group + 1) / groups_per_word", "group / groups_per_word"),
    ("events.h", "(!word_valid || word_taken)", "!word_valid"),
    ("events.h", "(fires == 1 && event_taken)", "false"),
    ("events.h", "!i.matmul && !o_valid", "!i.matmul"),
    ("fetch.h", "(!valid || move)", "!valid"),
    ("beats.h", "(!complete || exhausted) && free", "(!complete || exhausted) && free && !o_valid"),
    ("train.h", "(!o_valid || o_ready)", "!o_valid"),
    ("sequencer.h", "&& !(occupied >> half & 1)", "&& !occupied"),
    ("sequencer.h", "train.end && array_idle", "train.end"),
    ("array.h", "&& !store_valid", ""),
    ("channel_words.h", "phase = i_ready ? Phase::kIdle : Phase::kRequest", "phase = Phase::kIdle"),
    ("drain.h", "phase == Phase::kRelease && move;", "phase == Phase::kRelease;"),
    ("drain.h", "loaded >> i_tile.half & 1 && ", ""),
    ("drain.h", "&& scales_ready >> i_matmul.bank & 1", ""),
    ("requant.h", "kOutput = 1u << 4", "kOutput = 1u << 3"),
    ("write.h", "if (sent) phase", "phase"),
    ("write.h", "|| pending;", ";"),
    ("matmul.h", "kMatmuls = 4", "kMatmuls = 5"),
    ("matmul.h", "beat_queue(p.beat_depth)", "beat_queue(p.beat_depth - 1)"),
    ("top.h", "encoder.busy() || matrix.bank_busy()", "matrix.bank_busy()"),
]


@pytest.fixture(scope="module")
def compared(rtl, request, tmp_path_factory):
    """Return programs with what the RTL counts for them; the model itself agrees."""
    rng = np.random.default_rng(request.config.option.seed)
    directory = tmp_path_factory.mktemp("programs")
    trials = [random_trial(rng, preset("test"), directory / f"{i}") for i in range(100)]
    for i, stalls in enumerate((0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7)):
        timing = Timing(latency=20, stalls=stalls, seed=i)
        trials.append(random_trial(rng, preset("test"), directory / f"stalled{i}", timing))
    pairs = list(zip(trials, rtl.run_all([trial.run for trial in trials]), strict=True))
    assert not [line for pair in pairs for line in differences(*pair)]
    return pairs


@pytest.mark.full
@pytest.mark.parametrize(
    ("file", "old", "new"), MUTATIONS, ids=[f"{file} {old}" for file, old, _ in MUTATIONS]
)
def test_a_model_that_is_off_is_seen(compared, tmp_path, monkeypatch, file, old, new):
    for source in ("sim/cycle_model", "sim/bench"):
        shutil.copytree(ROOT / source, tmp_path / source)
    path = tmp_path / "sim" / "cycle_model" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    mutated = library.library(tmp_path)
    monkeypatch.setattr(library, "library", lambda: mutated)
    assert any(seen(*pair) for pair in compared)


def seen(trial, result) -> bool:
    """Return whether the model differs from the RTL, or comes to a fault."""
    try:
        return bool(differences(trial, result))
    except (AssertionError, HardwareFault):
        return True
