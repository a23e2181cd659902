"""The host of the simulated accelerator: starts programs through the registers, waits, reads back.

A cocotb module that acts at events only: a few clock cycles for a register access, and otherwise
the interrupt, a fault of the memory, or a look at the progress from time to time.
"""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, Timer

from hw.contract.regs import COUNTERS, offset
from sim.rtl.bench import memory
from sim.rtl.bench.job import (
    JOBS_VARIABLE,
    Job,
    Outcome,
    outcomes_path,
    progress_path,
    read_jobs,
)

__all__ = ["Registers", "run_jobs"]

_PERIOD_NS = 10
_ANSWER_CYCLES = 1000  # a register access takes a handful
_STORE_CYCLES = 1000  # longer than a refresh and what the controller's queues hold
_LOOK_CYCLES = 50_000
_PATIENCE_CYCLES = 400_000  # longer than the array can work on what the queues hold


class HardwareError(Exception):
    """The hardware did what it must not; the message is one sentence."""


class Registers:
    """AXI4-Lite master on the ports ``s_axil_*`` of `dut`."""

    def __init__(self, dut) -> None:
        self._dut = dut
        for name in ("awprot", "arprot", "awvalid", "wvalid", "bready", "arvalid", "rready"):
            self._port(name).value = 0
        self._port("wstrb").value = 0xF

    def _port(self, name: str):
        return getattr(self._dut, f"s_axil_{name}")

    async def _edge_until(self, done) -> None:
        for _ in range(_ANSWER_CYCLES):
            await RisingEdge(self._dut.clk)
            if done():
                return
        raise HardwareError(f"the register port did not answer within {_ANSWER_CYCLES} cycles")

    async def _send(self, *channels: str) -> None:
        waiting = set(channels)
        for channel in channels:
            self._port(f"{channel}valid").value = 1

        def all_taken() -> bool:
            for channel in tuple(waiting):
                if self._port(f"{channel}ready").value:
                    self._port(f"{channel}valid").value = 0
                    waiting.discard(channel)
            return not waiting

        await self._edge_until(all_taken)

    async def _receive(self, channel: str) -> None:
        self._port(f"{channel}ready").value = 1
        await self._edge_until(lambda: self._port(f"{channel}valid").value)
        self._port(f"{channel}ready").value = 0
        response = int(self._port(f"{channel}resp").value)
        if response:
            raise HardwareError(f"a register access was answered with response {response}, not 0")

    async def write(self, name: str, value: int) -> None:
        """Write `value` to the register called `name`."""
        self._port("awaddr").value = offset(name)
        self._port("wdata").value = value
        await self._send("aw", "w")
        await self._receive("b")

    async def read(self, name: str) -> int:
        """Return the value of the register called `name`."""
        self._port("araddr").value = offset(name)
        await self._send("ar")
        await self._receive("r")
        return int(self._port("rdata").value)

    async def read_wide(self, name: str) -> int:
        """Return a 64-bit counter; reading its low half latches the high one."""
        low = await self.read(f"{name}_LOW")
        return low | await self.read(f"{name}_HIGH") << 32

    async def fingerprint(self) -> str:
        """Return the hardware's fingerprint in hex."""
        words = [await self.read(f"ID{i}") for i in range(8)]
        return b"".join(word.to_bytes(4, "little") for word in words)[::-1].hex()


async def _reset(dut) -> None:
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def _wait(dut, job: Job, progress: Path) -> None:
    """Return at the interrupt, or when the job is to be abandoned."""
    waited = idle = transfers = 0
    look = job.abandon_after_cycles or _LOOK_CYCLES
    while not dut.irq.value and not dut.fault.value:
        waker = Timer(look * _PERIOD_NS, "ns")
        if await First(dut.irq.value_change, dut.fault.value_change, waker) is not waker:
            continue
        if job.abandon_after_cycles:
            return
        counts = memory.counts()
        waited += look
        told = {"name": job.name, "bytes_read": counts.bytes_read, "cycles": waited}
        progress.write_text(json.dumps(told))
        idle = idle + look if counts.transfers == transfers else 0
        transfers = counts.transfers
        if idle >= _PATIENCE_CYCLES:
            raise HardwareError(f"no memory transfer and no interrupt for {idle} cycles")
        if waited >= job.limit_cycles:
            raise HardwareError(f"no interrupt within {waited} cycles, more than it can need")


def _check_memory() -> None:
    if sentence := memory.fault():
        raise HardwareError(f"the memory saw a fault: {sentence}")


async def _run(dut, job: Job, progress: Path) -> Outcome:
    memory.configure(
        job.image,
        memory_bytes=job.memory_bytes,
        word_bytes=job.word_bytes,
        latency=job.latency,
        stalls=job.stalls,
        seed=job.seed,
        writable=job.writable,
        failing_reads=job.failing_reads,
        failing_writes=job.failing_writes,
        data_first=job.data_first,
    )
    if job.trace:
        first, end = job.traced or (0, job.memory_bytes)
        memory.trace(job.trace, first, end, spikes=not job.traced)
    registers = Registers(dut)
    if job.reset:
        await _reset(dut)
    fingerprint = await registers.fingerprint()
    await registers.write("PROGRAM_LOW", job.program & 0xFFFFFFFF)
    await registers.write("PROGRAM_HIGH", job.program >> 32)
    for name, value in job.registers.items():
        await registers.write(name, value)
    await registers.write("IRQ_ENABLE", 1)
    begin = time.perf_counter()
    await registers.write("CONTROL", 1)
    await _wait(dut, job, progress)
    wall_seconds = time.perf_counter() - begin
    _check_memory()
    if job.abandon_after_cycles:
        return Outcome(name=job.name, fingerprint=fingerprint, wall_seconds=wall_seconds)
    if pending := memory.counts().writes_under_way:
        raise HardwareError(f"the interrupt came with {pending} writes under way")
    outcome = Outcome(
        name=job.name,
        status=await registers.read("STATUS"),
        error=await registers.read("ERROR"),
        position=await registers.read("POSITION"),
        fingerprint=fingerprint,
        counters={name: await registers.read_wide(name.upper()) for name in COUNTERS},
        memory=asdict(memory.counts()),
        wall_seconds=wall_seconds,
    )
    await _stored(dut)
    await registers.write("IRQ_STATUS", 1)
    await RisingEdge(dut.clk)
    if dut.irq.value:
        raise HardwareError("irq stayed high after IRQ_STATUS was cleared")
    _check_memory()
    return outcome


async def _stored(dut) -> None:
    """Wait until the DRAM has what its controller has answered for."""
    for _ in range(_STORE_CYCLES):
        if not memory.counts().unstored_bytes:
            return
        await RisingEdge(dut.clk)
    unstored = memory.counts().unstored_bytes
    raise HardwareError(f"the DRAM still lacks {unstored} bytes that were written")


@cocotb.test()
async def run_jobs(dut) -> None:
    """Run every job, one after the other, and write an outcome for each."""
    path = Path(os.environ[JOBS_VARIABLE])
    dut.rst.value = 1
    Clock(dut.clk, _PERIOD_NS, "ns", impl="gpi").start()
    with outcomes_path(path).open("w") as outcomes:
        for job in read_jobs(path):
            try:
                outcome = await _run(dut, job, progress_path(path))
            except HardwareError as error:
                outcome = Outcome(name=job.name, failure=str(error))
            outcomes.write(json.dumps(asdict(outcome)) + "\n")
            outcomes.flush()
