"""The boards' CPU runs its BIOS on the simulated system, and finds that the DRAM holds.

In the model of a DRAM there is nothing to train; all else is as on a board: the CPU's way over the
bus to its code, the DRAM's controller and the console, which is read over the bridge.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw.contract.presets import preset
from hw.generate.emit import emit
from hw.soc.build import ToolMissing, check_tools
from sim.rtl.verilog import Design, build
from sim.system.build import MAIN
from sim.system.system import System
from spikeloom.board.training import Training
from spikeloom.board.uartbone import SocketLine, UartBone

PARAMS = preset("test")
CPU = "VexRiscv_Lite.v"
LINES = 300  # of the console, at most


def write_system(directory: Path) -> list[Path]:
    """Write the system with a CPU and its BIOS as memory; return the Verilog files."""
    from litex.soc.integration.builder import Builder
    from pythondata_cpu_vexriscv import data_location

    from hw.soc.simulated import simulated_system, write_verilog

    system = simulated_system(PARAMS, cpu=True)
    written = []
    system.platform.build = lambda soc, **_options: written.append(write_verilog(soc, directory))
    Builder(system, output_dir=str(directory / "litex"), bios_console="lite").build()
    shutil.copy(directory / "litex" / "csr.json", directory)
    shutil.copy(Path(data_location) / CPU, directory)
    accelerator = [path for path in emit(PARAMS, directory) if path.suffix == ".v"]
    return [*written, directory / CPU, *accelerator]


def console(board: UartBone, registers: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield what the BIOS says, a line at a time."""
    empty, character = (registers[f"uart_xover_{name}"]["addr"] for name in ("rxempty", "rxtx"))
    line = ""
    while True:
        if not board.read_words(empty, 1)[0]:
            line += chr(board.read_words(character, 1)[0])
        if line.endswith("\n"):
            yield line.strip()
            line = ""


@pytest.mark.full
def test_the_bios_says_that_memory_is_well(tmp_path, monkeypatch):
    try:
        check_tools("netlist")
    except ToolMissing as error:
        pytest.skip(str(error))
    root = Path(__file__).resolve().parents[3]
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")  # meson and ninja
    monkeypatch.setenv("PYTHONPATH", str(root))
    system = tmp_path / "system"
    system.mkdir()
    design = Design(
        toplevel="spikeloom_system",
        sources=lambda _scratch: write_system(system),
        content={"test": str(system)},
        signals=[],
        parameters={},
        main=MAIN,
    )
    made = build(design, tmp_path / "build", lambda _doing: None)
    for memory in system.glob("*.init"):
        shutil.copy(memory, made.directory)
    about = json.loads((system / "csr.json").read_text())
    assert Training.of(about)
    with System(PARAMS, build=made) as running:
        line = SocketLine(running.host, running.port)
        said = []
        for text in console(UartBone(line, "console", 0, 0), about["csr_registers"]):
            said.append(text)
            if text.startswith("Memtest") and not text.startswith("Memtest at"):
                break
            assert len(said) < LINES, said
        line.close()
    assert any("VexRiscv_Lite @ 75MHz" in text for text in said)
    assert said[-1] == "Memtest OK"
