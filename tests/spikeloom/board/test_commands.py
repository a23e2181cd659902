"""The commands: what they refuse, what they print, and as what they end."""

import json
from contextlib import nullcontext

import pytest

from hw.contract.presets import preset
from hw.contract.regs import COUNTERS, Status
from spikeloom.board.__main__ import main
from spikeloom.board.commands import options
from tests.spikeloom.board.fake import FakeBoard, Faults

WAY = ("--transport", "uartbone:/dev/nowhere")


@pytest.fixture
def fake(monkeypatch):
    """Return a fake board that every way leads to; its faults may be set."""
    board = FakeBoard(preset("test"), 1 << 20, Faults())
    monkeypatch.setattr(options, "open_transport", lambda *_: nullcontext(board))
    return board


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("counters", "counters are those of a board's last run, and a simulated board ends with"),
        ("counters --transport jtag", "the transport must be one of simulation; system; uartbone:"),
        ("counters --transport uartbone:/dev/no", "uartbone:/dev/no: where registers and memory "),
        ("counters --patience 0 --transport xdma:/x", "--patience must be above 0 seconds, not 0"),
        ("counters --watchdog -1 --transport xdma:/x", "--watchdog must be 0 to 4294967295 cycles"),
        ("counters --patience nan --transport xdma:/x", "--patience must be above 0 seconds, not"),
        ("selftest --seed -1", "--seed must be 0 or more, not -1"),
        ("counters --registers 3 --transport xdma:/x", "an address is a multiple of 4 such as 0x4"),
        ("counters --memory-base x --transport xdma:/x", "an address is a multiple of 4 such as "),
        ("counters --csr /no/csr.json --transport xdma:/x", "/no/csr.json cannot be used (No such"),
        ("counters --transport xdma:/no/x", "/no/x_user cannot be opened (No such file"),
        ("selftest nothing", "nothing"),
        ("run --compiled /no --coding csd", "--coding: what is compiled in /no stands"),
        ("run --prompt a --prompt-ids 1", "--prompt and --prompt-ids are one too many"),
    ],
)
def test_what_cannot_be_is_one_sentence(command, said, capsys):
    assert main(command.split()) == 2
    told = capsys.readouterr()
    name = command.split()[0]
    (line,) = [line for line in told.err.splitlines() if line.startswith("python -m")]
    assert line.startswith(f"python -m spikeloom.board {name}: {said}") or said in line
    assert "Traceback" not in told.err and told.out == ""


def test_a_selftest_prints_a_line_a_step(fake, stories260k, capsys):
    assert main(["selftest", str(stories260k), *WAY]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[:6]] == [
        [name, "ok"] for name in ("identify", "memory", "load", "layer", "abort", "again")
    ]
    counted = {line.split()[0] for line in lines[8:]}
    assert counted == set(COUNTERS)


def test_a_selftest_that_fails_says_so_in_its_status_and_in_json(fake, stories260k, capsys):
    fake.faults.slave_error = 0x40
    assert main(["selftest", str(stories260k), *WAY, "--json"]) == 1
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert not found["passed"] and found["counters"].keys() == COUNTERS.keys()
    assert [step["name"] for step in found["steps"]] == ["identify", "memory", "load", "layer"]
    (failure, _) = found["steps"][-1]["failures"]
    assert "error READ_FAILED at position 0, read at address 0x40 by client 2" in failure
    assert f"selftest: {failure}" in told.err


def test_a_memory_that_does_not_hold_ends_with_1(fake, stories260k, capsys):
    fake.faults.stored = lambda _address, data: data & 0xFE
    assert main(["selftest", str(stories260k), *WAY]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("identify  ok")
    assert "selftest: memory at 0x0 reads 0x00 where 0x01 was written (test of a data" in told.err


def test_more_memory_may_be_tested_but_not_less_than_the_layer_needs(fake, stories260k, capsys):
    assert main(["selftest", str(stories260k), *WAY, "--memory-bytes", "1048576"]) == 0
    assert "1,048,576 random bytes hold" in capsys.readouterr().out
    for too_few in ("4096", "0"):
        assert main(["selftest", str(stories260k), *WAY, "--memory-bytes", too_few]) == 2
        said = f"--memory-bytes must be at least 70144, which the layer needs, not {too_few}"
        assert said in capsys.readouterr().err


def test_counters_say_what_the_board_is(fake, capsys):
    fake.registers |= {"EVENTS_LOW": 5, "EVENTS_HIGH": 1}
    assert main(["counters", *WAY, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["lanes"] == preset("test").lanes and found["error"] == "NONE"
    assert found["counters"]["events"] == (1 << 32) + 5
    assert main(["counters", *WAY]) == 0
    assert "4,294,967,301" in capsys.readouterr().out
    assert fake.memory_writes == fake.starts == 0


def test_counters_leave_a_run_that_is_under_way(fake, monkeypatch):
    fake.registers["STATUS"] = Status.BUSY
    monkeypatch.setattr(fake, "write", lambda *_: pytest.fail("a register was written"))
    assert main(["counters", *WAY, "--json"]) == 0


def test_a_watchdog_reaches_the_hardware(fake, stories260k, capsys):
    assert main(["selftest", str(stories260k), *WAY, "--watchdog", "4711"]) == 0
    assert fake.registers["WATCHDOG"] == 4711


def test_a_board_s_memory_is_held_against_what_is_wanted(fake, stories260k, tmp_path, capsys):
    csr = tmp_path / "csr.json"
    memories = {"spikeloom": {"base": 0}, "main_ram": {"base": 0, "size": 1 << 16}}
    csr.write_text(json.dumps({"memories": memories}))
    assert main(["selftest", str(stories260k), *WAY, "--csr", str(csr)]) == 2
    assert "70,144 bytes of memory are needed, and" in capsys.readouterr().err
    memories["main_ram"]["size"] = fake.memory.size
    csr.write_text(json.dumps({"memories": memories}))
    assert main(["selftest", str(stories260k), *WAY, "--csr", str(csr)]) == 0
    lines = f"data lines, address lines of {fake.memory.size:,} bytes and 70,144 random bytes"
    assert lines in capsys.readouterr().out
    assert (fake.memory[70_144:] != 0xEE).any()


def test_a_story_is_told_token_by_token_and_is_goldens(fake, stories260k, tmp_path, capsys):
    command = ["run", str(stories260k), *WAY, "--prompt", "Once upon a time", "--tokens", "3"]
    command += ["--context", "16", "--check", "golden", "-o", str(tmp_path / "run")]
    fake.faults.slow = True
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith("Once upon a time, there was\n") and "the same as golden's" in said
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["passed"] and report["device"] == "board" and report["counters"]["cycles"] > 0


def test_a_story_of_a_board_that_errs_differs(fake, stories260k, tmp_path, capsys):
    fake.faults.slave_error = 0x40
    command = [
        "run",
        str(stories260k),
        *WAY,
        "--prompt",
        "Once",
        "--tokens",
        "3",
        "--context",
        "16",
    ]
    assert main([*command, "-o", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert "the program ended on the board with error READ_FAILED" in told
    assert "seed" not in told  # nothing was random
