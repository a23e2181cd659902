"""The whole system in Verilator: the driver tells golden's story over the bridge.

Bridge, crossbar, LiteDRAM's controller, its model of the DRAM, and the accelerator are the Verilog
of the boards; the driver is that of the boards.
"""

import json

import pytest

from hw.contract.presets import preset
from sim.__main__ import main as simulate
from sim.system.system import System
from spikeloom.board.__main__ import main as drive

PROMPT, TOKENS = "Once upon a time", 8
STORY = ", there was a little girl"
REFRESHES = 0.001  # what their phase at the start may shift, of all cycles
SAME = ("dram_bytes_read", "dram_bytes_written", "synaptic_operations", "row_segments")


@pytest.mark.full
def test_a_story_over_the_bridge(stories260k, tmp_path, monkeypatch, capsys):
    pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")
    monkeypatch.chdir(tmp_path)
    story = ["--model", str(stories260k), "--preset", "test", "--prompt", PROMPT]
    story += ["--tokens", str(TOKENS), "--context", "32", "--json"]
    with System(preset("test")) as system:
        way = ["--transport", f"uartbone:{system.host}:{system.port}"]
        way += ["--registers", "0x90000000", "--memory-base", "0x40000000"]
        status = drive(["run", *way, *story, "--check", "golden", "-o", str(tmp_path / "board")])
    told = json.loads(capsys.readouterr().out)
    assert status == 0, told["failures"]
    assert told["text"] == STORY

    place = ["-o", str(tmp_path / "cycle"), "--device", "cycle", "--memory", "litedram-ddr3"]
    assert simulate(["generate", *story, *place]) == 0
    predicted = json.loads(capsys.readouterr().out)["counters"]
    counters = told["counters"]
    assert [counters[name] for name in SAME] == [predicted[name] for name in SAME]
    assert abs(counters["cycles"] - predicted["cycles"]) <= REFRESHES * counters["cycles"]
