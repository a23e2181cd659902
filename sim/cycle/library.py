"""Compiles the model with g++, cached by the content of its sources, and declares its functions."""

import ctypes
import hashlib
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from compiler.storage.lock import alone
from golden.console.places import SOURCES, builds
from golden.console.version import digest
from hw.contract.params import HwParams
from hw.contract.regs import COUNTERS
from sim.errors import failure
from sim.rtl.litedram import CONTROLLER, controller, controller_content
from sim.rtl.verilog import tool_environment, tool_versions, verilator, verilator_include

__all__ = [
    "ENDED",
    "PAUSED",
    "STARVED",
    "Counters",
    "Extent",
    "Host",
    "Instruction",
    "Params",
    "Timing",
    "library",
]

ENDED, STARVED, PAUSED = range(3)
"""What ``cycle_model_run`` returns."""

_VERILATE = ["--cc", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert"]
_VERILATE += ["--top-module", CONTROLLER, "-Wno-fatal", "-Wno-lint", "-Wno-style"]
_COMMAND = ["g++", "-std=c++17", "-O3", "-Wall", "-Wextra", "-fPIC", "-shared"]

_U32, _U64 = ctypes.c_uint32, ctypes.c_uint64
_BYTES, _WORDS = ctypes.POINTER(ctypes.c_uint8), ctypes.POINTER(_U32)


def _fields(kind: type, names: str) -> list[tuple[str, type]]:
    return [(name, kind) for name in names.split()]


class Params(ctypes.Structure):
    """As in abi.h; so are the others."""

    _fields_ = _fields(
        _U32,
        "lanes tile_outputs axi_bytes max_burst_words fetch_depth beat_depth event_depth "
        "scan_width encode_lanes header_words slot_words threshold_latency neuron_latency "
        "mantissa_width divide_latency grouped scale_depth",
    )


class Extent(ctypes.Structure):
    """Of a tile."""

    _fields_ = _fields(_U32, "outputs row_words row_beats scale_words")


class Instruction(ctypes.Structure):
    """Of the program, with what its data mean for time."""

    _fields_ = [
        *_fields(_U32, "opcode layered fence by_position tokens channels"),
        *_fields(_U64, "source source_stride exponents"),
        *_fields(_U32, "largest_exponent"),
        ("threshold_widths", _BYTES),
        *_fields(_WORDS, "event_channels first_events"),
        *_fields(_U32, "weight_width has_bias strided tiles group_channels scale_parts"),
        *_fields(Extent, "full last"),
        *_fields(_U64, "weights channel_words destination destination_stride"),
        ("steps", ctypes.POINTER(ctypes.c_uint16)),
        ("spikes", _WORDS),
        *_fields(_U32, "operation rows elements a_by_token b_by_position b_same passes binary"),
        *_fields(_U64, "a b stride"),
        ("row_shifts", _BYTES),
        *_fields(_U32, "values"),
        *_fields(_U64, "codes codes_stride scales scales_stride"),
        *_fields(_U32, "slots layers record_count ends"),
        *_fields(_U64, "records"),
    ]


class Host(ctypes.Structure):
    """What it sets."""

    _fields_ = [
        *_fields(_U64, "program"),
        *_fields(_U32, "slots first_position prompt_end end_position"),
    ]


class Timing(ctypes.Structure):
    """Of the memory."""

    _fields_ = [
        *_fields(_U64, "memory_bytes latency"),
        ("stalls", ctypes.c_double),
        *_fields(_U64, "seed idle_cycles data_first"),
    ]


class Counters(ctypes.Structure):
    """What the model counts."""

    _fields_ = _fields(_U64, " ".join(COUNTERS))


@cache
def library(
    root: Path = SOURCES, kept: Path | None = None, dram_of: HwParams | None = None
) -> ctypes.CDLL:
    """Return the compiled model, of the sources below `root`, kept in a directory for the next.

    With `dram_of`, LiteDRAM's controller for that hardware's bus is in it; else the ideal memory.

    Raises
    ------
    ToolError
        Where g++, or for the controller LiteDRAM or Verilator, is missing or fails.
    """
    found = ctypes.CDLL(str(_compiled(root, kept or builds("cycle_model"), dram_of)))
    model = ctypes.c_void_p
    for name, result, arguments in (
        ("open", model, [*map(ctypes.POINTER, (Params, Timing, Host))]),
        ("add", None, [model, ctypes.POINTER(Instruction)]),
        ("run", ctypes.c_int, [model, _U64]),
        ("counters", None, [model, ctypes.POINTER(Counters)]),
        ("fault", ctypes.c_char_p, [model]),
        ("close", None, [model]),
    ):
        function = getattr(found, f"cycle_model_{name}")
        function.restype, function.argtypes = result, arguments
    return found


def _compiled(root: Path, kept: Path, dram_of: HwParams | None) -> Path:
    """Compile unless the cache has it; it appears there whole, by a rename."""
    here = root / "sim" / "cycle" / "model"
    bench = root / "sim" / "rtl" / "bench"
    sources = [*here.glob("*.h"), here / "model.cpp", *bench.glob("*.h")]
    content = f"{digest(sources)} {_COMMAND} {tool_versions()['g++']}"
    if dram_of is not None:
        content += f" {controller_content(dram_of)} {_VERILATE} {tool_versions()['verilator']}"
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = kept / f"{key}.so"
    if path.exists():
        return path
    with alone(kept / f"{key}.lock"):
        if not path.exists():
            log, part = kept / f"{key}.log", kept / f"{key}.part"
            log.unlink(missing_ok=True)
            with tempfile.TemporaryDirectory(prefix="spikeloom-") as work:
                more = [] if dram_of is None else _verilated(dram_of, Path(work), log)
                _run([*_COMMAND, str(here / "model.cpp"), *more, "-o", str(part)], log)
            part.rename(path)
    return path


def _verilated(params: HwParams, work: Path, log: Path) -> list[str]:
    """Turn the controller into C++ with Verilator; return what g++ needs for it."""
    source = controller(params, work, data=False)
    _run([str(verilator()), *_VERILATE, "--Mdir", str(work), str(source)], log)
    include = verilator_include()
    run_time = [str(include / name) for name in ("verilated.cpp", "verilated_threads.cpp")]
    flags = ["-DLITEDRAM", f"-I{work}", f"-isystem{include}", f"-isystem{include / 'vltstd'}"]
    return [*flags, *map(str, sorted(work.glob("*.cpp"))), *run_time]


def _run(command: list[str], log: Path) -> None:
    with log.open("a") as output:
        done = subprocess.run(
            command, stdout=output, stderr=output, env=tool_environment(), check=False
        )
    if done.returncode:
        raise failure(Path(command[0]).name, done.returncode, log)
