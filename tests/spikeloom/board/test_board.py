"""A board that does as it must, and boards that do not: each fault has its sentence."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hw.contract.presets import preset
from hw.contract.regs import Error, Status
from sim.device import Registers, memory_before
from sim.functional.device import Functional
from spikeloom.board import ways
from spikeloom.board.board import Board
from spikeloom.board.errors import BoardError, MemoryFault
from spikeloom.board.failure import failure_of
from spikeloom.board.layer import run_layer
from spikeloom.board.lock import alone, lock_file
from spikeloom.board.selftest import selftest
from tests.spikeloom.board.fake import NAMES, FakeBoard, Faults

ROOT = Path(__file__).resolve().parents[3]


def fake(case, **faults) -> FakeBoard:
    return FakeBoard(case.compiled.params, case.compiled.memory_bytes, Faults(**faults))


def test_a_layer_on_a_board_is_goldens_and_the_rest_of_memory_is_as_loaded(case):
    transport = fake(case)
    with Board(transport) as board:
        assert board.identity.params == case.compiled.params
        result, verdict = run_layer(board, case)
    assert verdict.failures == []
    assert all(matrix.bit_exact for matrix in verdict.matrices) and verdict.matrices
    expected = memory_before(case.compiled, case.inputs)
    Functional().execute(expected, case.compiled.program_address, case.compiled.params)
    for region in case.compiled.regions.values():
        place = slice(region.address, region.address + region.bytes)
        assert np.array_equal(transport.memory[place], expected[place]), region.name
    assert result.counters["events"] == case.expected.counters["events"]


def test_a_board_is_a_device_that_executes_a_whole_memory(case):
    compiled = case.compiled
    memory, expected = (memory_before(compiled, case.inputs) for _ in range(2))
    with Board(fake(case)) as board:
        result = board.execute(memory, compiled.program_address, compiled.params)
        with pytest.raises(BoardError, match="the program is for hardware .*, and the board has"):
            board.execute(memory, compiled.program_address, preset("edge"))
    assert result.error is Error.NONE
    Functional().execute(expected, compiled.program_address, compiled.params)
    assert np.array_equal(memory, expected)


def test_a_program_for_other_hardware_is_refused_before_anything_is_written(case):
    other = FakeBoard(replace(case.compiled.params, event_depth=128), case.compiled.memory_bytes)
    with Board(other) as board, pytest.raises(ValueError) as refused:
        board.load(case.compiled)
    assert str(refused.value) == (
        f"{case.compiled.directory} is compiled for hardware {case.compiled.fingerprint}, and the "
        f"board has {board.identity.fingerprint}: load the other bitstream, or build it again"
    )
    assert other.memory_writes == 0


@pytest.mark.parametrize(
    ("registers", "said"),
    [
        ({"VERSION": 0}, "register VERSION reads 0x00000000, not 0x534c"),
        ({"VERSION": 0xFFFF_FFFF}, "register VERSION reads 0xffffffff, not 0x534c"),
        ({"CAPABILITY_LANES": 12}, "are of no accelerator (lanes must be a power of two"),
        ({"CAPABILITY_ARRAY": 2}, "are of no accelerator (array must be 0 or 1, not 2)"),
    ],
)
def test_what_is_no_accelerator_is_told(case, registers, said):
    transport = fake(case, registers=registers)
    with pytest.raises(BoardError) as told, Board(transport):
        pass
    assert said in str(told.value)
    with Board(fake(case)):  # the lock is free again
        pass


def test_a_region_that_is_damaged_is_named_with_its_first_byte(case):
    region = case.compiled.regions["layers.0.up.weights"]
    bad = region.address + 0x123

    def stored(address, data):
        if address <= bad < address + len(data):
            data[bad - address] ^= 0x40
        return data

    with Board(fake(case, stored=stored)) as board, pytest.raises(MemoryFault) as told:
        board.load(case.compiled)
    raw = case.compiled.directory / case.compiled.contents[region.name]["file"]
    offset = case.compiled.contents[region.name]["offset"]
    right = raw.read_bytes()[offset + 0x123]
    assert str(told.value) == (
        f"region layers.0.up.weights is not on the board as it was loaded: its byte 0x123 (address "
        f"{bad:#x}) reads {right ^ 0x40:#04x}, not {right:#04x}, and 1 of the block's "
        f"{region.bytes} bytes differ: test the memory (python -m spikeloom.board selftest)"
    )


def test_a_region_that_lands_on_another_is_seen(case):
    last = max(region.address for region in case.compiled.regions.values())
    line = 1 << last.bit_length() - 1
    with (
        Board(fake(case, read=lambda address: address & ~line)) as board,
        pytest.raises(MemoryFault, match="is not on the board as it was loaded"),
    ):
        board.load(case.compiled)


def test_a_file_that_has_changed_since_it_was_compiled_is_told(case, tmp_path):
    contents = case.compiled.contents["layers.0.up.weights"]
    for file in case.compiled.directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / contents["file"]
    raw = bytearray(path.read_bytes())
    raw[contents["offset"]] ^= 1
    path.write_bytes(raw)
    with Board(fake(case)) as board, pytest.raises(MemoryFault, match="has checksum .* not .* as"):
        board.load(replace(case.compiled, directory=tmp_path))


def test_an_error_of_the_hardware_has_its_name_place_and_advice_and_the_next_run_is_right(case):
    transport = fake(case, slave_error=0x4C0)
    with Board(transport) as board:
        result, verdict = run_layer(board, case)
        assert result.error is Error.READ_FAILED
        assert verdict.failures == ["the program ended on board with error READ_FAILED"]
        (told,) = failure_of(board, result)
        assert told == (
            "the program ended on the board with error READ_FAILED at position 0, read at address "
            "0x4c0 by client 2: the memory refused a read: hold its size and the bridge's window "
            "against the program's memory_bytes"
        )
        transport.faults.slave_error = None
        assert run_layer(board, case)[1].failures == []


def test_a_run_that_hangs_is_aborted_and_the_next_is_right(case):
    transport = fake(case, hangs=True)
    with Board(transport, patience=0.01) as board:
        with pytest.raises(BoardError, match="no progress for 0.01 s at position 0, after 0 bytes"):
            board.run(case.compiled, case.inputs)
        assert transport.aborts == 1
        transport.faults.hangs = False
        assert run_layer(board, case)[1].failures == []


def test_a_run_that_somebody_left_behind_is_aborted_first(case):
    transport = fake(case, registers={"STATUS": Status.BUSY})
    with Board(transport) as board:
        assert transport.aborts == 1
        assert run_layer(board, case)[1].failures == []


def test_registers_are_written_in_their_order_and_an_old_interrupt_is_cleared_first(case):
    transport = fake(case, registers={"IRQ_STATUS": 1, "ERROR": 4})
    with Board(transport, watchdog=9) as board:
        board.load(case.compiled)
        board.start_and_wait(case.compiled.program_address + (5 << 32), Registers(stop_token=3))
    names = [name for name, _ in transport.register_writes]
    start = names.index("CONTROL")
    assert dict(transport.register_writes[:start]) == {
        **dict(PROGRAM_LOW=case.compiled.program_address, PROGRAM_HIGH=5, WATCHDOG=9),
        **dict(FIRST_POSITION=0, PROMPT_END=0, END_POSITION=0, STOP_TOKEN=3),
        **dict(IRQ_STATUS=1, IRQ_ENABLE=1),
    }
    assert transport.register_writes[start:] == [("CONTROL", 1), ("IRQ_STATUS", 1)]


def test_a_board_that_ignores_an_abort_is_told(case, monkeypatch):
    monkeypatch.setattr("spikeloom.board.board._REST_SECONDS", 0.01)
    transport = fake(case, ignores_abort=True, registers={"STATUS": Status.BUSY})
    with (
        pytest.raises(BoardError, match="after an abort, since its memory takes nothing: reset"),
        Board(transport),
    ):
        pass


def test_answers_that_never_come_are_given_up(case, monkeypatch):
    monkeypatch.setattr("spikeloom.board.board._REST_SECONDS", 0.2)
    transport = fake(case, owes_answers=True, registers={"STATUS": Status.BUSY})
    with Board(transport) as board:
        assert not board.register("STATUS") & Status.BUSY
    assert transport.aborts == 2


def test_a_lost_interrupt_and_a_lost_start_are_told_apart(case):
    with (
        Board(fake(case, lost_interrupt=True)) as board,
        pytest.raises(BoardError, match="has ended, but its interrupt does not come: check the wi"),
    ):
        board.run(case.compiled, case.inputs)
    with (
        Board(fake(case, lost_start=True)) as board,
        pytest.raises(BoardError, match="did not start: the write of CONTROL is lost on the way"),
    ):
        board.run(case.compiled, case.inputs)


def test_a_load_that_was_cut_short_goes_on_and_writes_only_what_lacks(case):
    transport = fake(case, lost_after_writes=3)
    with Board(transport) as board:
        with pytest.raises(BoardError, match="the connection is lost"):
            board.load(case.compiled)
        before = transport.memory_writes
        board.load(case.compiled)
        regions = len(case.compiled.regions)
        assert transport.memory_writes - before == regions - 3
        board.load(case.compiled)  # of a load that was complete nothing is taken for granted
        assert transport.memory_writes - before == 2 * regions - 3
        assert run_layer(board, case)[1].failures == []


@contextmanager
def held_by_another(name) -> Iterator[int]:
    """Let another process have a board; its number."""
    code = (
        "from spikeloom.board.lock import alone\nimport sys\n"
        "with alone(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, name]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        yield other.pid
        other.communicate("")


class Plain(FakeBoard):
    """Registers that keep what is written to them, and do nothing."""

    def write(self, address, value):
        self.registers[NAMES[address]] = value


class Silent(FakeBoard):
    """A board whose interrupt comes, and nothing else."""

    def _end(self, error):
        self.registers |= {"STATUS": 0, "IRQ_STATUS": 1}


class Odd(FakeBoard):
    """A board with an error that there is not."""

    def _end(self, error):
        super()._end(Error.BAD_MAGIC)
        self.registers["ERROR"] = 15


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Plain, "IRQ_STATUS stays set although it was cleared: check the base address of the"),
        (Silent, "the program is at no end, since STATUS reads 0x0, neither done nor an error"),
        (Odd, "register ERROR reads 15, which no error has: check the base address of the reg"),
    ],
)
def test_what_is_no_accelerator_has_run_nothing(case, kind, said):
    with Board(kind(case.compiled.params, case.compiled.memory_bytes)) as board:
        with pytest.raises(BoardError, match=said):
            run_layer(board, case)


def test_one_process_has_a_board(case):
    transport = fake(case)
    with held_by_another(transport.name) as pid:
        with pytest.raises(BoardError) as told, Board(transport):
            pass
    assert str(told.value) == (
        f"{transport.name} is in use by another process ({pid}): wait for it, or end it"
    )
    with Board(transport) as board:
        assert board.identity
        assert lock_file(transport.name).exists()


def test_a_way_is_locked_before_anything_there_is_touched(tmp_path, monkeypatch):
    opened = []

    def opener(rest, *_):
        opened.append(rest)
        return nullcontext(rest)

    monkeypatch.setitem(ways._OPENERS, "mem", opener)
    (tmp_path / "mem").touch()
    way, owner = f"mem:{tmp_path}/mem", lock_file(f"mem:{tmp_path}/mem").with_suffix(".pid")
    with held_by_another(way) as pid, pytest.raises(BoardError, match=rf"in use .* \({pid}\)"):
        with ways.open_transport(way, ways.Bases(), preset("test"), 0):
            pass
    assert opened == []
    with ways.open_transport(way, ways.Bases(), preset("test"), 0) as transport:
        with alone(way):  # as the board over this transport does
            assert transport == f"{tmp_path}/mem"
        assert owner.exists()  # held to the end
    assert not owner.exists()


def test_a_selftest_tells_of_every_step(case):
    transport = fake(case)
    with Board(transport) as board:
        steps = list(selftest(board, case, case.compiled.memory_bytes))
    names = [step.name for step in steps]
    assert names == ["identify", "memory", "load", "layer", "abort", "again"]
    assert all(step.passed for step in steps)
    assert steps[-2].found.startswith("error ABORTED after")
    assert steps[-1].found == steps[3].found
    assert "816 output words equal golden's" in steps[3].found


def test_a_selftest_ends_at_the_first_step_that_fails(case):
    bad = case.compiled.regions["layers.0.down.output"].address

    class Wrong(FakeBoard):
        def _end(self, error):
            self.memory[bad] ^= 1
            super()._end(error)

    with Board(Wrong(case.compiled.params, case.compiled.memory_bytes)) as board:
        steps = list(selftest(board, case, case.compiled.memory_bytes))
    assert [step.passed for step in steps] == [True, True, True, False]
    assert "1 of 816 output words differ from golden's" in steps[-1].found
    assert "layers.0.down.output, token 0, output channel 0" in steps[-1].failures[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("litex:localhost:1234", "litex:127.0.0.1:1234"),
        ("litex:localhost", "litex:127.0.0.1:1234"),
        ("mem:{device}", "mem:{relative}"),
        ("uartbone:{device}", "uartbone:{device}@1000000"),
        ("uartbone:{device}", "uartbone:{link}"),
        ("uio:{device}", "mem:{link}"),
    ],
)
def test_a_board_has_one_lock_however_it_is_spelled(one, other, tmp_path):
    (tmp_path / "device").touch()
    (tmp_path / "link").symlink_to("device")
    device = tmp_path / "device"
    places = {"device": device, "link": tmp_path / "link", "relative": os.path.relpath(device)}
    with held_by_another(one.format(**places)), pytest.raises(BoardError, match="is in use by"):
        with alone(other.format(**places)):
            pass
