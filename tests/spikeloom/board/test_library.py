"""The C library: strict compilers take it, and it does what the Python driver does."""

import subprocess

import numpy as np
import pytest

from golden.console.main import run as run_command
from hw.contract.presets import preset
from hw.contract.regs import COUNTERS, Error, FaultKind, Status
from spikeloom.board.commands.grammar import parser
from spikeloom.board.library import FILES
from tests.spikeloom.board.c_library import (
    DIFFERS,
    FAILED,
    LOST,
    OK,
    OTHER_HARDWARE,
    REFUSED,
    UNENDED,
    UNKNOWN,
    Library,
    compiled_library,
    run_layer,
)
from tests.spikeloom.board.fake import FakeBoard, Faults

BYTES = 1 << 14


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return compiled_library(tmp_path_factory.mktemp("c"))


def fake(case, **faults) -> FakeBoard:
    return FakeBoard(case.compiled.params, case.compiled.memory_bytes, Faults(**faults))


def small(**faults) -> FakeBoard:
    return FakeBoard(preset("test"), BYTES, Faults(**faults))


def test_a_command_writes_what_a_cpp_program_may_include(tmp_path, capsys):
    place = tmp_path / "driver"
    assert run_command(parser(), ["driver", "-o", str(place)]) == 0
    assert capsys.readouterr().out.split() == [str(place / name) for name in FILES]
    command = ["g++", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    subprocess.run([*command, "spikeloom.h", "spikeloom.c"], cwd=place, check=True)


def test_a_layer_is_goldens_with_all_counters(shared, case):
    transport = fake(case)
    library = Library(shared, transport)
    assert library.fingerprint() == (OK, case.compiled.fingerprint)
    outputs = run_layer(library, case)
    for name, expected in case.expected.outputs.items():
        rows = np.frombuffer(outputs[name], "<i4").reshape(case.compiled.tokens, -1)
        assert np.array_equal(rows[:, : expected.shape[1]], expected), name
    counters = dict(zip(COUNTERS, library.counters(len(COUNTERS)), strict=True))
    for name, value in case.expected.counters.items():
        assert value in (None, counters[name]), name
    assert counters["cycles"] == transport.registers["CYCLES_LOW"] > 0
    assert library.failure().error == 0
    assert library.poll() == (0, 0)  # the interrupt is cleared
    assert transport.registers["IRQ_ENABLE"] == 1


def test_other_hardware_and_none_are_told(shared, case):
    assert Library(shared, fake(case)).require("0" * 64) == OTHER_HARDWARE
    assert Library(shared, fake(case, registers={"VERSION": 7})).fingerprint()[0] == UNKNOWN


def test_an_error_has_its_place(shared, case):
    library = Library(shared, fake(case, slave_error=0x4C0))
    assert library.start(case.compiled.program_address, watchdog=77) == OK
    assert library._transport.registers["WATCHDOG"] == 77
    assert library.end() == FAILED
    failure = library.failure()
    assert (failure.error, failure.address) == (Error.READ_FAILED.value, 0x4C0)
    assert (failure.kind, failure.client) == (FaultKind.READ.value, 2)
    assert library.error_name(failure.error) == "READ_FAILED"
    assert [library.error_name(error.value) for error in Error] == [error.name for error in Error]
    assert library.error_name(15) == "?"


def test_no_end_and_no_rest_are_told_and_an_abort_frees(shared, case):
    transport = fake(case, hangs=True)
    library = Library(shared, transport)
    assert library.start(case.compiled.program_address) == OK
    assert library.end(looks=3) == UNENDED
    assert library.abort() == OK
    assert library.failure().error == Error.ABORTED.value
    transport.faults.hangs = False
    assert run_layer(library, case)
    owing = fake(case, hangs=True, owes_answers=True, registers={"STATUS": Status.BUSY})
    assert Library(shared, owing).abort(looks=10) == OK
    assert owing.aborts == 2
    stuck = fake(case, hangs=True, ignores_abort=True, registers={"STATUS": Status.BUSY})
    assert Library(shared, stuck).abort(looks=3) == UNENDED
    assert Library(shared, stuck).start(0) == UNENDED
    assert stuck.starts == 0


def test_a_lost_bus_is_told(shared):
    library = Library(shared, small(lost_after_writes=0))
    assert library.load(0, b"abc") == LOST
    assert library.load(0, b"abc") == OK


def test_a_memory_that_holds_passes_and_faults_are_placed(shared):
    library = Library(shared, small())
    assert library.test_memory(0, BYTES) == OK
    data = bytes(range(256)) * 3
    assert library.load(0x105, data) == OK
    assert library.check(0x105, data) == OK
    assert library.check(0x105, data[:700] + b"\0" + data[701:]) == DIFFERS
    assert library.wrong.value == 0x105 + 700


@pytest.mark.parametrize(("first", "end"), [(0, 0), (16, 8), (4, 16), (8, 12)])
def test_a_range_that_cannot_be_tested_is_refused_and_not_touched(shared, first, end):
    transport = small()
    assert Library(shared, transport).test_memory(first, end) == REFUSED
    assert transport.memory_writes == 0


@pytest.mark.parametrize("line", range(3, 14))
@pytest.mark.parametrize("first", [0, 8])
def test_a_stuck_address_line_is_seen(shared, line, first):
    library = Library(shared, small(read=lambda address: address & ~(1 << line)))
    assert library.test_memory(first, BYTES) == DIFFERS


@pytest.mark.parametrize("bit", [0, 13, 63])
def test_a_stuck_data_line_is_seen(shared, bit):
    def stored(address, data):
        data[(bit // 8 - address) % 8 :: 8] &= ~np.uint8(1 << bit % 8)
        return data

    library = Library(shared, small(stored=stored))
    assert library.test_memory(0, BYTES) == DIFFERS
    assert library.wrong.value == bit // 8
