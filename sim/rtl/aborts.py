"""Programs that are ended in every way there is, and a good run after each: a bench in C++."""

import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from compiler.artifact.program import Compiled
from hw.contract.regs import REGISTERS, Error
from sim.device import Registers
from sim.errors import HardwareFault, ToolError
from sim.rtl.limits import writable
from sim.rtl.verilog import Build

__all__ = ["BadProgram", "end_at_random"]

_READ = ("program", "input", "weights", "channel_words")  # of layers


@dataclass(frozen=True, kw_only=True)
class BadProgram:
    """A program with an error.

    Attributes
    ----------
    address, mask : int
        A byte of the program, and the bits of it that are inverted.
    error : Error
        What the hardware must report.
    fault : int
        The address that it must tell.
    """

    address: int
    mask: int
    error: Error
    fault: int


def _plan(
    compiled: Compiled,
    registers: Registers | None,
    before: Path,
    after: Path,
    bad: list[BadProgram],
) -> list[tuple[object, ...]]:
    written = writable(compiled)
    regions = [region for region in compiled.regions.values() if region.kind in _READ]
    if registers is not None:  # a whole model writes wherever it works
        written = [[0, before.stat().st_size]]
        regions = [region for region in compiled.regions.values() if region.bytes]
    settings = {} if registers is None else asdict(registers)
    return [
        *(("setting", name.upper(), value) for name, value in settings.items()),
        *(("register", name, register.offset) for name, register in REGISTERS.items()),
        ("program", compiled.program_address),
        ("word_bytes", compiled.params.axi_bytes),
        ("before", before),
        ("after", after),
        *(("writable", first, end) for first, end in written),
        *(("readable", region.address, region.address + region.bytes) for region in regions),
        *(("bad", b.address, b.mask, b.error.value, b.fault) for b in bad),
    ]


def end_at_random(
    build: Build,
    compiled: Compiled,
    before: np.ndarray,
    after: np.ndarray,
    *,
    registers: Registers | None = None,
    bad: list[BadProgram],
    rounds: int,
    seed: int,
    directory: Path,
) -> dict[str, int]:
    """End a program `rounds` times, each time in another way and cycle, and run it after each.

    Parameters
    ----------
    build : Build
        Of `sim.rtl.builds.build_aborts`.
    compiled : Compiled
        The program.
    before, after : ndarray of uint8
        The memory before and after a good run.
    registers : Registers, optional
        What a whole model needs.
    bad : list of BadProgram
        Errors in it.
    rounds, seed : int
        How many, and of all randomness.
    directory : Path
        For the memory's files.

    Returns
    -------
    dict of str to int
        How often each way ended in which error; and all cycles.

    Raises
    ------
    HardwareFault
        At the first thing that is wrong: the bus, what the registers say, a byte of memory.
    """
    images = directory / "before", directory / "after"
    for image, content in zip(images, (before, after), strict=True):
        content.tofile(image)
    plan = directory / "plan"
    lines = (" ".join(map(str, line)) for line in _plan(compiled, registers, *images, bad))
    plan.write_text("\n".join(lines) + "\n")
    command = [str(build.executable), str(plan), str(rounds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 1:
        raise HardwareFault(f"{done.stdout.strip().splitlines()[-1]} (seed {seed})")
    if done.returncode:
        raise ToolError(f"the bench of aborts broke off with status {done.returncode}")
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return {what: int(count) for what, count in lines}
