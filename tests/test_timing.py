"""How fast each block must clock, placed and routed alone; what the bench timing refuses."""

import importlib.util
import re

import pytest
from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]

from bench import timing
from bench.before import BEFORE, XILINX_BEFORE
from bench.blocks import BLOCKS, CONFIGURATIONS, Harness
from bench.timing_table import timing_table

FLOORS = {
    "requantizer": 136,
    "norm": 109,
    "softmax": 137,
    "SwiGLU": 130,
    "rotator": 120,
    "divider": 111,
    "encoder": 108,
    "neuron": 151,
    "threshold": 104,
    "cache writer": 116,
    "event queue": 104,
    "spike train": 116,
    "fetcher": 141,
    "bursts": 114,
    "read port": 100,
    "write port": 141,
    "guard": 196,
    "drain": 110,
    "controller": 100,
    "registers": 100,
    "argmax": 156,
    "array": 131,
    "array of 32 lanes": 100,
    "matrix path": 100,
    "vector unit": 100,
}
"""MHz by block, with the parameters of `test` and seed 1.

The same tools give the same figure for the same netlist, so a floor lies below what was measured by
what a change elsewhere in a block may move it.
"""

_PLACER = importlib.util.find_spec(timing.PLACER.replace("-", "_"))
needs_placer = pytest.mark.skipif(_PLACER is None, reason=f"{timing.PLACER} is not installed")


@pytest.mark.full
@needs_placer
@pytest.mark.parametrize("block", FLOORS)
def test_a_block_clocks_as_fast_as_it_did(block):
    report = timing.measure(presets=("test",), blocks=(block,), levels=False)
    assert not report["failed"]
    (row,) = report["rows"]
    assert row["mhz"]["1"] >= FLOORS[block], row["path"]


def test_names_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"^block must be one of requantizer, .*, not 'adder'$"):
        timing.measure(blocks=("adder",))
    message = r"^configuration must be one of test, ecpix5-85f, not 'edge'$"
    with pytest.raises(ValueError, match=message):
        timing.measure(blocks=(), configurations=("edge",))


@needs_placer
def test_a_block_is_measured():
    """A small one: its cells, its frequency for each seed, and where its worst path is."""
    report = timing.measure(presets=("test",), blocks=("write port",), seeds=(1, 2))
    assert not report["failed"]
    (row,) = report["rows"]
    assert row["dsps"] == row["block_rams"] == 0 < row["lut4"]
    assert row["mhz"].keys() == {"1", "2"} and all(mhz > 50 for mhz in row["mhz"].values())
    assert row["xilinx"]["levels"] > 1
    sources = {step["source"].partition(":")[0] for step in row["path"]}
    assert "hw/memory/write.py" in sources
    mhz = " / ".join(f"{value:.1f}" for value in row["mhz"].values())
    assert f"| write port | {BEFORE['write port']} | {mhz} | " in timing_table(report)
    luts, dsps, levels = XILINX_BEFORE["write port"]
    now = row["xilinx"]
    cells = f"{luts} | {now['luts']} | {dsps} | {now['dsps']} | {levels} | {now['levels']} |"
    assert f"| write port | {cells}" in timing_table(report)


def test_a_whole_accelerator_stands_in_the_harness():
    harness = Harness(CONFIGURATIONS["test"]())
    circuit = rtlil.convert(harness, name="harness", ports=[harness.i, harness.o])
    top = circuit[circuit.index("attribute \\top 1") :].partition("\nend\n")[0]
    ports = re.findall(r"wire (width \d+) (?:input|output) \d+\s+\\(\w+)", top)
    assert sorted(ports) == [("width 1", name) for name in ("clk", "i", "o", "rst")]
    assert "\\m_axi_araddr" in top


def test_floors_are_of_blocks():
    assert FLOORS.keys() | BEFORE.keys() | XILINX_BEFORE.keys() <= BLOCKS.keys()
