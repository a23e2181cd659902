"""A model that is off by a cycle, a place of a queue or a word anywhere is seen by the sweep."""

import os
import shutil
from functools import partial

import numpy as np
import pytest

from golden.console.places import SOURCES
from hw.contract.presets import preset
from sim.cycle import library
from sim.device import Timing
from sim.errors import HardwareFault
from sim.rtl.builds import build_bench
from tests.e2e import cycle_checks, cycle_programs

# By file of sim/cycle/model: text that occurs once in it, and what takes its place.
MUTATIONS = [
    ("stream.h", "inner_depth_(depth - 1)", "inner_depth_(depth)"),
    ("stream.h", "inner_level_ && (!o_valid_ || o_ready)", "inner_level_ && !o_valid_"),
    ("bursts.h", "(i_valid ? !joins : hurry && !leaving.o_valid())", "(!i_valid || !joins)"),
    ("bursts.h", "joins && !full", "false"),
    ("bursts.h", "complete && leaving.i_ready()", "complete"),
    ("bursts.h", "hurry && !leaving.o_valid()", "hurry"),
    ("read.h", "Client(p, p.fetch_depth)", "Client(p, p.fetch_depth - 1)"),
    ("read.h", "Client(p, 4 * p.slot_words)", "Client(p, 3 * p.slot_words)"),
    ("read.h", "reserved < depth / 2", "reserved < depth / 4"),
    ("read.h", "open = open && !wants", "open = true"),
    ("controller.h", "words_under_way <= 3 *", "words_under_way < 3 *"),
    ("controller.h", "slot && slot->fence && working", "false"),
    ("controller.h", " && !under_way[bank]", ""),
    ("controller.h", "kMatmul && !fenced", "kMatmul"),
    ("controller.h", "kVector && !fenced", "kVector"),
    ("controller.h", "kStore && !fenced", "kStore"),
    ("controller.h", "fenced ? Phase::kDecode : Phase::kNextPosition", "Phase::kNextPosition"),
    ("controller.h", "fenced ? Phase::kDecode : Phase::kPrefill", "Phase::kPrefill"),
    ("controller.h", "fenced ? Phase::kDecode : Phase::kLayers", "Phase::kLayers"),
    ("controller.h", "record_words <= 3 *", "record_words < 3 *"),
    ("controller.h", "token_wanted ? 1 : p.slot_words", "p.slot_words"),
    ("controller.h", "slot->by_position ? Phase::kLengthen", "slot->by_position ? Phase::kDecode"),
    (
        "controller.h",
        "if (complete) phase = Phase::kLengthen",
        "if (complete) phase = Phase::kDecode",
    ),
    ("controller.h", "phase = Phase::kPlace", "phase = Phase::kVector"),
    ("controller.h", "if (working) break;", ""),
    ("controller.h", "position != host.end_position", "true"),
    ("controller.h", "position + 1 < host.prompt_end", "position < host.prompt_end"),
    ("controller.h", "slot->ends ? Phase::kFinish : Phase::kNext", "Phase::kNext"),
    ("controller.h", "!was_reading && unread", "!was_reading"),
    ("controller.h", "host.slots - next_slot", "host.slots - next_slot - 1"),
    ("controller.h", "                    reading = request_valid && !request_ready;\n", ""),
    ("controller.h", "if (!(records_valid && !records_ready)) records_wanted = 0;", ""),
    ("controller.h", "            looping = false;", "            looping = false; next();"),
    ("encoder.h", "if (!storing) scales_ready", "scales_ready"),
    ("encoder.h", "storing ? o_head_ready :", "storing ? true :"),
    ("encoder.h", "p.threshold_latency - 1", "p.threshold_latency"),
    ("encoder.h", "neurons >> (p.neuron_latency + 1)", "neurons >> p.neuron_latency"),
    ("encoder.h", "- p.mantissa_width;", "- p.mantissa_width + 1;"),
    ("encoder.h", "written_token == site->tokens && !normalizing", "written_token == site->tokens"),
    ("spikes.h", "(group + 1) / groups_per_word", "group / groups_per_word"),
    ("events.h", "(!word_valid || word_taken)", "!word_valid"),
    ("events.h", "(fires == 1 && event_taken)", "false"),
    ("events.h", "!i.matmul && !o_valid", "!i.matmul"),
    ("fetch.h", "(!valid || move)", "!valid"),
    ("fetch.h", "matmul->strided ? matmul->full.row_words : words", "words"),
    ("beats.h", "(!complete || exhausted) && free", "(!complete || exhausted) && free && !o_valid"),
    ("train.h", "(!o_valid || o_ready)", "!o_valid"),
    ("train.h", "!held_valid || moves", "moves"),
    ("sequencer.h", "half_free = !(occupied >> half & 1)", "half_free = !occupied"),
    ("sequencer.h", "train.end && array_idle", "train.end"),
    ("array.h", "&& !store_valid", ""),
    ("array.h", "loads = i_valid && i_loads", "loads = i_valid"),
    ("channel_words.h", "phase = i_ready ? Phase::kIdle : Phase::kRequest", "phase = Phase::kIdle"),
    ("drain.h", "phase == Phase::kRelease && move;", "phase == Phase::kRelease;"),
    ("drain.h", "loaded >> i_tile.half & 1 && ", ""),
    ("drain.h", "&& scales_ready >> i_matmul.bank & 1", ""),
    ("requant.h", "kOutput = 1u << 7", "kOutput = 1u << 6"),
    ("write.h", "if (sent) phase", "phase"),
    ("write.h", "|| pending;", ";"),
    ("write.h", " & ~below(first)", ""),
    ("write.h", "(end + p.axi_bytes - 1) / p.axi_bytes", "end / p.axi_bytes + 1"),
    ("guard.h", "return !o_write_valid || o_write_ready", "return true"),
    ("guard.h", "|| o_write_ready", ""),
    ("rows.h", "waits ? kept : offered", "offered"),
    ("rows.h", "for (int i = kWriteClients; i--;)", "for (int i = 0; i < kWriteClients; ++i)"),
    ("rows.h", "words[owner] && left", "words[chosen] && left"),
    ("cache.h", "came == groups && scaled", "came == groups"),
    ("cache.h", "came == groups && scaled", "scaled"),
    ("cache.h", "job->values ? Phase::kRead : Phase::kRow", "Phase::kRow"),
    ("cache.h", "job->values ? job->channels : 1", "job->channels"),
    ("cache.h", "job->values ? p.axi_bytes : 1", "1"),
    ("cache.h", "if (head_valid) phase = Phase::kCollect", "phase = Phase::kCollect"),
    ("vector.h", "|| argmax()) phase = Phase::kPass", ") phase = Phase::kPass"),
    ("vector.h", "kRotate: return 6", "kRotate: return 7"),
    ("vector.h", "kSwiglu: return 14", "kSwiglu: return 15"),
    ("vector.h", "kNorm: return 11", "kNorm: return 12"),
    ("vector.h", "kNorm) return 4", "kNorm) return 5"),
    ("vector.h", "__builtin_ctz(p.encode_lanes)", "2"),
    ("vector.h", "pass == 1 ? 10", "pass == 1 ? 11"),
    ("vector.h", "kSoftmax: return 18", "kSoftmax: return 17"),
    ("vector.h", "wait(Phase::kNormalize, job->shifts[row] + 1)", "wait(Phase::kNormalize, 20)"),
    ("vector.h", "start(Phase::kLevel, job->shifts[row] + 1)", "start(Phase::kLevel, 9)"),
    ("vector.h", "kRootDigits = 32", "kRootDigits = 31"),
    ("vector.h", "wait(Phase::kReciprocal, kShortDivision)", "wait(Phase::kReciprocal, 1)"),
    ("vector.h", "&& row + 1 != job->rows) next_row()", ") next_row()"),
    ("vector.h", "else if (row_free) offer(", "else offer("),
    ("vector.h", "(b_valid || !needs_b())", "b_valid"),
    ("vector.h", "&& !asked_b && asks_b()", "&& !asked_b"),
    ("vector.h", "asked_a || a_ready", "a_ready"),
    ("vector.h", "job->b_same ? 0 : job->stride", "job->stride"),
    ("vector.h", "if (gathered && (left_all || !last_pass())) flushed()", "flushed()"),
    ("matmul.h", "encoder.o_counts_valid && !encoder.storing", "encoder.o_counts_valid"),
    ("matmul.h", "kMatmuls = 4", "kMatmuls = 5"),
    ("matmul.h", "beat_queue(p.beat_depth)", "beat_queue(p.beat_depth - 1)"),
    ("top.h", "encoder.busy() || matrix.bank_busy()", "matrix.bank_busy()"),
    ("top.h", "vector.busy() || cache.busy() || drains", "cache.busy() || drains"),
    ("top.h", "vector.busy() || cache.busy() || drains", "vector.busy() || drains"),
    ("top.h", "count(vector.busy() || cache.busy()", "count(vector.busy()"),
]


@pytest.fixture(scope="module")
def compared(rtl, request, tmp_path_factory):
    """Return comparisons with what the RTL counts for programs; the model itself agrees."""
    rng = np.random.default_rng(request.config.option.seed)
    directory = tmp_path_factory.mktemp("programs")
    params = preset("test")
    timings = [
        Timing(latency=20, stalls=stalls, seed=i)
        for i, stalls in enumerate((0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7))
    ]
    wholes = [cycle_programs.random_whole(rng, params, t) for t in [*[None] * 200, *timings * 4]]
    results = cycle_programs.outcomes(build_bench(params), wholes, directory)
    comparisons = [
        partial(cycle_programs.differences, *pair) for pair in zip(wholes, results, strict=True)
    ]
    trials = [
        cycle_checks.random_trial(rng, params, directory / f"{i}", timing)
        for i, timing in enumerate([*[None] * 100, *timings])
    ]
    results = rtl.run_all([trial.run for trial in trials])
    comparisons += [
        partial(cycle_checks.differences, *pair) for pair in zip(trials, results, strict=True)
    ]
    assert not [line for differences in comparisons for line in differences()]
    return comparisons


@pytest.mark.full
@pytest.mark.parametrize(
    ("file", "old", "new"),
    MUTATIONS,
    ids=map(" ".join, MUTATIONS),
)
def test_a_model_that_is_off_is_seen(compared, tmp_path, monkeypatch, file, old, new):
    for source in ("sim/cycle/model", "sim/rtl/bench"):
        shutil.copytree(SOURCES / source, tmp_path / source)
    path = tmp_path / "sim" / "cycle" / "model" / file
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    mutated = library.library(tmp_path, tmp_path / "build")
    monkeypatch.setattr(library, "library", lambda **_: mutated)
    assert seen_apart(compared)


def seen_apart(compared) -> bool:
    """Return whether any comparison sees the model off, in a process of its own: it may crash."""
    child = os.fork()
    if not child:
        status = 1
        try:
            status = 0 if any(seen(differences) for differences in compared) else 1
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0


def seen(differences) -> bool:
    """Return whether the model differs from the RTL, or comes to a fault."""
    try:
        return bool(differences())
    except (AssertionError, HardwareFault):
        return True
