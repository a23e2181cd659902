"""LiteDRAM's controller as Verilog: what it is told of the DRAM, and its ports."""

import re

import pytest

pytest.importorskip("litedram", reason="LiteX is not installed: pip install 'spikeloom[soc]'")

from hw.soc.memory import CONTROLLER, DDR3, controller_verilog, dram_module, phy_settings
from sim.rtl import litedram


def test_the_chip_is_that_of_the_boards():
    assert DDR3.bytes == 512 << 20
    assert phy_settings(DDR3).nphases == 2
    assert phy_settings(DDR3).dfi_databits == 8 * DDR3.data_bits // 2  # half a burst a phase


@pytest.mark.parametrize("clock_mhz", [48, 75, 100])
def test_a_refresh_takes_its_time_at_any_clock(clock_mhz):
    timing = dram_module("MT41K256M16", clock_mhz * 1e6).timing_settings
    cycle_ns = 1e3 / clock_mhz
    assert 260 <= timing.tRFC * cycle_ns <= 260 + cycle_ns
    assert timing.tREFI * cycle_ns == pytest.approx(7812, abs=cycle_ns)


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("width", [64, 256])
def test_the_verilog_has_the_ports_that_simulations_connect(tmp_path, width, data):
    path = controller_verilog(tmp_path, DDR3, data_width=width, address_width=40, data=data)
    header = path.read_text().partition(");")[0]
    assert f"module {CONTROLLER}(" in header
    assert litedram.CONTROLLER == CONTROLLER
    ports = {name: bits for bits, name in re.findall(r"(\[\d+:0\])? ?(\w+),?$", header, re.M)}
    assert ports["m_axi_araddr"] == "[39:0]"
    assert ports.get("m_axi_rdata") == (f"[{width - 1}:0]" if data else None)
    assert ("chip_read_address" in ports) == data
