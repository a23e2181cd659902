"""The host of the simulator (`sim.rtl.bench.host`), with a Python step at every clock cycle.

A cocotb module, to measure what the host saves by acting at events only.
"""

import cocotb
from cocotb.triggers import RisingEdge

from sim.rtl.bench import host

__all__ = ["run_jobs_in_step"]


async def _step(dut) -> None:
    while True:
        await RisingEdge(dut.clk)


@cocotb.test()
async def run_jobs_in_step(dut) -> None:
    """Run every job as the host does."""
    cocotb.start_soon(_step(dut))
    await host.run_jobs.func(dut)
