"""cocotb side of test_rtl_axi: the accelerator between cocotbext-axi's master and its RAM."""

import itertools
import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam

from hw.contract.regs import COUNTERS, offset


def pauses(rng, probability):
    """Yield whether a channel pauses, cycle after cycle."""
    choices = [rng.random() < probability for _ in range(997)]
    return itertools.cycle(choices)


class TB:
    """The accelerator, its clock, a host and a memory; every channel of both pauses at random."""

    def __init__(self, dut, image, stalls, seed):
        rng = random.Random(seed)
        self.dut = dut
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=len(image))
        self.ram.write(0, image)
        for interface in (self.host, self.ram):
            for channel in (
                interface.write_if.aw_channel,
                interface.write_if.w_channel,
                interface.write_if.b_channel,
                interface.read_if.ar_channel,
                interface.read_if.r_channel,
            ):
                channel.set_pause_generator(pauses(rng, stalls))

    async def reset(self):
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def run(self, program, limit_cycles):
        """Start a program and wait for its end; returns STATUS and the counters."""
        await self.host.write_dword(offset("PROGRAM_LOW"), program)
        await self.host.write_dword(offset("PROGRAM_HIGH"), 0)
        await self.host.write_dword(offset("IRQ_ENABLE"), 1)
        await self.host.write_dword(offset("CONTROL"), 1)
        timeout = Timer(10 * limit_cycles, "ns")
        if not self.dut.irq.value:
            assert await First(self.dut.irq.value_change, timeout) is not timeout
        counters = {}
        for name in COUNTERS:
            low = await self.host.read_dword(offset(f"{name.upper()}_LOW"))
            counters[name] = low | await self.host.read_dword(offset(f"{name.upper()}_HIGH")) << 32
        return await self.host.read_dword(offset("STATUS")), counters


@cocotb.test()
async def run_program(dut):
    """Run the program of the task; its memory and counters go into files."""
    task = json.loads(Path("task.json").read_text())
    Clock(dut.clk, 10, "ns", impl="gpi").start()
    image = Path("image").read_bytes()
    tb = TB(dut, image, task["stalls"], int(os.environ["SEED"]))
    await tb.reset()
    status, counters = await tb.run(task["program"], task["limit_cycles"])
    Path("memory").write_bytes(tb.ram.read(0, len(image)))
    Path("result.json").write_text(json.dumps({"status": status, "counters": counters}))
