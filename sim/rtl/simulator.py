"""One process of the Verilator simulator with cocotb in it: jobs in, outcomes out."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from golden.console.places import SOURCES
from sim.errors import ToolError, failure
from sim.rtl.bench.job import (
    JOBS_VARIABLE,
    Job,
    Outcome,
    progress_path,
    read_outcomes,
    write_jobs,
)
from sim.rtl.verilog import Build

__all__ = ["cocotb_run", "simulate"]

_LOOK_SECONDS = 0.2


def _environment(build: Build, module: str, results: Path) -> dict[str, str]:
    import find_libpython
    from cocotb_tools import config

    library = find_libpython.find_libpython()
    if library is None:
        raise ToolError("libpython was not found: cocotb needs a Python with a shared library")
    return {
        **os.environ,
        "COCOTB_LOG_LEVEL": "WARNING",
        "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_TEST_MODULES": module,
        "COCOTB_TOPLEVEL": build.toplevel,
        "COCOTB_TRUST_INERTIAL_WRITES": "1",
        "GPI_USERS": f"{library};{config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join([str(SOURCES), *filter(None, sys.path)]),
        "TOPLEVEL_LANG": "verilog",
    }


def cocotb_run(
    build: Build,
    module: str,
    directory: Path,
    *,
    environment: Mapping[str, str],
    waves: Path | None = None,
    look: Callable[[], None] = lambda: None,
) -> None:
    """Run the cocotb tests of `module` in `directory`, calling `look` now and then.

    Raises
    ------
    ToolError
        Where the simulator breaks off or a test fails; with the end of its log.
    """
    results = directory / "results.xml"
    log = directory / "simulation.log"
    command = [str(build.executable)]
    if waves is not None:
        waves.parent.mkdir(parents=True, exist_ok=True)
        command += ["--trace", "--trace-file", str(waves.resolve())]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=_environment(build, module, results) | dict(environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    look()
        finally:
            process.kill()
            process.wait()
    text = results.read_text() if results.exists() else ""
    if process.returncode or "<testcase" not in text or "<failure" in text or "<error" in text:
        raise failure("the simulator", process.returncode, log)


def simulate(
    build: Build,
    jobs: Sequence[Job],
    *,
    waves: Path | None = None,
    progress: Callable[[int, int], None] = lambda _bytes_read, _cycles: None,
    look: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Run `jobs`, one after the other, in one process.

    Parameters
    ----------
    build : Build
        Of `sim.rtl.builds.build_bench`.
    jobs : sequence of Job
        What to run; outputs appear in their memory images.
    waves : Path, optional
        File for the recorded waves; the build must be able to.
    progress : callable
        Is given the bytes that the current job has read and the cycles it has taken, now and then.
    look : callable
        Called now and then, and at the end.

    Returns
    -------
    list of Outcome
        In the order of the jobs.
    """
    with tempfile.TemporaryDirectory(prefix="spikeloom-") as temporary:
        path = Path(temporary) / "jobs"
        write_jobs(path, list(jobs))

        def look_around() -> None:
            if progress_path(path).exists() and (text := progress_path(path).read_text()):
                told = json.loads(text)
                progress(told["bytes_read"], told["cycles"])
            look()

        cocotb_run(
            build,
            "sim.rtl.bench.host",
            Path(temporary),
            environment={JOBS_VARIABLE: str(path)},
            waves=waves,
            look=look_around,
        )
        look()
        return read_outcomes(path)
