"""The driver on the RTL itself, in Verilator, behind a bridge: as a board would be."""

import numpy as np
import pytest

from golden.console.main import run as run_command
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS, Error, FaultKind
from sim.rtl.builds import build_bench
from spikeloom.board.board import Board
from spikeloom.board.commands.grammar import parser
from spikeloom.board.failure import failure_of
from spikeloom.board.layer import run_layer
from spikeloom.board.selftest import selftest
from spikeloom.board.simulation import Simulation
from tests.spikeloom.board.c_library import Library, compiled_library
from tests.spikeloom.board.c_library import run_layer as run_layer_in_c


@pytest.fixture(scope="module")
def build():
    return build_bench(preset("test"))


def simulation(build, case, **options) -> Simulation:
    return Simulation(case.compiled.params, case.compiled.memory_bytes, build=build, **options)


def test_a_selftest_passes_with_an_abort_in_its_midst(build, case):
    with simulation(build, case) as transport, Board(transport) as board:
        steps = {step.name: step for step in selftest(board, case, case.compiled.memory_bytes)}
    assert [*steps] == ["identify", "memory", "load", "layer", "abort", "again"]
    assert not [step.failures for step in steps.values() if step.failures]
    assert steps["abort"].found.startswith("error ABORTED after")
    assert steps["again"].found == steps["layer"].found


def test_a_refused_read_is_told_with_its_address_and_the_next_run_is_right(build, case):
    weights = case.compiled.regions["layers.0.up.weights"]
    bad = [(weights.address + 64, weights.address + 72)]
    with simulation(build, case, failing_reads=bad) as transport, Board(transport) as board:
        result, verdict = run_layer(board, case)
        assert result.error is Error.READ_FAILED and verdict.failures
        (told,) = failure_of(board, result)
        assert f"with error READ_FAILED at position 0, {FaultKind.READ.name.lower()} at add" in told
        first = board.wide("FAULT_ADDRESS")
        assert weights.address <= first <= weights.address + 64
        again, _ = run_layer(board, case)
        assert again.error is Error.READ_FAILED
    with simulation(build, case) as transport, Board(transport) as board:
        assert run_layer(board, case)[1].failures == []


def test_the_c_library_runs_a_layer(build, case, tmp_path):
    with simulation(build, case) as transport:
        library = Library(compiled_library(tmp_path), transport)
        outputs = run_layer_in_c(library, case)
        counters = dict(zip(COUNTERS, library.counters(len(COUNTERS)), strict=True))
    for name, expected in case.expected.outputs.items():
        rows = np.frombuffer(outputs[name], "<i4").reshape(case.compiled.tokens, -1)
        assert np.array_equal(rows[:, : expected.shape[1]], expected), name
    for name, value in case.expected.counters.items():
        assert value in (None, counters[name]), name


def test_a_story_is_goldens(build, stories260k, tmp_path, capsys):
    command = [
        "run",
        str(stories260k),
        "--tokens",
        "2",
        "--check",
        "golden",
        "--prompt",
        "Once upon a time",
    ]
    assert run_command(parser(), [*command, "-o", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Once upon a time, there\n")
    assert "the same as golden's" in said
